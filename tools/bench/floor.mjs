// The floor of `cargo xtask bench`: what any issuer on Workers has to spend, and nothing else.
//
// A token request is the same D1 batch as Vedette's (the SQL text comes from Vedette's own crate, the rows are a copy of
// Vedette's database) and the same WebCrypto signatures; a document is a bare response. No client is authenticated outside
// SQL, nothing is sealed, parsed or checked, nothing is logged but below `/logged`. It is no issuer: it believes whatever it is told.
//
// `POST /floor/prepare` makes the keys and reads who everything is for, so that no measured request has to;
// `/floor/keys` and `/floor/rows` are for seeing that it does its work.

const TEXT = { headers: { "content-type": "application/json" } };
const BASE64URL = { alphabet: "base64url", omitPadding: true };
const GRANT_LIFETIME = 90 * 24 * 3600;
const TOKEN_LIFETIME = 600;
const GRACE = 40;

const encoder = new TextEncoder();
let who;                    // the constants of every request: ids, SQL, keys

export default {
  fetch(request, env) {
    const url = request.url;
    switch (url.slice(url.indexOf("/", 8))) {
      case "/.well-known/openid-configuration": return bare(env.DISCOVERY);
      case "/jwks": return bare(env.JWKS);
      case "/logged/.well-known/openid-configuration": return logged(env.DISCOVERY);
      case "/logged/jwks": return logged(env.JWKS);
      case "/token": return token(request, env.DB);
      case "/userinfo": return userinfo(request, env.DB);
      case "/floor/prepare": return prepare(request, env);
      case "/floor/keys": return Response.json({ keys: [who.access.jwk, who.id.jwk] });
      case "/floor/rows": return rows(env.DB);
      default: return new Response(null, { status: 404 });
    }
  },
};

// Setting the header afterwards is the cheaper way; see src/cloudflare/response.rs.
function bare(text) {
  const response = new Response(text);
  response.headers.set("content-type", "application/json");
  return response;
}

// The second floor of the documents: one log line is what Vedette owes for every request.
function logged(text) {
  console.log(JSON.stringify({ level: "info", time: seconds(), request_id: who.nonce, tenant: who.tenant, endpoint: "document", method: "GET", status: 200, sql: 0, kv: 0 }));
  return bare(text);
}

async function token(request, db) {
  const form = new URLSearchParams(await request.text());
  switch (form.get("grant_type")) {
    case "authorization_code": return redeem(db);
    case "refresh_token": return refresh(db, form.get("refresh_token"));
    default: return clientCredentials(db);
  }
}

async function redeem(db) {
  const { tenant, client, secret, user, session, sql } = who;
  const [grant, attempt, now] = [id(16), id(16), seconds()];
  const [insert, end, outcome, audit] = sql.redeem;
  const results = await db.batch([
    db.prepare(insert).bind(tenant, grant, client, user, session.id, secret, who.scope, "{}", session.auth_time,
      session.acr, session.amr, 1, attempt, now, now + GRANT_LIFETIME),
    db.prepare(end).bind(tenant, grant, client, secret, now, attempt),
    db.prepare(outcome).bind(tenant, grant, client, secret),
    db.prepare(audit).bind(tenant, grant, client, secret, attempt, now, "127.0.0.1", id(12)),
  ]);
  const row = results[2].results[0];
  if (row.redeemed_by !== attempt) return new Response("the batch did not make the grant", { status: 500 });
  return tokens(row, now, 0);
}

async function refresh(db, presented) {
  const { tenant, client, secret, sql } = who;
  const [grant, counted] = presented.split(".");
  const [attempt, now, generation] = [id(16), seconds(), Number(counted)];
  const [step, end, outcome, audit] = sql.refresh;
  const results = await db.batch([
    db.prepare(step).bind(tenant, grant, client, secret, generation, now, attempt, now - GRACE),
    db.prepare(end).bind(tenant, grant, client, secret, generation, now, attempt, now - GRACE),
    db.prepare(outcome).bind(tenant, grant, client, secret),
    db.prepare(audit).bind(tenant, grant, client, secret, generation, attempt, now, "127.0.0.1", id(12)),
  ]);
  const row = results[2].results[0];
  if (row.rotated_by !== attempt) return new Response("the batch did not step the grant", { status: 500 });
  return tokens(row, now, generation + 1);
}

async function tokens(row, now, generation) {
  const iat = now;
  const exp = now + TOKEN_LIFETIME;
  const common = { iss: who.issuer, sub: row.user_id, iat, exp, auth_time: row.auth_time, acr: row.acr, amr: row.amr.split(" ") };
  const [access, identity] = await Promise.all([
    jwt(who.access, { ...common, aud: who.issuer, client_id: who.client, jti: id(16), scope: row.scope, grant_id: row.id }),
    jwt(who.id, { ...common, aud: who.client, sid: row.session_id, nonce: who.nonce, at_hash: who.nonce }),
  ]);
  return answer({
    access_token: access,
    expires_in: TOKEN_LIFETIME,
    id_token: identity,
    refresh_token: `${row.id}.${generation}`,
    scope: row.scope,
    token_type: "Bearer",
  });
}

async function clientCredentials(db) {
  const { tenant, client, secret, sql } = who;
  const row = await db.prepare(sql.client).bind(tenant, client).first();
  if (row.secret_hash !== secret) return new Response("the client's row is another's", { status: 500 });
  const now = seconds();
  const claims = { iss: who.issuer, sub: client, aud: who.issuer, client_id: client, iat: now, exp: now + TOKEN_LIFETIME, jti: id(16) };
  return answer({ access_token: await jwt(who.access, claims), expires_in: TOKEN_LIFETIME, token_type: "Bearer" });
}

// The access token is read, not verified: the grant to ask for is in it.
async function userinfo(request, db) {
  const { tenant, client, access, sql } = who;
  const payload = request.headers.get("authorization").split(".")[1];
  const claims = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(payload, { alphabet: "base64url" })));
  const row = await db.prepare(sql.standing).bind(tenant, client, claims.jti, claims.grant_id, access.jwk.kid).first();
  if (row.revoked_at !== null || row.user_id !== claims.sub) return new Response("the grant is not live", { status: 500 });
  return answer({ ...JSON.parse(row.user_claims), sub: claims.sub, updated_at: row.updated_at });
}

function answer(body) {
  return new Response(JSON.stringify(body), TEXT);
}

async function jwt({ algorithm, key, header }, claims) {
  const input = `${header}.${base64url(encoder.encode(JSON.stringify(claims)))}`;
  const signature = await crypto.subtle.sign(algorithm, key, encoder.encode(input));
  return `${input}.${base64url(new Uint8Array(signature))}`;
}

function id(bytes) {
  return base64url(crypto.getRandomValues(new Uint8Array(bytes)));
}

function base64url(bytes) {
  return bytes.toBase64(BASE64URL);
}

function seconds() {
  return Math.floor(Date.now() / 1000);
}

async function prepare(request, { DB, FLOOR }) {
  const { client, username, scope } = await request.json();
  const tenant = await DB.prepare("SELECT id, issuer FROM tenants").first();
  const user = await DB.prepare("SELECT id FROM users WHERE username = ?1").bind(username).first();
  const session = await DB.prepare("SELECT id, auth_time, acr, amr FROM sessions WHERE user_id = ?1 AND ended_at IS NULL").bind(user.id).first();
  const { secret_hash: secret } = await DB.prepare("SELECT secret_hash FROM clients WHERE id = ?1").bind(client).first();
  who = {
    tenant: tenant.id,
    issuer: tenant.issuer,
    client,
    secret,
    scope,
    user: user.id,
    session,
    nonce: id(16),
    sql: FLOOR.sql,
    access: await signer("at+jwt", "ES256", { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }),
    id: await signer("JWT", "RS256", { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }),
  };
  return Response.json({});
}

async function signer(typ, alg, algorithm) {
  const { privateKey: key, publicKey } = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const kid = id(32);
  const { kty, n, e, crv, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  const header = base64url(encoder.encode(JSON.stringify({ alg, kid, typ })));
  return { algorithm, key, header, jwk: { kty, n, e, crv, x, y, kid, alg, use: "sig" } };
}

async function rows(db) {
  const count = (table) => db.prepare(`SELECT count(*) AS n FROM ${table}`).first("n");
  return Response.json({
    grants: await count("grants"),
    audit_events: await count("audit_events"),
    generations: await db.prepare("SELECT sum(generation) AS n FROM grants").first("n"),
  });
}
