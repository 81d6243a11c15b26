// What the tests of all client libraries share: a demo deployment on each host, and a client that nobody listens for.

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
 * Runs a client that is not JavaScript: a program that is told of the demo in its environment and reports each behaviour by a
 * line `ok NAME` or `not ok NAME: WHY`. Each becomes a test of its own; which there have to be, `behaviours` says.
 */
export function onEachHostByProgram(library, program, args, behaviours) {
  onEachHost(library, (context) => {
    const reported = new Map();
    let ended;
    before(async () => {
      const scratch = mkdtempSync(join(tmpdir(), "vedette-client-"));
      try {
        ended = await run(program, args, { ...environment(context), SCRATCH: scratch }, reported);
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    });
    for (const behaviour of behaviours) {
      test(behaviour, () => {
        const problem = reported.has(behaviour) ? reported.get(behaviour) : `not reached; the program ${ended}`;
        if (problem) throw new Error(problem);
      });
    }
    test("reports these behaviours and no others", () => {
      const others = [...reported.keys()].filter((name) => !behaviours.includes(name));
      if (others.length > 0) throw new Error(`also reported: ${others.join(", ")}`);
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

function run(program, args, env, reported) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, failed, name, , why] = line.match(/^(not )?ok ([^:]+)(: (.*))?$/) ?? [];
      if (name) reported.set(name, failed ? why ?? "failed" : undefined);
    });
    child.once("error", (error) => resolve(`did not start: ${error.message}`));
    child.once("close", (code, signal) => resolve(`ended with ${code ?? signal}: ${errors.trim()}`));
  });
}
