// What the tests of all client libraries share: a demo deployment on each host, and a client that nobody listens for.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HOSTS, startHost } from "../hosts/host.mjs";
import { Person } from "./person.mjs";

/** The demo's clients may redirect anywhere on this machine. Nothing listens here: the person's browser stops before. */
export const REDIRECT_URI = "http://127.0.0.1:9/callback";
export const SIGNED_OUT_URI = "http://127.0.0.1:9/signed-out";
export const SCOPE = "openid profile email address phone offline_access";

/** Defines `tests({ op })` once a host; `op` is there when they run. */
export function onEachHost(library, tests) {
  for (const host of HOSTS) {
    describe(`${library} on ${host}`, () => {
      const context = { host, op: undefined };
      before(async () => {
        context.op = await startHost({ host, demo: true });
      });
      after(() => context.op?.stop());
      tests(context);
    });
  }
}

/** Alice at a browser of her own. */
export function alice({ op }, options = {}) {
  return new Person({ username: op.demo.username, password: op.demo.password, ...options });
}

/**
 * Runs a client that is not JavaScript: a program that is told of the demo in its environment and prints a line `ok NAME` or
 * `not ok NAME: WHY` for each behaviour, which becomes a test.
 */
export function onEachHostByProgram(library, program, args) {
  onEachHost(library, (context) => {
    test("each behaviour that the client's program checks", { timeout: 300_000 }, async (t) => {
      const scratch = mkdtempSync(join(tmpdir(), "vedette-client-"));
      const reports = [];
      try {
        const ended = await run(program, args, { ...environment(context), SCRATCH: scratch }, (name, problem) => {
          reports.push(t.test(name, () => assert.equal(problem, undefined, problem)));
        });
        await Promise.all(reports);
        assert.ok(reports.length > 0, `the program reported nothing and ${ended.how}`);
        assert.equal(ended.code, 0, `the program ${ended.how}`);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    });
  });
}

function environment({ op }) {
  return {
    ...process.env,
    DEMO_JSON: join(op.state, "demo.json"),
    NODE: process.execPath,
    PERSON: new URL("person.mjs", import.meta.url).pathname,
    REDIRECT_URI,
    SIGNED_OUT_URI,
    SCOPE,
  };
}

function run(program, args, env, report) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, failed, name, , why] = line.match(/^(not )?ok ([^:]+)(: (.*))?$/) ?? [];
      if (name) report(name, failed ? why ?? "failed" : undefined);
    });
    child.once("error", (error) => resolve({ how: `did not start: ${error.message}` }));
    child.once("close", (code, signal) => resolve({ code, how: `ended with ${code ?? signal}. ${errors.trim()}` }));
  });
}
