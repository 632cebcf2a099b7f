"use strict";

// A form with data-passkey makes ("create") or asks for ("get") a passkey when it is sent, and sends what the browser
// answers in its field "credential". Buttons stay hidden where there are no passkeys, or no scripts.
// Any other form is sent once, however often its button is pressed while the answer is on its way.

function toBytes(text) {
  const base64 = text.replace(/-/g, "+").replace(/_/g, "/");
  return Uint8Array.from(atob(base64 + "=".repeat((4 - (base64.length % 4)) % 4)), (c) => c.charCodeAt(0));
}

function toText(buffer) {
  const bytes = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function readable(options) {
  const described = (list) => (list || []).map((each) => ({ ...each, id: toBytes(each.id) }));
  const read = { ...options, challenge: toBytes(options.challenge) };
  if (options.user) read.user = { ...options.user, id: toBytes(options.user.id) };
  if (options.allowCredentials) read.allowCredentials = described(options.allowCredentials);
  if (options.excludeCredentials) read.excludeCredentials = described(options.excludeCredentials);
  return read;
}

function sendable(credential) {
  const { response } = credential;
  const said = { clientDataJSON: toText(response.clientDataJSON) };
  if (response.attestationObject) {
    said.attestationObject = toText(response.attestationObject);
    said.transports = response.getTransports ? response.getTransports() : [];
  } else {
    said.authenticatorData = toText(response.authenticatorData);
    said.signature = toText(response.signature);
    if (response.userHandle) said.userHandle = toText(response.userHandle);
  }
  return JSON.stringify({
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment || undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: said,
  });
}

let waiting = null;

async function run(form, mediation) {
  if (waiting) waiting.abort();
  waiting = new AbortController();
  const publicKey = readable(JSON.parse(form.dataset.options));
  const asked = { publicKey, signal: waiting.signal };
  if (mediation) asked.mediation = mediation;
  const credential =
    form.dataset.passkey === "create" ? await navigator.credentials.create(asked) : await navigator.credentials.get(asked);
  form.elements.credential.value = sendable(credential);
  form.submit();
}

function complain(form, shown) {
  const complaint = form.querySelector("[data-failed]");
  if (complaint) complaint.hidden = !shown;
}

function prepare(form) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    complain(form, false);
    button.disabled = true;
    try {
      await run(form);
    } catch (error) {
      button.disabled = false;
      complain(form, true);
      button.focus();
    }
  });
  for (const part of document.querySelectorAll("[data-with-passkeys]")) part.hidden = false;
  for (const part of document.querySelectorAll("[data-without-passkeys]")) part.hidden = true;
}

async function offer(form) {
  // Browsers that can, offer passkeys where the name is typed; nothing happens until one is chosen.
  const can = PublicKeyCredential.isConditionalMediationAvailable;
  if (!can || !(await can.call(PublicKeyCredential))) return;
  try {
    await run(form, "conditional");
  } catch (error) {
    complain(form, false);
  }
}

const PATIENCE_MS = 10000;

function sendOnce(form) {
  let sentAt = -PATIENCE_MS;
  form.addEventListener("submit", (event) => {
    // A browser drops the answer to the first for that to the second, and a code that was right is taken once alone.
    if (event.timeStamp - sentAt < PATIENCE_MS) event.preventDefault();
    else sentAt = event.timeStamp;
  });
  // Who comes back to it sends it anew.
  window.addEventListener("pageshow", () => { sentAt = -PATIENCE_MS; });
}

for (const form of document.querySelectorAll("form[method=post]:not([data-passkey])")) sendOnce(form);

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    prepare(form);
    if ("conditional" in form.dataset) offer(form);
  }
}
