// A root secret that is missing, malformed or another one: said clearly where operators look, and to nobody else.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

const CASES = [
  { what: "a missing root secret", secret: "", health: "missing", fault: /ROOT_SECRET is not set/ },
  { what: "a malformed root secret", secret: "thisIsNotARootSecretAtAll", health: "malformed", fault: /ROOT_SECRET is not 32 bytes/ },
  { what: "another root secret", secret: randomBytes(32).toString("base64url"), health: "wrong", fault: /does not open under this ROOT_SECRET/ },
];

export function rootSecret(target) {
  describe("without its root secret", () => {
    let rp;
    let tokens;
    let browser;

    for (const { what, secret, health, fault } of CASES) {
      test(`${what} is named by health and log, and costs nobody more than a clear page`, async () => {
        rp ??= await target().newRelyingParty();
        browser ??= target().browser();
        tokens ??= await rp.tokens(browser, await target().person());
        const path = join(target().op.state, "root-secret");
        const good = readFileSync(path, "utf8");
        writeFileSync(path, secret);
        await target().op.restart();
        try {
          await assertBroken({ secret, health, fault });
        } finally {
          writeFileSync(path, good);
          await target().op.restart();
        }
        await rp.assertAlive(tokens);
      });
    }

    async function assertBroken({ secret, health, fault }) {
      const broken = [];
      const unwell = await target().call("GET", "/health");
      assert.deepEqual([unwell.status, unwell.body.status, unwell.body.root_secret], [503, "failing", health]);
      assert.deepEqual([unwell.body.sql, unwell.body.kv], ["ok", "ok"]);
      broken.push(unwell);

      for (const answer of [await target().call("GET", "/jwks"), await rp.refresh(tokens.refresh_token)]) {
        assert.deepEqual([answer.status, answer.body.error], [503, "temporarily_unavailable"]);
        assert.ok(answer.headers.get("retry-after"));
        broken.push(answer);
      }
      for (const url of [rp.request().url(target().base), `${target().base}/`]) {
        const page = await browser.open(url);
        assert.deepEqual([page.status, page.location, page.setCookies], [503, null, []]);
        assert.match(page.text, /This is not working right now/);
        // Words only: a request id is random letters, and one in some thousand happens to spell one of these.
        const words = page.text.replace(/<code>[\w-]{16}<\/code>/, "");
        assert.notEqual(words, page.text, "the page shows its request id");
        assert.doesNotMatch(words, /root|secret|tenant|SQL/i, "no detail leaks");
        broken.push(page);
      }

      for (const answer of broken) {
        const lines = await target().linesOf(answer);
        assert.deepEqual(lines.map(({ level, status }) => [level, status]), [["error", 503]]);
        assert.match(lines[0].fault, fault);
      }
      const printed = broken.map(({ text }) => text).join() + target().op.logs() + target().op.errors();
      assert.ok(!secret || !printed.includes(secret), "the wrong secret was shown");
    }
  });
}
