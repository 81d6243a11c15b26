// The host is stopped and started again between whatever two steps there are: nothing was kept in the process.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answer, assertError, headerOf, verified } from "../relying_party.mjs";

export function restart(target) {
  describe("restarts", () => {
    test("a flow goes on after a restart between any two of its steps", async () => {
      const { rp, person, browser } = await newcomer();
      const request = rp.request();
      await target().maintainUntilNothingIsDue();
      await target().op.restart();
      const jwks = await target().jwks();

      const asked = await browser.open(request.url(target().base));
      await target().op.restart();
      const consent = await answer(browser, asked, person);
      assert.equal(consent.asksFor, "allow", consent.text);
      await target().op.restart();
      const answered = await answer(browser, consent, person);
      const code = rp.codeIn(request, answered);
      await target().op.restart();
      const redeemed = await rp.redeem(request, code);
      assert.equal(redeemed.status, 200, redeemed.text);
      await target().op.restart();
      await rp.assertAlive(redeemed.body);
      const refreshed = await rp.refresh(redeemed.body.refresh_token);
      assert.equal(refreshed.status, 200, refreshed.text);
      await target().op.restart({ crash: true });
      const silent = rp.request({ prompt: "none" });
      assert.ok(rp.codeIn(silent, await browser.open(silent.url(target().base))), "the session is still there");
      const again = await rp.refresh(refreshed.body.refresh_token);
      assert.equal(again.status, 200, again.text);

      assert.deepEqual(await target().jwks(), jwks, "the same keys are published");
      for (const name of ["id_token", "access_token"]) {
        assert.equal(headerOf(again.body[name]).kid, headerOf(redeemed.body[name]).kid, `${name}: the same key signs`);
        verified(again.body[name], jwks);
      }
    });

    test("a used code, an ended grant and a signed-out session stay what they are", async () => {
      const { rp, person, browser } = await newcomer();
      const request = rp.request();
      const code = await rp.code(request, browser, person);
      const tokens = (await rp.redeem(request, code)).body;
      const revoked = await rp.tokens(browser);
      await rp.revoke(revoked.refresh_token);
      const online = await rp.tokens(browser, undefined, { scope: "openid" });
      const kept = browser.copy();
      await browser.open(`${target().base}/end_session?${new URLSearchParams({ id_token_hint: online.id_token })}`);

      await target().op.restart({ crash: true });
      await rp.assertDead(revoked);
      await rp.assertDead(online);
      assert.equal((await kept.open(rp.request().url(target().base))).asksFor, "password");
      await rp.assertAlive(tokens);
      assertError(await rp.redeem(request, code), 400, "invalid_grant");
      await rp.assertDead(tokens);
    });

    test("ten wrong passwords stop an account, for the right one too, and a restart does not forgive them", async () => {
      const { rp, person, browser } = await newcomer();
      const other = await target().person();
      const page = await browser.open(rp.request().url(target().base));
      for (let attempt = 1; attempt <= 10; attempt += 1) {
        const wrong = await answer(browser, page, { ...person, password: `wrong ${attempt}` });
        assert.equal(wrong.status, 422, `attempt ${attempt}`);
      }
      await target().op.restart();
      for (const username of [person.username, person.username.toUpperCase()]) {
        const stopped = await answer(browser, page, { username, password: person.password });
        assert.equal(stopped.status, 429);
        const seconds = Number(stopped.headers.get("retry-after"));
        assert.ok(seconds > 0 && seconds <= 900, `Retry-After: ${seconds}`);
        assert.equal(stopped.asksFor, "password");
        assert.deepEqual(stopped.setCookies, []);
      }
      const stranger = target().browser();
      const elsewhere = await stranger.open(rp.request().url(target().base));
      assert.equal((await answer(stranger, elsewhere, person)).status, 429, "another browser makes no difference");
      await rp.tokens(stranger, other);
    });

    async function newcomer() {
      return { rp: await target().newRelyingParty(), person: await target().person(), browser: target().browser() };
    }
  });
}
