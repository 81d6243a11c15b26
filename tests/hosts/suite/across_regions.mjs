// Several regions on one primary: what one of them has ended is over in every other as soon as it was answered.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answer, assertError, headerOf, verified } from "../relying_party.mjs";

export function acrossRegions(target) {
  const { regions } = target.op;

  describe("across regions", () => {
    const rp = target.relyingParty();

    test("a flow goes through all of them, and each verifies what the others signed", async () => {
      const [asking, ...others] = target.bases;
      const browser = target.browser();
      const request = rp.request();
      let page = await browser.open(request.url(asking));
      for (let step = 0; page.location === null; step += 1) {
        const base = others[step % others.length];
        page = await answer(browser, Object.assign(Object.create(page), { url: page.url.replace(/^http:\/\/[^/]+/, base) }), target.alice);
      }
      const redeemed = await rp.redeem(request, rp.codeIn(request, page), { base: others.at(-1) });
      assert.equal(redeemed.status, 200, redeemed.text);
      let tokens = redeemed.body;
      for (const base of target.bases) {
        tokens = (await rp.refresh(tokens.refresh_token, { base })).body;
        for (const other of target.bases) {
          await rp.assertAlive(tokens, { base: other });
          const jwks = await target.jwks({ base: other });
          for (const name of ["access_token", "id_token"]) verified(tokens[name], jwks);
        }
      }
      assert.equal(headerOf(tokens.id_token).kid, headerOf(redeemed.body.id_token).kid, "without keys per region all sign with the same");
    });

    for (const [index, here] of target.bases.entries()) {
      const others = target.bases.filter((base) => base !== here);
      const everywhere = (check) => Promise.all(others.map(check));

      test(`signing out, revoking and disabling in ${regions[index]} count in every other region at once`, async () => {
        const person = await target.person();
        const browser = target.browser();
        const online = await rp.tokens(browser, person, { scope: "openid" }, { base: others[0] });
        const offline = await rp.tokens(browser, person, {}, { base: others[0] });
        const kept = browser.copy();
        await everywhere((base) => rp.assertAlive(online, { base }));
        await browser.open(`${here}/end_session?${new URLSearchParams({ id_token_hint: online.id_token })}`);
        await everywhere(async (base) => {
          const silent = rp.request({ prompt: "none" });
          assert.equal(rp.answerIn(silent, await kept.copy().open(silent.url(base))).error, "login_required");
          await rp.assertDead(online, { base });
        });

        await everywhere((base) => rp.assertAlive(offline, { base }));
        await rp.revoke(offline.refresh_token, { base: here });
        await everywhere((base) => rp.assertDead(offline, { base }));

        const again = await rp.tokens(browser, person, {}, { base: others[0] });
        await target.managed(200, "PATCH", await target.own(`users/${person.id}`), { disabled: true }, { base: here });
        await everywhere((base) => rp.assertDead(again, { base }));
      });

      test(`a client that ${regions[index]} disables or deletes is refused in every other region at once`, async () => {
        const client = await target.newRelyingParty();
        const theirs = await client.tokens(target.browser(), target.alice, {}, { base: others[0] });
        const path = await target.own(`clients/${client.client.client_id}`);
        await target.managed(200, "PATCH", path, { disabled: true }, { base: here });
        await everywhere(async (base) => {
          assertError(await client.refresh(theirs.refresh_token, { base }), 400, "unauthorized_client");
          assert.equal((await client.userinfo(theirs.access_token, { base })).status, 401);
        });
        await target.managed(204, "DELETE", path, undefined, { base: here });
        await everywhere(async (base) => assertError(await client.refresh(theirs.refresh_token, { base }), 401, "invalid_client"));
      });
    }
  });
}
