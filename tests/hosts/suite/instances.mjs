// Two instances on one state: nothing is kept in a process, so it does not matter which one answers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answer, assertError, claimsOf, headerOf, verified } from "../relying_party.mjs";

export function instances(target) {
  const [first, second] = target.bases;

  describe("two instances on one state", () => {
    const rp = target.relyingParty();
    const browser = target.browser();
    let tokens;

    test("a person signs in at one and consents at the other, and the code is redeemed at the first", async () => {
      const person = await target.person();
      const request = rp.request();
      const asked = await browser.open(request.url(first));
      const consent = await answer(browser, at(second, asked), person);
      const answered = await browser.send(at(first, consent), {}, "allow");
      const redeemed = await rp.redeem(request, rp.codeIn(request, answered), { base: second });
      assert.equal(redeemed.status, 200, redeemed.text);
      tokens = redeemed.body;
      for (const base of target.bases) await rp.assertAlive(tokens, { base });
    });

    test("a token is refreshed here and there by turns", async () => {
      for (const base of [first, second, first, second, second, first]) {
        const refreshed = await rp.refresh(tokens.refresh_token, { base });
        assert.equal(refreshed.status, 200, refreshed.text);
        tokens = refreshed.body;
      }
    });

    test("both sign with the same keys, and each verifies what the other signed", async () => {
      const [one, other] = [await target.jwks({ base: first }), await target.jwks({ base: second })];
      assert.deepEqual(one, other);
      const [here, there] = [await rp.refresh(tokens.refresh_token, { base: first }), await rp.refresh(tokens.refresh_token, { base: second })];
      for (const name of ["id_token", "access_token"]) {
        assert.equal(headerOf(here.body[name]).kid, headerOf(there.body[name]).kid, name);
        verified(here.body[name], other);
        verified(there.body[name], one);
      }
      tokens = there.body;
    });

    test("a session of one is a session of the other, and signing out at one counts at the other at once", async () => {
      const silent = rp.request({ prompt: "none" });
      assert.ok(rp.codeIn(silent, await browser.open(silent.url(second))));
      const online = await rp.tokens(browser, undefined, { scope: "openid" }, { base: first });
      const kept = browser.copy();
      await browser.open(`${first}/end_session?${new URLSearchParams({ id_token_hint: online.id_token })}`);
      const again = rp.request({ prompt: "none" });
      assert.equal(rp.answerIn(again, await kept.open(again.url(second))).error, "login_required");
      await rp.assertDead(online, { base: second });
    });

    test("a revocation at one counts at the other at once", async () => {
      await rp.revoke(tokens.refresh_token, { base: first });
      await rp.assertDead(tokens, { base: second });
    });

    test("a disabled person's sessions and tokens are dead at the other at once, and stay dead when enabled again", async () => {
      const person = await target.person();
      const visitor = target.browser();
      const theirs = await rp.tokens(visitor, person, {}, { base: second });
      const path = await target.own(`users/${person.id}`);
      await target.managed(200, "PATCH", path, { disabled: true }, { base: first });
      await rp.assertDead(theirs, { base: second });
      const page = await visitor.open(rp.request().url(second));
      assert.equal((await answer(visitor, page, person)).status, 422);
      await target.managed(200, "PATCH", path, { disabled: false }, { base: first });
      await rp.assertDead(theirs, { base: second });
      assert.equal((await visitor.open(rp.request().url(second))).asksFor, "password");
      assert.equal(claimsOf(theirs.id_token).sub, person.id);
    });

    test("a rotated secret is dead at the other at once, and the new one works there", async () => {
      const client = await target.newRelyingParty({ grant_types: ["client_credentials"], redirect_uris: [] });
      const credentials = (secret) =>
        target
          .relyingParty({ ...client.client, client_secret: secret })
          .token({ grant_type: "client_credentials" }, { base: second });
      assert.equal((await credentials(client.client.client_secret)).status, 200);
      const path = await target.own(`clients/${client.client.client_id}/secret`);
      const { client_secret } = await target.managed(200, "POST", path, undefined, { base: first });
      assertError(await credentials(client.client.client_secret), 401, "invalid_client");
      assert.equal((await credentials(client_secret)).status, 200);
    });

    test("a client that is disabled or deleted at one is refused at the other at once", async () => {
      const client = await target.newRelyingParty();
      const theirs = await client.tokens(target.browser(), target.alice, {}, { base: second });
      const path = await target.own(`clients/${client.client.client_id}`);
      await target.managed(200, "PATCH", path, { disabled: true }, { base: first });
      assert.equal((await client.userinfo(theirs.access_token, { base: second })).status, 401);
      assertError(await client.refresh(theirs.refresh_token, { base: second }), 400, "unauthorized_client");
      await target.managed(204, "DELETE", path, undefined, { base: first });
      assert.equal((await client.userinfo(theirs.access_token, { base: second })).status, 401);
      assertError(await client.refresh(theirs.refresh_token, { base: second }), 401, "invalid_client");
    });

    function at(base, page) {
      return Object.assign(Object.create(page), { url: page.url.replace(first, base).replace(second, base) });
    }
  });
}
