// The npm package oauth4webapi against both hosts. It checks each answer by the letter of its specification, so it also
// stands for resource servers (RFC 9068), for metadata by RFC 8414 and for ID tokens in ES256.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as oauth from "oauth4webapi";
import { REDIRECT_URI, SCOPE, SIGNED_OUT_URI, alice, onEachHost } from "./each_host.mjs";

const HTTP = { [oauth.allowInsecureRequests]: true };

onEachHost("oauth4webapi", (context) => {
  test("metadata is accepted at both well-known addresses and is the same", async () => {
    assert.deepEqual(await metadata(context, "oauth2"), await metadata(context, "oidc"));
  });

  for (const kind of ["confidential", "public"]) {
    test(`a ${kind} client gets a code with iss and state, and tokens that verify`, async () => {
      const as = await metadata(context);
      const { result, client, nonce } = await signIn(as, ...party(context, kind), alice(context));
      const claims = oauth.getValidatedIdTokenClaims(result);
      assert.deepEqual([claims.iss, claims.aud, claims.nonce], [as.issuer, client.client_id, nonce]);
      assert.equal(claims.at_hash, await halfHash(result.access_token));
    });

    test(`a ${kind} client gets a verified ID token again when it refreshes`, async () => {
      const as = await metadata(context);
      const [client, authentication] = party(context, kind);
      const { result } = await signIn(as, client, authentication, alice(context));
      const response = await oauth.refreshTokenGrantRequest(as, client, authentication, result.refresh_token, HTTP);
      const refreshed = await oauth.processRefreshTokenResponse(as, client, response);
      await oauth.validateApplicationLevelSignature(as, response, HTTP);
      const [before, after] = [result, refreshed].map((tokens) => oauth.getValidatedIdTokenClaims(tokens));
      assert.deepEqual([after.sub, after.auth_time], [before.sub, before.auth_time]);
      assert.equal(after.at_hash, await halfHash(refreshed.access_token));
    });
  }

  test("access tokens are JWTs that a resource server can verify", async () => {
    const as = await metadata(context);
    const [client, authentication] = party(context);
    const { result } = await signIn(as, client, authentication, alice(context));
    const request = new Request("https://api.example/", { headers: { authorization: `Bearer ${result.access_token}` } });
    const claims = await oauth.validateJwtAccessToken(as, request, as.issuer, HTTP);
    assert.deepEqual([claims.client_id, claims.scope], [client.client_id, result.scope]);
    await assert.rejects(oauth.validateJwtAccessToken(as, request.clone(), "https://other.example", HTTP), /aud/);
  });

  test("UserInfo is about the subject of the ID token", async () => {
    const as = await metadata(context);
    const [client, authentication] = party(context);
    const { result } = await signIn(as, client, authentication, alice(context));
    const userinfo = await userInfo(as, client, result);
    assert.equal(userinfo.preferred_username, "alice");
    assert.equal(userinfo.email, "alice@example.com");
  });

  test("a revoked access token is inactive, and UserInfo answers it with a challenge", async () => {
    const as = await metadata(context);
    const [client, authentication] = party(context);
    const { result } = await signIn(as, client, authentication, alice(context));
    const introspect = async () =>
      oauth.processIntrospectionResponse(
        as,
        client,
        await oauth.introspectionRequest(as, client, authentication, result.access_token, HTTP),
      );
    const active = await introspect();
    assert.deepEqual([active.active, active.iss, active.token_type], [true, as.issuer, "Bearer"]);
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, result.access_token, HTTP));
    assert.deepEqual(await introspect(), { active: false });
    await assert.rejects(userInfo(as, client, result), (error) => {
      assert.equal(error.cause[0].scheme, "bearer");
      assert.equal(error.cause[0].parameters.error, "invalid_token");
      return true;
    });
  });

  test("a public client may revoke but not introspect", async () => {
    const as = await metadata(context);
    const [client, authentication] = party(context, "public");
    const { result } = await signIn(as, client, authentication, alice(context));
    const refused = await oauth.introspectionRequest(as, client, authentication, result.access_token, HTTP);
    assert.equal(refused.status, 401);
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, authentication, result.access_token, HTTP));
    await assert.rejects(userInfo(as, client, result));
  });

  test("a code is worth nothing to another client", async () => {
    const as = await metadata(context);
    const person = alice(context);
    const asked = await ask(as, party(context)[0], person);
    const [other, none] = party(context, "public");
    const response = await oauth.authorizationCodeGrantRequest(as, other, none, asked.parameters, REDIRECT_URI, asked.verifier, HTTP);
    await assert.rejects(oauth.processAuthorizationCodeResponse(as, other, response), { error: "invalid_grant" });
  });

  test("a client that registers for ES256 gets its ID tokens in ES256", async () => {
    const as = await metadata(context);
    const client = await register(as, { id_token_signed_response_alg: "ES256", grant_types: ["authorization_code", "refresh_token"] });
    const { result } = await signIn(as, client, oauth.ClientSecretBasic(client.client_secret), alice(context));
    const header = JSON.parse(Buffer.from(result.id_token.split(".")[0], "base64url"));
    assert.equal(header.alg, "ES256");
  });

  test("a registered public client reads, changes and deletes its registration", async () => {
    const as = await metadata(context);
    const client = await register(as, { token_endpoint_auth_method: "none", application_type: "native" });
    assert.equal(client.client_secret, undefined);
    const management = (method, body) =>
      oauth.protectedResourceRequest(
        client.registration_access_token,
        method,
        new URL(client.registration_client_uri),
        new Headers(body ? { "content-type": "application/json" } : {}),
        body && JSON.stringify(body),
        HTTP,
      );
    assert.equal((await (await management("GET")).json()).client_id, client.client_id);
    const moved = ["com.example.app:/callback"];
    const change = { client_id: client.client_id, token_endpoint_auth_method: "none", application_type: "native", redirect_uris: moved };
    assert.deepEqual((await (await management("PUT", change)).json()).redirect_uris, moved);
    assert.equal((await management("DELETE")).status, 204);
    await assert.rejects(management("GET"), { status: 401 });
  });

  test("metadata that cannot be registered is refused with its error code", async () => {
    const as = await metadata(context);
    const refused = (metadata) => register(as, metadata);
    await assert.rejects(refused({ redirect_uris: ["https://rp.example/#fragment"] }), { error: "invalid_redirect_uri" });
    await assert.rejects(refused({ grant_types: ["implicit"] }), { error: "invalid_client_metadata" });
  });

  test("sign-out without a hint asks the person first", async () => {
    const as = await metadata(context);
    const [client, authentication] = party(context);
    const person = alice(context);
    await signIn(as, client, authentication, person);
    const to = new URL(as.end_session_endpoint);
    to.search = new URLSearchParams({ client_id: client.client_id, post_logout_redirect_uri: SIGNED_OUT_URI, state: "x" });
    const { left } = await person.visit(to);
    assert.equal(left.href, `${SIGNED_OUT_URI}?state=x`);
    await assert.rejects(ask(as, client, person, { prompt: "none" }), { error: "login_required" });
  });
});

async function metadata({ op }, algorithm = "oidc") {
  const issuer = new URL(op.issuer);
  return oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...HTTP }));
}

function party({ op }, kind = "confidential") {
  return kind === "public"
    ? [{ client_id: op.demo.public_client_id }, oauth.None()]
    : [{ client_id: op.demo.client_id }, oauth.ClientSecretBasic(op.demo.client_secret)];
}

async function register(as, metadata) {
  const response = await oauth.dynamicClientRegistrationRequest(as, { redirect_uris: [REDIRECT_URI], ...metadata }, HTTP);
  return oauth.processDynamicClientRegistrationResponse(response);
}

/** The front channel: sends the person, and takes the answer apart. */
async function ask(as, client, person, more = {}) {
  const [state, nonce, verifier] = [oauth.generateRandomState(), oauth.generateRandomNonce(), oauth.generateRandomCodeVerifier()];
  const to = new URL(as.authorization_endpoint);
  to.search = new URLSearchParams({
    client_id: client.client_id,
    response_type: "code",
    redirect_uri: REDIRECT_URI,
    scope: SCOPE,
    state,
    nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...more,
  });
  const { left, page } = await person.visit(to);
  assert.ok(left, `the issuer keeps the browser: ${page?.text}`);
  return { parameters: oauth.validateAuthResponse(as, client, left, state), nonce, verifier };
}

async function signIn(as, client, authentication, person) {
  const { parameters, nonce, verifier } = await ask(as, client, person);
  const response = await oauth.authorizationCodeGrantRequest(as, client, authentication, parameters, REDIRECT_URI, verifier, HTTP);
  const result = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce, requireIdToken: true });
  await oauth.validateApplicationLevelSignature(as, response, HTTP);
  return { result, client, nonce };
}

async function userInfo(as, client, result) {
  const response = await oauth.userInfoRequest(as, client, result.access_token, HTTP);
  return oauth.processUserInfoResponse(as, client, oauth.getValidatedIdTokenClaims(result).sub, response);
}

/** at_hash by OpenID Connect Core §3.1.3.6, for the algorithms that hash with SHA-256. */
async function halfHash(token) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return Buffer.from(digest, 0, 16).toString("base64url");
}
