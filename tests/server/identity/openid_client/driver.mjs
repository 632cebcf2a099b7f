// Drives openid-client by commands, one JSON object a line on standard input; each gets one line of answer.
//
// The journey through the browser is the test's own: `begin` gives the address to which a browser would go, and
// `finish` takes the address at which it came back.
import * as http from "node:http";
import * as https from "node:https";
import * as readline from "node:readline";
import * as client from "openid-client";

let config;
let dpop;
let checks;
let tokens;
let refreshToken;
let subject;

// Node's own fetch can't show a client certificate, so requests go by node:https.
function fetchWith(tls) {
  const agents = { "https:": new https.Agent({ keepAlive: true, ...tls }), "http:": new http.Agent({ keepAlive: true }) };
  return (address, options) =>
    new Promise((resolve, reject) => {
      const url = new URL(address);
      const body = options.body instanceof URLSearchParams ? options.body.toString() : options.body;
      const headers = Object.fromEntries(new Headers(options.headers));
      if (body != null) headers["content-length"] = Buffer.byteLength(body);
      const { request: open } = url.protocol === "http:" ? http : https;
      const request = open(url, { method: options.method, headers, agent: agents[url.protocol] }, (answer) => {
        const pieces = [];
        answer.on("data", (piece) => pieces.push(piece));
        answer.on("error", reject);
        answer.on("end", () => {
          const empty = [204, 304].includes(answer.statusCode);
          const headers = new Headers();
          for (let at = 0; at < answer.rawHeaders.length; at += 2) {
            headers.append(answer.rawHeaders[at], answer.rawHeaders[at + 1]);
          }
          resolve(new Response(empty ? null : Buffer.concat(pieces), { status: answer.statusCode, headers }));
        });
      });
      request.on("error", reject);
      if (body != null) request.write(body);
      request.end();
    });
}

async function privateKey(jwk) {
  const parameters = {
    ES256: { name: "ECDSA", namedCurve: "P-256" },
    PS256: { name: "RSA-PSS", hash: "SHA-256" },
    EdDSA: { name: "Ed25519" },
    Ed25519: { name: "Ed25519" },
  }[jwk.alg];
  const { alg, use, key_ops, ...bare } = jwk;
  return { key: await crypto.subtle.importKey("jwk", bare, parameters, false, ["sign"]), kid: jwk.kid };
}

const commands = {
  async configure({ issuer, clientId, jwk, tls, mtls, useDpop, jarm, metadata }) {
    const key = jwk && (await privateKey(jwk));
    const authentication = mtls ? client.TlsClientAuth() : client.PrivateKeyJwt(key);
    config = await client.discovery(
      new URL(issuer),
      clientId,
      { use_mtls_endpoint_aliases: Boolean(tls.cert), ...metadata },
      authentication,
      {
        [client.customFetch]: fetchWith(tls),
        // A server on the developer's own machine may do without TLS.
        execute: issuer.startsWith("http://127.0.0.1") ? [client.allowInsecureRequests] : [],
      },
    );
    dpop = useDpop ? client.getDPoPHandle(config, await client.randomDPoPKeyPair("ES256")) : undefined;
    if (jarm) client.useJwtResponseMode(config);
    client.enableNonRepudiationChecks(config);
    return { metadata: config.serverMetadata() };
  },

  async begin({ parameters, jarKey }) {
    const verifier = client.randomPKCECodeVerifier();
    checks = {
      pkceCodeVerifier: verifier,
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
      idTokenExpected: true,
    };
    let asked = {
      ...parameters,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state: checks.expectedState,
      nonce: checks.expectedNonce,
    };
    if (dpop) asked.dpop_jkt = await dpop.calculateThumbprint();
    if (jarKey) {
      const signed = await client.buildAuthorizationUrlWithJAR(config, asked, await privateKey(jarKey));
      asked = Object.fromEntries(signed.searchParams);
    }
    const url = await client.buildAuthorizationUrlWithPAR(config, asked, { DPoP: dpop });
    return { url: url.href };
  },

  async finish({ callback }) {
    tokens = await client.authorizationCodeGrant(config, new URL(callback), checks, undefined, { DPoP: dpop });
    refreshToken = tokens.refresh_token;
    subject = tokens.claims().sub;
    return { tokenType: tokens.token_type, scope: tokens.scope, claims: tokens.claims(), refresh: Boolean(tokens.refresh_token) };
  },

  async resource({ url, method }) {
    const answer = await client.fetchProtectedResource(
      config, tokens.access_token, new URL(url), method ?? "GET", undefined, undefined, { DPoP: dpop },
    );
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  },

  async forItself({ parameters }) {
    const issued = await client.clientCredentialsGrant(config, parameters, { DPoP: dpop });
    return { tokenType: issued.token_type, scope: issued.scope, token: issued.access_token };
  },

  async userinfo() {
    return { userinfo: await client.fetchUserInfo(config, tokens.access_token, subject, { DPoP: dpop }) };
  },

  async refresh() {
    const before = tokens.access_token;
    tokens = await client.refreshTokenGrant(config, refreshToken, undefined, { DPoP: dpop });
    refreshToken = tokens.refresh_token ?? refreshToken;
    return { changed: tokens.access_token !== before, tokenType: tokens.token_type };
  },

  async introspect() {
    return { introspection: await client.tokenIntrospection(config, tokens.access_token) };
  },

  async revoke() {
    await client.tokenRevocation(config, refreshToken);
    return {};
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: await commands[command](given) };
  } catch (error) {
    const { name, message, code, error: oauth, error_description, status } = error;
    const cause = error.cause && String(error.cause.message ?? JSON.stringify(error.cause));
    answer = { error: { name, message, code, oauth, error_description, status, cause } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
