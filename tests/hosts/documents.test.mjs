// Discovery and JWKS, which a host may give again and again from what it keeps: never older than a minute, at once right where a
// change was made, and each answer with a request id and a log line of its own. Clocks run ten times as fast, as in
// regions.test.mjs.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { comparable, exchange, header } from "./exchange.mjs";
import { HOSTS, startHost } from "./host.mjs";
import { Target } from "./target.mjs";

const DISCOVERY = "/.well-known/openid-configuration";
const DOCUMENTS = [DISCOVERY, "/.well-known/oauth-authorization-server", "/jwks"];
const BOUND = 60;

const ops = [];
after(() => Promise.all(ops.map((op) => op.stop())));

for (const host of HOSTS) {
  const op = await startHost({ host, instances: 2, clockSpeed: 10 });
  ops.push(op);
  const target = new Target(op, op.operator);
  const [here, there] = op.bases;
  // So that no document changes of itself, once the copies of before are gone.
  await target.maintainUntilNothingIsDue();
  await pause(((BOUND + 10) / op.clockSpeed) * 1000);

  describe(`documents on ${host}`, () => {
    for (const path of DOCUMENTS) {
      test(`${path} is the same each time, with a request id and a log line of its own`, async () => {
        const first = await exchange(here, { path });
        const [line] = await linesOf(first);
        const ids = new Set();
        for (let count = 0; count < 300; count += 1) {
          const answer = await exchange(here, { path });
          const id = header(answer, "x-request-id");
          assert.match(id, /^[A-Za-z0-9_-]{16}$/);
          ids.add(id);
          assert.deepEqual(answer.headers.map(([name]) => name), first.headers.map(([name]) => name));
          assert.deepEqual(comparable(target, answer), comparable(target, first));
          assert.equal(answer.text, first.text);
          if (count % 50 > 0) continue;
          const own = await linesOf(answer);
          assert.equal(own.length, 1, id);
          assert.deepEqual(Object.keys(own[0]), Object.keys(line));
          const { time, request_id, sql, kv, ...rest } = own[0];
          assert.deepEqual(rest, { level: "info", tenant: line.tenant, endpoint: line.endpoint, method: "GET", status: 200 });
          assert.ok(Math.abs(time - op.now()) < BOUND, `${time}, not ${op.now()}`);
          assert.ok(sql + kv <= 2 && request_id === id);
        }
        assert.equal(ids.size, 300);
      });

      test(`of ${path} only a plain GET of this host is given from it`, async () => {
        const plain = await exchange(here, { path });
        const head = await exchange(here, { path, method: "HEAD" });
        assert.deepEqual([head.status, head.text], [200, ""]);
        assert.equal((await exchange(here, { path, method: "POST", body: "" })).status, 405);
        assert.equal((await exchange(here, { path, method: "OPTIONS" })).status, 204);
        assert.equal((await exchange(here, { path: `${path}?x` })).text, plain.text);
        const { port } = new URL(here);
        const known = await exchange(here, { path, headers: { host: `localhost:${port}` } });
        assert.deepEqual(comparable(target, known), comparable(target, plain));
        for (const host of [`nobody.example:${port}`, "nobody.example"]) {
          assert.equal((await exchange(here, { path, headers: { host } })).status, 404, host);
        }
        assert.equal((await exchange(here, { path })).text, plain.text);
      });
    }

    test("a change counts at once where it is made, and everywhere within a minute", async () => {
      for (const registration of ["closed", "open", "closed"]) {
        const isNew = ({ text }) => "registration_endpoint" in JSON.parse(text) === (registration === "open");
        // Both hold a copy of before.
        for (const base of [here, there]) for (let count = 0; count < 3; count += 1) assert.ok(!isNew(await exchange(base, { path: DISCOVERY })));
        target.forgetOperatorToken();
        await target.operatorToken();
        await target.managed(200, "PATCH", await target.own(""), { registration }, { base: here });
        const changed = op.now();
        for (let count = 0; count < 5; count += 1) assert.ok(isNew(await exchange(here, { path: DISCOVERY })), "at once");
        for (;;) {
          const asked = op.now();
          if (isNew(await exchange(there, { path: DISCOVERY }))) break;
          assert.ok(asked < changed + BOUND, `${asked - changed} seconds after the change`);
          await pause(20);
        }
      }
    });

    test("keys that are made and revoked are published at once where that was asked for", async () => {
      target.forgetOperatorToken();
      const kids = async (base) => JSON.parse((await exchange(base, { path: "/jwks" })).text).keys.map(({ kid }) => kid);
      await kids(here);
      const before = await kids(here);
      const { keys } = await target.managed(200, "POST", "keys/rotate", { alg: "EdDSA" }, { base: here });
      const [{ kid }] = keys;
      assert.ok(!before.includes(kid));
      for (let count = 0; count < 3; count += 1) assert.ok((await kids(here)).includes(kid));
      await target.managed(200, "POST", `keys/${kid}/revoke`, {}, { base: here });
      const revoked = op.now();
      for (let count = 0; count < 3; count += 1) assert.ok(!(await kids(here)).includes(kid));
      for (;;) {
        const asked = op.now();
        if (!(await kids(there)).includes(kid)) break;
        assert.ok(asked < revoked + BOUND, `${asked - revoked} seconds after the revocation`);
        await pause(20);
      }
    });

    test("what is kept is looked up anew once a minute", async () => {
      const path = "/jwks";
      const until = Date.now() + 20_000;
      const answers = [];
      while (Date.now() < until) {
        const asked = op.now();
        const answer = await exchange(there, { path });
        answers.push({ asked, answered: op.now(), answer });
        await pause(50);
      }
      let lookedAt = answers[0].answered;
      let looks = 0;
      for (const { asked, answered, answer } of answers) {
        const [line] = await linesOf(answer);
        if (line.sql + line.kv > 0) {
          lookedAt = answered;
          looks += 1;
        } else {
          assert.ok(asked <= lookedAt + BOUND, `${asked - lookedAt} seconds after the last look`);
        }
      }
      // Over 200 seconds of the host's clock.
      assert.ok(looks >= 2 && looks < answers.length / 4, `${looks} of ${answers.length}`);
    });
  });

  function linesOf(answer) {
    return target.linesOf({ headers: new Headers(answer.headers) });
  }
}
