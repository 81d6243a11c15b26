// What the hosts print: one line a request, and nothing that anybody was trusted with. Runs last, over everything before.

import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";

// Deployments keep these for their owner; the databases are what the tests below are about.
const OWNERS_OWN = ["root-secret", "demo.json", "demo-state.json"];

export function log(target) {
  describe("the log", () => {
    test("each request has one line, with its tenant, endpoint, status, reason and costs", async () => {
      const rp = target.relyingParty();
      const asked = [
        [await target.call("GET", "/jwks"), { endpoint: "jwks", method: "GET", status: 200 }],
        [await rp.token({ grant_type: "refresh_token", refresh_token: "x" }), { endpoint: "token", method: "POST", status: 400, refusal: "refresh_token_unreadable" }],
        [await rp.userinfo("x"), { endpoint: "userinfo", method: "GET", status: 401, refusal: "token_malformed" }],
        [await target.call("GET", "/nowhere"), { endpoint: "home", method: "GET", status: 404, refusal: "no_tenant" }],
        [await target.call("GET", "/health"), { endpoint: "health", method: "GET", status: 200 }],
      ];
      for (const [answer, expected] of asked) {
        const lines = await target.linesOf(answer);
        assert.equal(lines.length, 1, `${expected.endpoint}: ${JSON.stringify(lines)}`);
        const { level, time, request_id, tenant, sql, kv, ...rest } = lines[0];
        assert.deepEqual(rest, expected);
        assert.equal(level, "info");
        assert.ok(Math.abs(time - Date.now() / 1000) < 60, "time");
        assert.ok(Number.isInteger(sql) && Number.isInteger(kv), "costs");
        assert.equal(request_id, answer.headers.get("x-request-id"));
        assert.ok(tenant === null || typeof tenant === "string");
      }
    });

    test("every line that a host prints while it serves is JSON", () => {
      const strange = served().split("\n").filter((line) => line !== "" && !isObject(line));
      assert.deepEqual(strange, []);
    });

    test("no request of all these tests broke anything", () => {
      const broken = served().split("\n").filter((line) => isObject(line) && JSON.parse(line).level !== "info");
      assert.deepEqual(broken, []);
    });

    test("no secret, code, token, password, cookie or sealed form is in the log", () => {
      assert.ok(target.secrets.size > 100, `${target.secrets.size} secrets were collected`);
      const printed = served() + target.op.errors();
      assert.deepEqual([...target.secrets].filter((secret) => printed.includes(secret)), []);
    });

    test("none of them is in the databases either", () => {
      const databases = databaseFiles(target.op.state).map((file) => readFileSync(file, "latin1"));
      assert.ok(databases.some((contents) => contents.includes("alice@example.com")), "these are the databases");
      const found = [...target.secrets].filter((secret) => databases.some((contents) => contents.includes(secret)));
      assert.deepEqual(found, []);
    });
  });

  /** What was printed since the host began to serve: the demo tells its owner the passwords before that. */
  function served() {
    return target.op.logs().split(/^ready .*$/m).at(-1);
  }
}

function isObject(line) {
  try {
    return typeof JSON.parse(line) === "object";
  } catch {
    return false;
  }
}

function databaseFiles(directory) {
  return readdirSync(directory, { recursive: true })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile() && !OWNERS_OWN.some((name) => path.endsWith(name)));
}
