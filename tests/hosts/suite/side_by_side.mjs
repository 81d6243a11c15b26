// Two deployments of the same host on one machine: what belongs to one is nothing to the other.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertError } from "../relying_party.mjs";

/** @param targets a function, since the second deployment may yet have to be set up */
export function sideBySide(targets) {
  describe("two deployments side by side", () => {
    let ours;
    let theirs;
    let rp;
    let foreign;
    let browser;
    let tokens;

    test("each signs people in, with one browser that gives both all its cookies", async () => {
      [ours, theirs] = targets();
      browser = ours.browser();
      rp = await ours.newRelyingParty();
      foreign = await theirs.newRelyingParty();
      tokens = await rp.tokens(browser, await ours.person());
      const page = await browser.open(foreign.request().url(theirs.base));
      assert.equal(page.asksFor, "password", "the session of the one is none of the other");
      await foreign.tokens(browser, await theirs.person());
      for (const party of [rp, foreign]) {
        const silent = party.request({ prompt: "none" });
        assert.ok(party.codeIn(silent, await browser.open(silent.url(party.target.base))));
      }
    });

    test("a session cookie of the one, under the name of the other's, is no session", async () => {
      const moved = theirs.browser();
      await moved.open(foreign.request().url(theirs.base));
      const [id] = [...browser.cookies.keys()].flatMap((name) => name.match(/^vedette-session-(.*)/)?.[1] ?? []);
      const cookie = browser.cookies.get(`vedette-session-${id}`);
      for (const name of [...browser.cookies.keys()].filter((name) => name.includes("-session-"))) moved.cookies.set(name, cookie);
      const pages = await Promise.all([rp, foreign].map((party) => moved.open(party.request().url(party.target.base))));
      assert.deepEqual(pages.filter(({ asksFor }) => asksFor === "password").length, 1);
    });

    test("codes, tokens and clients of the one are nothing to the other", async () => {
      const request = rp.request();
      const code = await rp.code(request, browser);
      assertError(await foreign.redeem(request, code), 400, "invalid_grant");
      assertError(await foreign.refresh(tokens.refresh_token), 400, "invalid_grant");
      assertError(await foreign.userinfo(tokens.access_token), 401, "invalid_token");
      assert.deepEqual((await foreign.introspect(tokens.access_token)).body, { active: false });
      assert.deepEqual((await foreign.introspect(tokens.refresh_token)).body, { active: false });
      assertError(await rp.token({ grant_type: "refresh_token", refresh_token: "x" }, { base: theirs.base }), 401, "invalid_client");
      const managed = await theirs.manage("GET", "tenants", undefined, { token: await ours.operatorToken() });
      assert.equal(managed.status, 401);
      const hint = new URLSearchParams({ id_token_hint: tokens.id_token });
      assert.equal((await browser.open(`${theirs.base}/end_session?${hint}`)).status, 400);
      await rp.assertAlive(tokens);
      assert.equal((await rp.redeem(request, code)).status, 200);
    });

    test("a form of the one is no form of the other", async () => {
      const page = await ours.browser().open(rp.request().url(ours.base));
      const sent = await browser.post(`${theirs.base}${page.form.action}`, { ...page.form.fields, username: "a", password: "b" });
      assert.equal(sent.status, 400);
    });

    test("they share no key", async () => {
      const [one, other] = await Promise.all([ours, theirs].map((target) => target.jwks()));
      const kids = [...one.keys, ...other.keys].map(({ kid }) => kid);
      assert.equal(new Set(kids).size, kids.length);
    });
  });
}
