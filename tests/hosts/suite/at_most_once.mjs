// What must happen at most once, under 50 requests at the same time, on one instance and across several.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertError } from "../relying_party.mjs";

const MANY = 50;

const WORDS = ["no", "one", "two", "three"];

/** @param {string[][]} among instances that share the requests: on one and on all, unless told otherwise */
export function atMostOnce(target, among = [target.bases.slice(0, 1), target.bases]) {
  for (const bases of among) {
    const where = `${WORDS[bases.length]} instance${bases.length > 1 ? "s" : ""}`;
    describe(`at most once, on ${where}`, () => {
      const rp = target.relyingParty();
      const browser = target.browser();

      test("50 redemptions of one code give tokens once, and then every token of that grant is dead", async () => {
        const request = rp.request();
        const code = await rp.code(request, browser, target.alice);
        const answers = await many(bases, (base) => rp.redeem(request, code, { base }));
        const winners = answers.filter(({ status }) => status === 200);
        assert.equal(winners.length, 1, statuses(answers));
        for (const loser of answers.filter(({ status }) => status !== 200)) assertError(loser, 400, "invalid_grant");
        for (const base of bases) await rp.assertDead(winners[0].body, { base });
        assertError(await rp.redeem(request, code), 400, "invalid_grant");
      });

      test("50 refreshes of one token are 50 answers and one generation", async () => {
        const { refresh_token: original } = await rp.tokens(browser, target.alice);
        const answers = await many(bases, (base) => rp.refresh(original, { base }));
        assert.ok(answers.every(({ status }) => status === 200), statuses(answers));
        const successors = answers.map(({ body }) => body.refresh_token);
        assert.equal(new Set(successors).size, MANY, "sealed anew each time");
        const seen = await many(bases, (base, index) => rp.introspect(successors[index], { base }));
        assert.ok(seen.every(({ body }) => body.active), "all of the one generation that is current");

        const next = await rp.refresh(successors[0]);
        assert.equal(next.status, 200, next.text);
        // Had the 50 been more than one step, these would be too old by now.
        for (const honestRetry of [successors[1], successors[MANY - 1]]) {
          assert.equal((await rp.refresh(honestRetry)).status, 200, "the generation before is good while the grace lasts");
        }
        assertError(await rp.refresh(original), 400, "invalid_grant");
        await rp.assertAlive(next.body);
        assert.equal((await rp.refresh(next.body.refresh_token)).status, 200, "two generations behind is refused without revoking");
      });

      test("50 registrations of one username make one person", async () => {
        const users = await target.own("users");
        const username = `wanted-${bases.length}-${Date.now()}`;
        const answers = await many(bases, (base) => target.manage("POST", users, { username }, { base }));
        assert.deepEqual(count(answers), { 201: 1, 409: MANY - 1 });
      });
    });
  }

  function many(bases, ask) {
    return Promise.all(Array.from({ length: MANY }, (_, index) => ask(bases[index % bases.length], index)));
  }
}

export function count(answers) {
  const counts = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

function statuses(answers) {
  return JSON.stringify(count(answers)) + answers.find(({ status }) => status >= 500)?.text;
}
