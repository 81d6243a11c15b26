// Maintenance: on request, and by the Worker's schedule.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { withDatabase } from "../database.mjs";

export function maintenance(target) {
  describe("maintenance", () => {
    let quiet;

    test("its secret opens it, on any host name, and nothing else does", async () => {
      const { body, headers } = await maintain(target.op.maintenanceSecret());
      assert.deepEqual(Object.keys(body).sort(), ["cleaned_up", "failed", "keys_made", "tenants"]);
      assert.deepEqual([body.tenants, body.failed], [1, 0]);
      const [line] = await target.linesOf({ headers });
      assert.deepEqual([line.endpoint, line.status], ["maintenance", 200]);
      const someSecret = "A".repeat(43);
      for (const wrong of [undefined, someSecret, target.op.maintenanceSecret().slice(1), await target.operatorToken()]) {
        const answer = await maintain(wrong);
        assert.equal(answer.status, 401, answer.text);
        assert.match(answer.headers.get("www-authenticate"), /^Bearer/);
      }
      assert.equal((await target.call("GET", "/maintenance")).status, 405);
      const printed = target.op.logs() + target.op.errors();
      assert.ok(!printed.includes(target.op.maintenanceSecret()), "the secret was printed");
    });

    test("keys that are due are made once, however many regions are asked for it at once", async () => {
      const [kids, missing] = await loseStandbys();
      const runs = await Promise.all(
        [...target.bases, ...target.bases].map((base) => maintain(target.op.maintenanceSecret(), base)),
      );
      for (const run of runs) assert.deepEqual([run.status, run.body.failed], [200, 0], run.text);
      const made = runs.map(({ body }) => body.keys_made);
      assert.equal(sum(made), missing, `made by each: ${made}`);
      await assertWhole(kids);
      assert.equal((await maintain(target.op.maintenanceSecret())).body.keys_made, 0, "a second run has nothing to do");
    });

    if (target.host === "cloudflare") {
      test("the Worker's scheduled event does it too, and says so in the log", async () => {
        const [kids, missing] = await loseStandbys();
        const before = runsInLog().length;
        const event = await fetch(target.op.scheduledUrl);
        assert.deepEqual([event.status, await event.text()], [200, "ok"]);
        await assertWhole(kids);
        for (let tries = 0; runsInLog().length === before && tries < 100; tries += 1) await pause(50);
        const [run] = runsInLog().slice(before);
        assert.deepEqual([run.level, run.fault, run.maintenance.keys_made, run.maintenance.failed], ["info", null, missing, 0]);
      });
    }

    /** A tenant that nobody asks for anything loses its standbys of the quick algorithms; [its other kids, how many it lost]. */
    async function loseStandbys() {
      quiet ??= await target.managed(201, "POST", "tenants", { issuer: `${target.issuer}/t/quiet`, name: "Quiet" });
      assert.equal((await maintain(target.op.maintenanceSecret())).body.failed, 0);
      const isLost = ({ alg, ordinal }) => ["ES256", "EdDSA"].includes(alg) && ordinal > 1;
      const kids = (await quietKeys()).filter((key) => !isLost(key)).map(({ kid }) => kid);
      let lost;
      await target.op.crash(() =>
        withDatabase(target.op, (database) => {
          const lose = "DELETE FROM signing_keys WHERE tenant_id = ? AND alg IN ('ES256', 'EdDSA') AND ordinal > 1";
          lost = database.prepare(lose).run(quiet.id).changes;
        }),
      );
      assert.equal(Number(lost), 2);
      return [kids, Number(lost)];
    }

    async function assertWhole(kids) {
      const keys = await quietKeys();
      const shown = keys.map(({ alg, region, ordinal, state }) => `${alg}${region} ${ordinal} ${state}`).sort();
      const expected = ["ES256", "EdDSA", "PS256", "RS256"].flatMap((alg) => [`${alg} 1 active`, `${alg} 2 standby`]);
      assert.deepEqual(shown, expected);
      assert.deepEqual(kids.filter((kid) => !keys.some((key) => key.kid === kid)), [], "none of the others changed");
    }

    async function quietKeys() {
      return (await target.managed(200, "GET", `tenants/${quiet.id}/keys`)).keys;
    }

    function runsInLog() {
      return target.op.logLines().filter(({ maintenance }) => maintenance);
    }

    function maintain(secret, base = target.base) {
      const headers = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
      return target.call("POST", "/maintenance", { base, headers });
    }
  });
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
