// One person, one client, everything in between: OpenID Connect Core §3.1 from the first page to signing out.

import assert from "node:assert/strict";
import { createHash, webcrypto } from "node:crypto";
import { describe, test } from "node:test";
import { answer, assertError, EVERY_SCOPE, headerOf, spoiled, verified } from "../relying_party.mjs";

export function flow(target) {
  describe("the whole flow", () => {
    const rp = target.relyingParty();
    const browser = target.browser();
    const person = target.alice;
    const request = rp.request();
    let page;
    let tokens;
    let refreshed;

    test("the authorization endpoint shows a page that asks for a password, under the strictest policy", async () => {
      page = await browser.open(request.url(target.base));
      assert.equal(page.status, 200);
      assert.equal(page.asksFor, "password");
      const policy = page.headers.get("content-security-policy");
      assert.match(policy, /default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe|script-src/);
      assert.doesNotMatch(page.text, /<script|<style| style=| on[a-z]+=/i);
      assert.equal(page.headers.get("cache-control"), "no-store");
    });

    test("cookies are out of scripts' reach and are not sent with other sites' requests", () => {
      assert.equal(page.setCookies.length, 1);
      const { attributes } = page.setCookies[0];
      assert.deepEqual({ ...attributes }, { path: "/", httponly: true, samesite: "Lax" });
    });

    test("a form without this browser's cookie, or with another's, signs nobody in", async () => {
      const stranger = target.browser();
      const without = await answer(stranger, page, person);
      assert.deepEqual([without.status, without.setCookies], [400, []]);
      await stranger.open(rp.request().url(target.base));
      const withAnother = await answer(stranger, page, person);
      assert.deepEqual([withAnother.status, withAnother.setCookies], [400, []]);
      assert.equal(withAnother.location, null);
    });

    test("a wrong password is told without saying which of the two was wrong", async () => {
      const wrong = await answer(browser, page, { ...person, password: "not the password" });
      const unknown = await answer(browser, page, { ...person, username: "nobody-of-that-name" });
      for (const shown of [wrong, unknown]) {
        assert.equal(shown.status, 422);
        assert.equal(shown.asksFor, "password");
        assert.ok(!shown.text.includes("not the password"));
      }
      const problem = (shown) => shown.text.match(/<p class="notice"[^>]*>(.*?)<\/p>/s)[1];
      assert.equal(problem(wrong), problem(unknown));
    });

    test("the right password leads to the consent page, with a session", async () => {
      page = await answer(browser, page, person);
      assert.equal(page.status, 200);
      assert.equal(page.asksFor, "allow");
      assert.ok(page.text.includes("alice"));
      assert.ok(page.setCookies.some(({ attributes }) => Number(attributes["max-age"]) > 0));
    });

    test("allowing answers the client with a code, its state and the issuer, in the query", async () => {
      page = await browser.send(page, {}, "allow");
      assert.deepEqual(Object.keys(rp.answerIn(request, page)).sort(), ["code", "iss", "state"]);
      assert.equal(page.headers.get("cache-control"), "no-store");
      assert.equal(page.headers.get("referrer-policy"), "no-referrer");
    });

    test("the code is for this client, this redirect URI and this verifier, and mistakes do not use it up", async () => {
      const code = rp.codeIn(request, page);
      const other = await target.newRelyingParty();
      const mistakes = [
        rp.redeem(request, code, { code_verifier: "x".repeat(43) }),
        rp.redeem(request, code, { code_verifier: "" }),
        rp.redeem(request, code, { redirect_uri: `${rp.redirectUri}/` }),
        rp.redeem(request, spoiled(code)),
        other.redeem(request, code),
      ];
      for (const mistake of await Promise.all(mistakes)) assertError(mistake, 400, "invalid_grant");
      const unauthenticated = await target.form("/token", { grant_type: "authorization_code", client_id: rp.client.client_id, code });
      assertError(unauthenticated, 401, "invalid_client");

      const answer = await rp.redeem(request, code);
      assert.equal(answer.status, 200, answer.text);
      tokens = answer.body;
      assert.equal(answer.headers.get("cache-control"), "no-store");
      const { token_type, expires_in, scope } = tokens;
      assert.deepEqual({ token_type, expires_in, scope }, { token_type: "Bearer", expires_in: 600, scope: EVERY_SCOPE });
    });

    test("the ID token says who signed in, when, how, and for whom, signed by a key in the JWKS", async () => {
      const claims = verified(tokens.id_token, await target.jwks());
      const now = Date.now() / 1000;
      const half = createHash("sha256").update(tokens.access_token).digest().subarray(0, 16).toString("base64url");
      assert.equal(headerOf(tokens.id_token).alg, "RS256");
      assert.equal(claims.iss, target.issuer);
      assert.equal([claims.aud].flat().join(), rp.client.client_id);
      assert.equal(claims.nonce, request.parameters.nonce);
      assert.equal(claims.at_hash, half);
      assert.ok(claims.auth_time <= now && now - claims.auth_time < 120, "auth_time");
      assert.ok(claims.iat <= now && claims.exp > now, "lifetime");
      assert.deepEqual(claims.amr, ["pwd"]);
      assert.ok(claims.acr && claims.sid && claims.sub);
    });

    test("the access token is a JWT of RFC 9068", async () => {
      const claims = verified(tokens.access_token, await target.jwks());
      assert.equal(headerOf(tokens.access_token).typ, "at+jwt");
      assert.equal(claims.client_id, rp.client.client_id);
      assert.equal(claims.scope, EVERY_SCOPE);
      for (const name of ["iss", "exp", "aud", "sub", "iat", "jti"]) assert.ok(claims[name], name);
    });

    test("UserInfo tells what the scopes allow, by GET and by POST", async () => {
      const get = await rp.userinfo(tokens.access_token);
      const authorization = `Bearer ${tokens.access_token}`;
      const post = await target.call("POST", "/userinfo", { headers: { authorization } });
      const inForm = await target.form("/userinfo", { access_token: tokens.access_token });
      assert.deepEqual(post.body, get.body);
      assert.deepEqual(inForm.body, get.body);
      const { sub, email, email_verified, phone_number, address, preferred_username, updated_at } = get.body;
      assert.equal(sub, verified(tokens.id_token, await target.jwks()).sub);
      assert.deepEqual([email, email_verified, preferred_username], ["alice@example.com", true, "alice"]);
      assert.ok(phone_number && address.country && Number.isInteger(updated_at));
    });

    test("what was allowed is remembered, and a session needs no page", async () => {
      const again = rp.request();
      assert.ok(rp.codeIn(again, await browser.open(again.url(target.base))));
      const silent = rp.request({ prompt: "none" });
      assert.ok(rp.codeIn(silent, await browser.open(silent.url(target.base))));
    });

    test("prompt=login and prompt=consent ask again, and prompt=none without a session is an error to the client", async () => {
      assert.equal((await browser.open(rp.request({ prompt: "login" }).url(target.base))).asksFor, "password");
      assert.equal((await browser.open(rp.request({ prompt: "consent" }).url(target.base))).asksFor, "allow");
      const silent = rp.request({ prompt: "none" });
      const refused = rp.answerIn(silent, await target.browser().open(silent.url(target.base)));
      assert.equal(refused.error, "login_required");
    });

    test("saying no is an error to the client, and what was allowed before stays", async () => {
      const asked = rp.request({ prompt: "consent" });
      const consent = await browser.open(asked.url(target.base));
      assert.equal(rp.answerIn(asked, await browser.send(consent, {}, "deny")).error, "access_denied");
      await rp.assertAlive(tokens);
    });

    test("refreshing gives new tokens for the same person and sign-in, and a narrower scope when asked", async () => {
      const answer = await rp.refresh(tokens.refresh_token);
      assert.equal(answer.status, 200, answer.text);
      refreshed = answer.body;
      const jwks = await target.jwks();
      const [before, after] = [tokens, refreshed].map(({ id_token }) => verified(id_token, jwks));
      for (const name of ["sub", "auth_time", "sid", "aud"]) assert.deepEqual(after[name], before[name], name);
      assert.notEqual(refreshed.access_token, tokens.access_token);
      assert.notEqual(refreshed.refresh_token, tokens.refresh_token);

      const narrower = await rp.refresh(refreshed.refresh_token, { scope: "openid email" });
      assert.equal(narrower.body.scope, "openid email");
      assert.equal((await rp.userinfo(narrower.body.access_token)).body.address, undefined);
      refreshed = narrower.body;
      assertError(await rp.refresh(refreshed.refresh_token, { scope: "openid admin" }), 400, "invalid_scope");
    });

    test("introspection tells the client of its own tokens, and others nothing", async () => {
      const access = (await rp.introspect(tokens.access_token)).body;
      assert.equal(access.active, true);
      assert.equal(access.client_id, rp.client.client_id);
      assert.equal(access.iss, target.issuer);
      const refresh = (await rp.introspect(refreshed.refresh_token)).body;
      assert.deepEqual([refresh.active, refresh.sub], [true, access.sub]);
      const other = await target.newRelyingParty();
      assert.deepEqual((await other.introspect(tokens.access_token)).body, { active: false });
      assert.deepEqual((await rp.introspect("not-a-token")).body, { active: false });
    });

    test("a revoked access token is dead alone, a revoked refresh token takes its grant along", async () => {
      assert.equal((await rp.revoke(tokens.access_token)).status, 200);
      assert.equal((await rp.userinfo(tokens.access_token)).status, 401);
      await rp.assertAlive(refreshed);
      assert.equal((await rp.revoke(refreshed.refresh_token)).status, 200);
      await rp.assertDead(refreshed);
      assert.equal((await rp.revoke(refreshed.refresh_token)).status, 200, "revoking twice is no error");
    });
  });

  describe("ways to ask and to answer", () => {
    const browser = target.browser();

    test("response_mode=fragment answers in the fragment", async () => {
      const rp = target.relyingParty();
      await rp.tokens(browser, target.alice, { response_mode: "fragment" });
    });

    test("response_mode=form_post answers with a form for the client, its script, and a button without it", async () => {
      const rp = target.relyingParty();
      const request = rp.request({ response_mode: "form_post" });
      const page = await browser.open(request.url(target.base));
      assert.equal(page.status, 200);
      assert.equal(page.asksFor, "continue");
      assert.equal(page.form.action, rp.redirectUri);
      const { code } = rp.checkedAnswer(page.form.fields, request.parameters.state);
      assert.equal((await rp.redeem(request, code)).status, 200);
      const script = page.text.match(/<script src="([^"]+)"/)[1];
      const asset = await target.call("GET", script);
      assert.deepEqual([asset.status, asset.headers.get("content-type")], [200, "text/javascript; charset=utf-8"]);
    });

    test("a POST to the authorization endpoint is asked again by GET, where cookies come", async () => {
      const rp = target.relyingParty();
      const request = rp.request();
      const sent = await target.browser().post(`${target.base}/authorize`, request.parameters);
      assert.equal(sent.status, 303);
      const location = new URL(sent.location);
      assert.equal(`${location.origin}${location.pathname}`, `${target.issuer}/authorize`);
      assert.deepEqual(Object.fromEntries(location.searchParams), request.parameters);
      assert.ok(rp.codeIn(request, await browser.open(sent.location)));
    });

    test("an app is answered at its private-use scheme, with a code that its verifier alone redeems", async () => {
      const redirect_uri = "com.example.app:/callback";
      const registered = await target.json("POST", "/register", {
        redirect_uris: [redirect_uri],
        application_type: "native",
        token_endpoint_auth_method: "none",
        grant_types: ["authorization_code", "refresh_token"],
      });
      assert.equal(registered.status, 201, registered.text);
      const rp = target.relyingParty({ client_id: registered.body.client_id, redirect_uri });
      const unprotected = rp.request({ code_challenge: undefined, code_challenge_method: undefined });
      assert.equal(rp.answerIn(unprotected, await browser.open(unprotected.url(target.base))).error, "invalid_request");
      const tokens = await rp.tokens(browser, target.alice);
      assert.equal((await rp.refresh(tokens.refresh_token)).status, 200);
    });

    for (const [alg, userinfoAlg, algorithm] of [
      ["PS256", "EdDSA", { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 }],
      ["EdDSA", "PS256", { name: "Ed25519" }],
      ["ES256", "RS256", { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" }],
    ]) {
      test(`a client that registers for ${alg} gets ID tokens, and UserInfo in ${userinfoAlg}, that others can verify`, async () => {
        const redirect_uri = "https://rp.example/callback";
        const registered = await target.json("POST", "/register", {
          redirect_uris: [redirect_uri],
          grant_types: ["authorization_code", "refresh_token"],
          id_token_signed_response_alg: alg,
          userinfo_signed_response_alg: userinfoAlg,
        });
        assert.equal(registered.status, 201, registered.text);
        const { id_token_signed_response_alg, userinfo_signed_response_alg } = registered.body;
        assert.deepEqual([id_token_signed_response_alg, userinfo_signed_response_alg], [alg, userinfoAlg]);
        const discovery = (await target.call("GET", "/.well-known/openid-configuration")).body;
        assert.ok(discovery.id_token_signing_alg_values_supported.includes(alg));
        assert.ok(discovery.userinfo_signing_alg_values_supported.includes(userinfoAlg));

        const rp = target.relyingParty({ ...registered.body, redirect_uri });
        const tokens = await rp.tokens(browser, target.alice);
        const refreshed = (await rp.refresh(tokens.refresh_token)).body;
        const { keys } = await target.jwks();
        for (const { id_token } of [tokens, refreshed]) {
          const { kid, ...header } = headerOf(id_token);
          assert.equal(header.alg, alg);
          const jwk = keys.find((key) => key.kid === kid);
          assert.deepEqual([jwk.alg, jwk.use], [alg, "sig"]);
          assert.ok(await verifiedByWebCrypto(id_token, jwk, algorithm), "WebCrypto verifies it");
          assert.ok(!(await verifiedByWebCrypto(tampered(id_token), jwk, algorithm)), "and not what was changed");
        }
        assert.equal(headerOf(tokens.access_token).alg, "ES256", "access tokens are signed as ever");

        const userinfo = await rp.userinfo(tokens.access_token);
        assert.deepEqual([userinfo.status, userinfo.headers.get("content-type")], [200, "application/jwt"]);
        assert.equal(headerOf(userinfo.text).alg, userinfoAlg);
        const { iss, aud, sub, email } = verified(userinfo.text, { keys });
        const subject = verified(tokens.id_token, { keys }).sub;
        assert.deepEqual({ iss, aud, sub, email }, { iss: target.issuer, aud: rp.client.client_id, sub: subject, email: "alice@example.com" });
      });
    }

    test("a confidential client may authenticate in the body, and not in two ways at once", async () => {
      const { client_id, client_secret } = target.op.demo;
      const fields = { grant_type: "client_credentials", client_id, client_secret };
      const answer = await target.form("/token", fields);
      assert.deepEqual([answer.status, answer.body.refresh_token, answer.body.id_token], [200, undefined, undefined]);
      target.secrets.add(answer.body.access_token);
      const basic = Buffer.from(`${client_id}:${client_secret}`).toString("base64");
      const twice = await target.form("/token", fields, { headers: { authorization: `Basic ${basic}` } });
      assertError(twice, 400, "invalid_request");
    });

    test("tokens without openid have no ID token, and UserInfo refuses them", async () => {
      const rp = target.relyingParty();
      const tokens = await rp.tokens(browser, target.alice, { scope: "email", nonce: undefined });
      assert.deepEqual([tokens.id_token, tokens.refresh_token], [undefined, undefined]);
      const refused = await rp.userinfo(tokens.access_token);
      assertError(refused, 403, "insufficient_scope");
      assert.match(refused.headers.get("www-authenticate"), /error="insufficient_scope"/);
    });
  });

  describe("signing out", () => {
    const rp = target.relyingParty();
    const browser = target.browser();
    let online;
    let offline;

    test("with a good hint it is immediate, and goes back to the client with its state", async () => {
      online = await rp.tokens(browser, target.alice, { scope: "openid email" });
      offline = await rp.tokens(browser, target.alice);
      const after = `${target.op.rpBase}/`;
      const url = endSession({ id_token_hint: online.id_token, post_logout_redirect_uri: after, state: "s1" });
      const page = await browser.open(url);
      assert.deepEqual([page.status, page.location], [303, `${after}?state=s1`]);
      assert.ok(page.setCookies.some(({ attributes }) => attributes["max-age"] === "0"));
    });

    test("it ends the session and what was granted for it, but not what was allowed to outlive it", async () => {
      const silent = rp.request({ prompt: "none" });
      assert.equal(rp.answerIn(silent, await browser.open(silent.url(target.base))).error, "login_required");
      await rp.assertDead(online);
      await rp.assertAlive(offline);
      assert.equal((await rp.refresh(offline.refresh_token)).status, 200);
    });

    test("the old cookie does not bring the session back", async () => {
      const before = target.browser();
      await rp.tokens(before, target.alice);
      const kept = before.copy();
      const asked = await before.open(endSession({}));
      assert.equal(asked.asksFor, "sign-out");
      const done = await before.send(asked, {}, "sign-out");
      assert.deepEqual([done.status, done.location, done.title.startsWith("Signed out")], [200, null, true]);
      assert.equal((await kept.open(rp.request().url(target.base))).asksFor, "password");
    });

    test("nobody is sent to an address that the client did not register, and a forged hint signs nobody out", async () => {
      const signedIn = target.browser();
      const { id_token } = await rp.tokens(signedIn, target.alice);
      const forged = `${id_token.slice(0, -6)}AAAAAA`;
      for (const parameters of [
        { id_token_hint: id_token, post_logout_redirect_uri: "https://evil.example/" },
        { post_logout_redirect_uri: "https://evil.example/", client_id: rp.client.client_id },
        { post_logout_redirect_uri: `${target.op.rpBase}/` },
        { id_token_hint: forged },
      ]) {
        const page = await signedIn.open(endSession(parameters));
        assert.deepEqual([page.status, page.location], [400, null], JSON.stringify(parameters));
      }
      const silent = rp.request({ prompt: "none" });
      assert.ok(rp.codeIn(silent, await signedIn.open(silent.url(target.base))));
    });

    function endSession(parameters) {
      return `${target.base}/end_session?${new URLSearchParams(parameters)}`;
    }
  });
}

async function verifiedByWebCrypto(jwt, jwk, algorithm) {
  const [header, claims, signature] = jwt.split(".");
  const key = await webcrypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]);
  return webcrypto.subtle.verify(algorithm, key, Buffer.from(signature, "base64url"), Buffer.from(`${header}.${claims}`));
}

function tampered(jwt) {
  const [header, claims, signature] = jwt.split(".");
  const other = { ...JSON.parse(Buffer.from(claims, "base64url")), sub: "somebody else" };
  return [header, Buffer.from(JSON.stringify(other)).toString("base64url"), signature].join(".");
}
