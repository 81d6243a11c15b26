// The demo relying party: an ordinary OpenID Connect client, built with openid-client, that signs people in through Vedette.
//
// It keeps sessions in memory and is for trying things out, not for copying into production. From the environment:
//   DEMO_JSON         the demo.json that `cargo xtask dev --demo` wrote
//   DEMO_RP_PORT      where to listen, on this machine only
//   DEMO_RP_URL       where browsers find it
//   DEMO_ISSUER       the issuer
//   DEMO_ISSUER_PORT  where the issuer listens on this machine

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import * as oidc from "openid-client";
import { problemPage, signedInPage, welcomePage } from "./pages.mjs";

const demo = JSON.parse(readFileSync(process.env.DEMO_JSON, "utf8"));
const issuer = new URL(process.env.DEMO_ISSUER);
const own = process.env.DEMO_RP_URL;
const port = Number(process.env.DEMO_RP_PORT);
const stylesheet = readFileSync(new URL("style.css", import.meta.url));

const SCOPE = "openid profile email address phone offline_access";
const COOKIE = `demo_rp_${port}`;       // cookies do not tell ports apart, so the name does
const MOST_SESSIONS = 1000;

const sessions = new Map();
let discovered;

const routes = {
  "GET /": home,
  "GET /sign-in": signIn,
  "GET /callback": callback,
  "POST /refresh": refresh,
  "POST /sign-out": signOut,
  "GET /health": (_request, response) => send(response, 200, "application/json", '{"status":"ok"}'),
  "GET /style.css": (_request, response) => send(response, 200, "text/css; charset=utf-8", stylesheet),
};

for (const host of ["127.0.0.1", "::1"]) {
  const server = createServer(handle);
  server.on("error", (error) => {
    if (host === "::1" && error.code !== "EADDRINUSE") return;      // a machine without IPv6
    process.stderr.write(`the demo relying party cannot listen on port ${port}: ${error.message}\n`);
    process.exit(1);
  });
  server.listen(port, host);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(0));

async function handle(request, response) {
  const url = new URL(request.url, own);
  const route = routes[`${request.method} ${url.pathname}`];
  if (!route) return page(response, 404, problemPage("There is no such page", `${request.method} ${url.pathname}`));
  if (request.method === "POST" && !fromOurselves(request)) {
    return page(response, 403, problemPage("This form was not sent by the demo's own page", "Open the demo and try again."));
  }
  try {
    await route(request, response, url);
  } catch (error) {
    // An answer that says no, such as access_denied, is an answer; anything else is a failure between the two servers.
    const status = error instanceof oidc.AuthorizationResponseError ? 400 : 502;
    page(response, status, problemPage("That did not work", ...explained(error)));
  }
}

async function home(request, response, url) {
  const session = sessionOf(request);
  if (!session?.tokens) return page(response, 200, welcomePage(process.env.DEMO_ISSUER, url.searchParams.get("state") === "signed-out"));
  const userinfo = await userInfo(session).catch((error) => ({ failed: explained(error) }));
  page(response, 200, signedInPage({ ...session, userinfo, issuer: process.env.DEMO_ISSUER }));
}

// OpenID Connect Core §3.1.2.1, with PKCE (RFC 7636). offline_access asks for consent each time (Core §11).
async function signIn(_request, response) {
  const client = await configuration();
  const pending = { state: oidc.randomState(), nonce: oidc.randomNonce(), verifier: oidc.randomPKCECodeVerifier() };
  const to = oidc.buildAuthorizationUrl(client, {
    redirect_uri: demo.redirect_uri,
    scope: SCOPE,
    prompt: "consent",
    state: pending.state,
    nonce: pending.nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(pending.verifier),
    code_challenge_method: "S256",
  });
  newSession(response, { pending });
  redirect(response, to.href);
}

async function callback(request, response, url) {
  const pending = sessionOf(request)?.pending;
  if (!pending) {
    const said = [url.searchParams.get("error"), url.searchParams.get("error_description")].filter(Boolean).join(": ");
    return page(response, 400, problemPage("Nobody started to sign in here", "The answer belongs to no sign-in of this browser. Start again.", said));
  }
  endSession(request);
  const tokens = await oidc.authorizationCodeGrant(await configuration(), url, {
    pkceCodeVerifier: pending.verifier,
    expectedState: pending.state,
    expectedNonce: pending.nonce,
    idTokenExpected: true,
  });
  newSession(response, { tokens, claims: tokens.claims(), idToken: tokens.id_token, refreshes: 0 });
  redirect(response, "/");
}

async function refresh(request, response) {
  const session = sessionOf(request);
  if (!session?.tokens) return redirect(response, "/");
  if (!session.tokens.refresh_token) {
    return page(response, 409, problemPage("There is no refresh token", "The issuer gave none: was offline_access allowed?"));
  }
  const tokens = await oidc.refreshTokenGrant(await configuration(), session.tokens.refresh_token);
  session.tokens = { ...tokens, refresh_token: tokens.refresh_token ?? session.tokens.refresh_token };
  session.claims = tokens.claims() ?? session.claims;
  session.idToken = tokens.id_token ?? session.idToken;
  session.refreshes += 1;
  redirect(response, "/");
}

// OpenID Connect RP-Initiated Logout 1.0 §2.
async function signOut(request, response) {
  const session = sessionOf(request);
  endSession(request);
  if (!session?.idToken) return redirect(response, "/");
  const to = oidc.buildEndSessionUrl(await configuration(), {
    id_token_hint: session.idToken,
    post_logout_redirect_uri: `${own}/`,
    state: "signed-out",
  });
  redirect(response, to.href);
}

// The two talk to each other on this machine, whatever name and certificate the issuer shows to browsers.
function direct(url, options) {
  const target = new URL(url);
  if (target.origin === issuer.origin) {
    target.protocol = "http:";
    target.host = `127.0.0.1:${process.env.DEMO_ISSUER_PORT}`;
  }
  return fetch(target, options);
}

async function configuration() {
  discovered ??= await oidc.discovery(issuer, demo.client_id, undefined, oidc.ClientSecretBasic(demo.client_secret), {
    [oidc.customFetch]: direct,
    execute: issuer.protocol === "http:" ? [oidc.allowInsecureRequests] : [],
  });
  return discovered;
}

async function userInfo(session) {
  return oidc.fetchUserInfo(await configuration(), session.tokens.access_token, session.claims.sub);
}

function sessionOf(request) {
  const cookies = (request.headers.cookie ?? "").split(/; */);
  const found = cookies.find((cookie) => cookie.startsWith(`${COOKIE}=`));
  return found && sessions.get(found.slice(COOKIE.length + 1));
}

function newSession(response, session) {
  const id = randomBytes(24).toString("base64url");
  if (sessions.size >= MOST_SESSIONS) sessions.delete(sessions.keys().next().value);
  sessions.set(id, { ...session, id });
  const secure = own.startsWith("https:") ? "; Secure" : "";
  response.setHeader("set-cookie", `${COOKIE}=${id}; Path=/; HttpOnly; SameSite=Lax${secure}`);
}

function endSession(request) {
  const session = sessionOf(request);
  if (session) sessions.delete(session.id);
}

function fromOurselves(request) {
  return ["same-origin", "none", undefined].includes(request.headers["sec-fetch-site"]);
}

// What went wrong, in a sentence and with what the issuer said about it.
function explained(error) {
  const said = [error.error, error.error_description].filter(Boolean).join(": ");
  if (said) return [`The issuer answered ${said}`, error.code];
  const cause = error.cause;
  if (cause?.cause?.code === "ECONNREFUSED" || cause?.code === "ECONNREFUSED") return ["The issuer does not answer. Is it still running?", cause.code];
  const detail = cause instanceof Error ? cause.message : "";
  return [error.message, [error.code, detail].filter(Boolean).join(" ")];
}

function redirect(response, location) {
  response.writeHead(303, { location, "cache-control": "no-store" }).end();
}

function page(response, status, html) {
  response.setHeader(
    "content-security-policy",
    // Chromium holds a form's redirect to form-action too, and ours lead to the issuer.
    `default-src 'none'; style-src 'self'; img-src data:; form-action 'self' ${issuer.origin}; base-uri 'none'; frame-ancestors 'none'`,
  );
  send(response, status, "text/html; charset=utf-8", html);
}

function send(response, status, type, body) {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}
