"use strict";

// A form with data-card encrypts what was typed to the tenant's key, in the browser, and sends that alone: a compact JWE
// (RFC 7516), ECDH-ES (RFC 7518, section 4.6) and A256GCM. Its fields have no names, so a browser sends none of them.

const text = new TextEncoder();

function base64url(bytes) {
  const characters = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  return btoa(characters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function number32(value) {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

async function contentKey(secret, algorithm) {
  // One round of the Concat KDF (NIST SP 800-56A) gives the 256 bits that are needed. There is no PartyUInfo or PartyVInfo.
  const name = text.encode(algorithm);
  const said = joined(number32(1), secret, number32(name.length), name, number32(0), number32(0), number32(256));
  return crypto.subtle.digest("SHA-256", said);
}

async function sealed(card, key, audience) {
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const theirs = { kty: "EC", crv: "P-256", x: key.x, y: key.y };
  const recipient = await crypto.subtle.importKey("jwk", theirs, curve, false, []);
  const pair = await crypto.subtle.generateKey(curve, true, ["deriveBits"]);
  const shared = await crypto.subtle.deriveBits({ name: "ECDH", public: recipient }, pair.privateKey, 256);
  const ours = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const epk = { kty: "EC", crv: "P-256", x: ours.x, y: ours.y };
  const header = { alg: "ECDH-ES", enc: "A256GCM", kid: key.kid, aud: audience, epk };
  const encoded = base64url(text.encode(JSON.stringify(header)));
  const bits = await contentKey(new Uint8Array(shared), header.enc);
  const cipher = await crypto.subtle.importKey("raw", bits, "AES-GCM", false, ["encrypt"]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const bound = { name: "AES-GCM", iv, additionalData: text.encode(encoded), tagLength: 128 };
  const made = new Uint8Array(await crypto.subtle.encrypt(bound, cipher, text.encode(JSON.stringify(card))));
  return [encoded, "", base64url(iv), base64url(made.slice(0, -16)), base64url(made.slice(-16))].join(".");
}

function holdsLuhn(digits) {
  let sum = 0;
  for (let at = 0; at < digits.length; at += 1) {
    const digit = Number(digits[digits.length - 1 - at]);
    sum += at % 2 ? (digit * 2 > 9 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

// What was typed as a card, or the name of the field that is wrong and what to say of it.
function read(form) {
  const of = (id) => form.querySelector(`#${id}`).value.trim();
  const digits = of("number").replace(/[\s-]/g, "");
  if (!/^[0-9]{12,19}$/.test(digits) || !holdsLuhn(digits)) return { wrong: ["number", "number"] };
  const expiry = /^(0?[1-9]|1[0-2])\s*[/.-]?\s*((?:20)?[0-9]{2})$/.exec(of("expiry"));
  if (!expiry) return { wrong: ["expiry", "expiry"] };
  const month = Number(expiry[1]);
  const year = expiry[2].length === 2 ? 2000 + Number(expiry[2]) : Number(expiry[2]);
  // A card is good to the end of its month, wherever it is that month still.
  if (Date.UTC(year, month, 1) + 12 * 3600 * 1000 < Date.now()) return { wrong: ["expiry", "expired"] };
  if (!/^[0-9]{3,4}$/.test(of("cvc"))) return { wrong: ["cvc", "cvc"] };
  const card = { number: digits, expiry_month: month, expiry_year: year, cvc: of("cvc") };
  if (of("holder")) card.holder = of("holder");
  return { card };
}

function complain(form, id, said) {
  const notice = document.querySelector("[data-complaint]");
  notice.querySelector("[data-complaint-text]").textContent = form.dataset[`say${said[0].toUpperCase()}${said.slice(1)}`];
  notice.hidden = false;
  for (const field of form.querySelectorAll("input[id]")) {
    field.removeAttribute("aria-invalid");
    field.parentElement.classList.remove("wrong");
  }
  const field = id && form.querySelector(`#${id}`);
  if (!field) return;
  field.setAttribute("aria-invalid", "true");
  field.parentElement.classList.add("wrong");
  field.focus();
}

function prepare(form) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const typed = read(form);
    if (typed.wrong) {
      complain(form, ...typed.wrong);
      return;
    }
    button.disabled = true;
    try {
      form.elements.jwe.value = await sealed(typed.card, JSON.parse(form.dataset.key), form.dataset.audience);
    } catch (error) {
      button.disabled = false;
      complain(form, null, "other");
      return;
    }
    for (const field of form.querySelectorAll("input[id]")) field.value = "";
    form.submit();
  });
  form.querySelector("#number").addEventListener("blur", ({ target }) => {
    const digits = target.value.replace(/[\s-]/g, "");
    if (/^[0-9]{12,19}$/.test(digits)) target.value = digits.replace(/(.{4})(?=.)/g, "$1 ");
  });
  button.disabled = !(window.crypto && crypto.subtle);
  if (button.disabled) complain(form, null, "other");
}

for (const form of document.querySelectorAll("form[data-card]")) prepare(form);

const done = document.querySelector("[data-card-done]");
if (done && window.parent !== window) {
  const message = { type: "billfold.card_session.completed", card_session: done.dataset.cardDone };
  // Only the page around us that may be there hears of it.
  for (const origin of done.dataset.origins.split(" ")) window.parent.postMessage(message, origin);
}
