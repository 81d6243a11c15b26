// The npm package openid-client against both hosts, as an application would use it. ID tokens are verified by signature too.

import assert from "node:assert/strict";
import { test } from "node:test";
import * as oidc from "openid-client";
import { REDIRECT_URI, SCOPE, SIGNED_OUT_URI, alice, onEachHost } from "./each_host.mjs";

onEachHost("openid-client", (context) => {
  test("discovery is accepted and offers PKCE", async () => {
    const metadata = (await configuration(context)).serverMetadata();
    assert.equal(metadata.issuer, context.op.issuer);
    assert.ok(metadata.supportsPKCE());
  });

  for (const kind of ["confidential", "public"]) {
    test(`a ${kind} client signs a person in with PKCE and gets a signed ID token with its nonce`, async () => {
      const before = Math.floor(Date.now() / 1000);
      const client = await configuration(context, kind);
      const { tokens, nonce } = await signIn(client, alice(context), { max_age: "300" }, { maxAge: 300 });
      const claims = tokens.claims();
      assert.equal(claims.iss, context.op.issuer);
      assert.equal(claims.aud, client.clientMetadata().client_id);
      assert.equal(claims.nonce, nonce);
      assert.ok(claims.auth_time >= before - 5 && claims.auth_time <= Date.now() / 1000 + 5, `auth_time ${claims.auth_time}`);
      assert.deepEqual(new Set(tokens.scope.split(" ")), new Set(SCOPE.split(" ")));
    });

    test(`a ${kind} client refreshes, and the successor refreshes again`, async () => {
      const client = await configuration(context, kind);
      const { tokens: first } = await signIn(client, alice(context));
      const second = await oidc.refreshTokenGrant(client, first.refresh_token);
      const third = await oidc.refreshTokenGrant(client, second.refresh_token);
      for (const tokens of [second, third]) {
        const { sub, auth_time, sid } = tokens.claims();
        assert.deepEqual({ sub, auth_time, sid }, (({ sub, auth_time, sid }) => ({ sub, auth_time, sid }))(first.claims()));
      }
      assert.equal(new Set([first, second, third].map((tokens) => tokens.access_token)).size, 3);
      assert.equal((await oidc.fetchUserInfo(client, third.access_token, first.claims().sub)).email, "alice@example.com");
    });

    test(`a ${kind} client revokes, and nothing of the grant works any more`, async () => {
      const client = await configuration(context, kind);
      const { tokens } = await signIn(client, alice(context));
      await oidc.tokenRevocation(client, tokens.refresh_token, { token_type_hint: "refresh_token" });
      await assert.rejects(oidc.refreshTokenGrant(client, tokens.refresh_token), { error: "invalid_grant" });
      await assert.rejects(oidc.fetchUserInfo(client, tokens.access_token, tokens.claims().sub), { status: 401 });
    });
  }

  test("UserInfo has the claims of all scopes that were allowed", async () => {
    const client = await configuration(context);
    const { tokens } = await signIn(client, alice(context));
    const userinfo = await oidc.fetchUserInfo(client, tokens.access_token, tokens.claims().sub);
    assert.equal(userinfo.name, "Alice Maria Example");
    assert.deepEqual([userinfo.email, userinfo.email_verified], ["alice@example.com", true]);
    assert.deepEqual([userinfo.phone_number, userinfo.phone_number_verified], ["+43155501234", true]);
    assert.equal(userinfo.address.locality, "Vienna");
  });

  test("UserInfo has no claims of scopes that were not asked for", async () => {
    const client = await configuration(context);
    const { tokens } = await signIn(client, alice(context), { scope: "openid email" });
    const userinfo = await oidc.fetchUserInfo(client, tokens.access_token, tokens.claims().sub);
    assert.deepEqual(Object.keys(userinfo).sort(), ["email", "email_verified", "sub"]);
    assert.equal(tokens.refresh_token, undefined, "a refresh token without offline_access");
  });

  test("introspection calls a token active until it is revoked", async () => {
    const client = await configuration(context);
    const { tokens } = await signIn(client, alice(context));
    const active = await oidc.tokenIntrospection(client, tokens.access_token);
    assert.deepEqual([active.active, active.sub, active.client_id], [true, tokens.claims().sub, context.op.demo.client_id]);
    assert.equal((await oidc.tokenIntrospection(client, tokens.refresh_token)).active, true);
    await oidc.tokenRevocation(client, tokens.access_token);
    assert.deepEqual(await oidc.tokenIntrospection(client, tokens.access_token), { active: false });
    assert.equal((await oidc.tokenIntrospection(client, tokens.refresh_token)).active, true, "the grant went with one access token");
  });

  test("a confidential client gets a token of its own by client_credentials", async () => {
    const client = await configuration(context);
    const tokens = await oidc.clientCredentialsGrant(client);
    const { active, sub } = await oidc.tokenIntrospection(client, tokens.access_token);
    assert.deepEqual([active, sub], [true, context.op.demo.client_id]);
  });

  test("an answer by form_post is accepted", async () => {
    const client = await configuration(context);
    const { tokens } = await signIn(client, alice(context), { response_mode: "form_post" });
    assert.ok(tokens.claims().sub);
  });

  test("a denied consent comes back as access_denied", async () => {
    const client = await configuration(context);
    await assert.rejects(signIn(client, alice(context, { allow: false }), { prompt: "consent" }), { error: "access_denied" });
  });

  test("a client registers itself and signs a person in with client_secret_post", async () => {
    const client = await register(context, { token_endpoint_auth_method: "client_secret_post" }, oidc.ClientSecretPost());
    const { tokens } = await signIn(client, alice(context), { scope: "openid email" });
    assert.equal(tokens.claims().aud, client.clientMetadata().client_id);
  });

  test("a registered client reads, changes and deletes its registration", async () => {
    const client = await register(context, { client_name: "Before" });
    const { registration_client_uri, registration_access_token, ...registered } = client.clientMetadata();
    const call = (method, body) =>
      fetch(registration_client_uri, {
        method,
        headers: { authorization: `Bearer ${registration_access_token}`, ...(body ? { "content-type": "application/json" } : {}) },
        body: body && JSON.stringify(body),
      });
    const read = await (await call("GET")).json();
    assert.equal(read.client_name, "Before");
    const update = { client_id: registered.client_id, client_name: "After", redirect_uris: registered.redirect_uris };
    const updated = await call("PUT", update);
    assert.deepEqual([updated.status, (await updated.json()).client_name], [200, "After"]);
    assert.equal((await call("DELETE")).status, 204);
    assert.equal((await call("GET")).status, 401);
    await assert.rejects(oidc.clientCredentialsGrant(client), { status: 401 }, "the deleted client still authenticates");
  });

  test("RP-initiated sign-out comes back with its state and ends the session", async () => {
    const client = await configuration(context);
    const person = alice(context);
    const { tokens } = await signIn(client, person);
    assert.ok((await signIn(client, person, { prompt: "none" })).tokens, "the session is not there to begin with");
    const to = oidc.buildEndSessionUrl(client, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: SIGNED_OUT_URI,
      state: "good bye",
    });
    const { left } = await person.visit(to);
    assert.equal(left.href, `${SIGNED_OUT_URI}?state=good+bye`);
    await assert.rejects(signIn(client, person, { prompt: "none" }), { error: "login_required" });
  });
});

async function configuration({ op }, kind = "confidential") {
  const [id, authentication] =
    kind === "public" ? [op.demo.public_client_id, oidc.None()] : [op.demo.client_id, oidc.ClientSecretBasic(op.demo.client_secret)];
  const client = await oidc.discovery(new URL(op.issuer), id, undefined, authentication, { execute: [oidc.allowInsecureRequests] });
  oidc.enableNonRepudiationChecks(client);
  return client;
}

async function register({ op }, metadata, authentication) {
  const client = await oidc.dynamicClientRegistration(
    new URL(op.issuer),
    { redirect_uris: [REDIRECT_URI], ...metadata },
    authentication,
    { execute: [oidc.allowInsecureRequests] },
  );
  oidc.enableNonRepudiationChecks(client);
  return client;
}

async function signIn(client, person, parameters = {}, checks = {}) {
  const [state, nonce, verifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()];
  const to = oidc.buildAuthorizationUrl(client, {
    redirect_uri: REDIRECT_URI,
    scope: SCOPE,
    state,
    nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...parameters,
  });
  const { left, method, body, page } = await person.visit(to);
  assert.ok(left, `the issuer keeps the browser: ${page?.text}`);
  const answer = method === "POST" ? new Request(left, { method, body }) : left;
  const tokens = await oidc.authorizationCodeGrant(client, answer, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
    ...checks,
  });
  return { tokens, nonce };
}
