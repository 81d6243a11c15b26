// First-run set-up: the link works once, for whoever has it, and for nobody else.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Browser } from "../browser.mjs";
import { xtask } from "../host.mjs";
import { spoiled } from "../relying_party.mjs";
import { Target } from "../target.mjs";
import { count } from "./at_most_once.mjs";

const ADMINISTRATOR = { username: "root", password: "correct horse battery", email: "root@example.com" };

/**
 * @param op a deployment that nobody has set up
 * @param made takes the operator client
 */
export function setUp(op, made) {
  describe("set-up", () => {
    const ticket = new URL(op.setupLink).searchParams.get("ticket");
    let operator;

    test("before it, the deployment is healthy and no issuer answers", async () => {
      const health = await fetch(`${op.base}/health`);
      const { status, tenants, sql, kv, root_secret, schema } = await health.json();
      assert.deepEqual([health.status, status, tenants], [200, "ok", "none"]);
      assert.deepEqual([sql, kv, root_secret, schema], ["ok", "ok", "ok", "ok"]);
      for (const path of ["/jwks", "/.well-known/openid-configuration", "/authorize", "/"]) {
        assert.equal((await fetch(`${op.base}${path}`)).status, 404, path);
      }
    });

    test("an altered link, and one from another root secret, are useless", async () => {
      const foreign = mint({ ROOT_SECRET: randomBytes(32).toString("base64url") });
      for (const bad of [spoiled(ticket), ticket.slice(0, -1), `${ticket}A`, foreign, ""]) {
        const page = await new Browser().open(link(bad));
        assert.deepEqual([page.status, page.hasForm], [403, false]);
        assert.equal((await post(bad)).status, 403);
      }
    });

    test("the page says what is wrong with what was typed, and keeps it, but not the password", async () => {
      const page = await new Browser().open(link(ticket));
      assert.deepEqual([page.status, page.asksFor], [200, "password"]);
      assert.ok(page.text.includes(op.issuer));
      assert.doesNotMatch(page.text, /<script/);
      const again = await new Browser().send(page, { ...ADMINISTRATOR, issuer_name: "Ours", password: "short" }, "set-up");
      assert.equal(again.status, 422);
      assert.match(again.text, /role="alert"/);
      const { username, email, issuer_name, password } = again.form.fields;
      assert.deepEqual([username, email, issuer_name, password], ["root", "root@example.com", "Ours", ""]);
    });

    test("ten set-ups at once make one tenant", async () => {
      const answers = await Promise.all(Array.from({ length: 10 }, () => post(ticket)));
      const winners = answers.filter(({ status }) => status === 201);
      // Whoever lost is told so, or, where keys are made in software on a busy machine, ran out of the host's time.
      const losers = answers.filter(({ status }) => [409, 500, 503].includes(status));
      assert.deepEqual([winners.length, losers.length], [1, 9], JSON.stringify(count(answers)));
      const winner = await winners[0].json();
      assert.equal(winner.issuer, op.issuer);
      operator = winner;
      made(operator);
      assert.equal((await fetch(`${op.base}/jwks`)).status, 200);
      const tenants = await new Target(op, winner).managed(200, "GET", "tenants");
      assert.deepEqual(tenants.tenants.map(({ id }) => id), [winner.tenant_id]);
    });

    test("afterwards this link is dead, and so is every new one", async () => {
      for (const dead of [ticket, mint()]) {
        const page = await new Browser().open(link(dead));
        assert.deepEqual([page.status, page.hasForm], [409, false]);
        assert.equal((await post(dead)).status, 409);
      }
    });

    test("neither the ticket, nor the password, nor the operator's secret is in the log", async () => {
      const isLogged = () => op.logLines().some(({ endpoint, status }) => endpoint === "setup" && status === 201);
      // A host may print after the response is gone.
      for (let tries = 0; !isLogged() && tries < 100; tries += 1) await pause(50);
      assert.ok(isLogged());
      const served = op.logs().split(/^ready .*$/m).at(-1);
      for (const secret of [ticket, ADMINISTRATOR.password, operator.client_secret]) assert.ok(!served.includes(secret));
    });

    function mint(environment = {}) {
      const state = "ROOT_SECRET" in environment ? [] : ["--state", op.state];
      const env = { ...process.env, ...environment };
      const { status, stdout, stderr } = spawnSync(xtask, ["setup-link", "--issuer", op.issuer, ...state], { env, encoding: "utf8" });
      assert.equal(status, 0, stderr);
      return new URL(stdout.trim()).searchParams.get("ticket");
    }

    function link(ticket) {
      return `${op.base}/setup?${new URLSearchParams({ ticket })}`;
    }

    function post(ticket) {
      const body = new URLSearchParams({ ticket, ...ADMINISTRATOR, issuer_name: "Ours", registration: "open" });
      return fetch(`${op.base}/setup`, { method: "POST", body, headers: { accept: "application/json" } });
    }
  });
}
