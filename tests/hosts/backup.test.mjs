// Back-up and restore from one host to the other, by the commands that an operator types: whatever people and clients held
// before goes on elsewhere. Then the root secret is changed there, in three steps.

import { after, describe, test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startHost, xtask } from "./host.mjs";
import { verified } from "./relying_party.mjs";
import { Target } from "./target.mjs";

const directories = [];
const ops = [];
after(async () => {
  await Promise.all(ops.map((op) => op.stop()));
  directories.forEach((directory) => rmSync(directory, { recursive: true, force: true }));
});

for (const [from, to] of [["cloudflare", "spin"], ["spin", "cloudflare"]]) {
  describe(`a backup of ${from} on ${to}`, () => {
    const file = join(directory(), "bundle");
    let source;
    let target;
    let held;
    let operator;
    const command = (at, words, environment) => run(at, operator, words, environment);

    test("is made by one command, into a file that nobody else reads and that shows nothing", async () => {
      const op = await started({ host: from });
      operator = op.operator;
      source = new Target(op, operator);
      held = await everythingHeld(source);
      const { status, stdout, stderr } = command(source, ["backup", "--out", file]);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /1 tenant, \d+ rows/);
      assert.equal(statSync(file).mode & 0o777, 0o600);
      const bundle = readFileSync(file, "latin1");
      assert.match(bundle, /^vedette backup 1\n\{"schema":/);
      assert.deepEqual([...source.secrets, held.person.username, "alice@example.com"].filter((text) => bundle.includes(text)), []);
      const again = command(source, ["backup", "--out", file]);
      assert.deepEqual([again.status, readFileSync(file, "latin1") === bundle], [1, true]);
      assert.match(again.stderr, /exists/);
    });

    test("is refused over data, damaged, under another root secret and without its ticket", async () => {
      const over = command(source, ["restore", file]);
      assert.deepEqual([over.status, over.stdout.includes("restored.")], [1, false]);
      assert.match(over.stderr, /has tenants/);
      await held.rp.assertAlive(held.tokens);

      const state = directory();
      writeFileSync(join(state, "root-secret"), readFileSync(join(source.op.state, "root-secret")), { mode: 0o600 });
      const op = await started({ host: to, demo: false, issuer: source.issuer, state });
      target = new Target(op, operator);

      const damaged = join(directory(), "damaged");
      const bytes = readFileSync(file);
      bytes[bytes.length >> 1] ^= 1;
      writeFileSync(damaged, bytes);
      assert.match(command(target, ["restore", damaged]).stderr, /damaged/);
      writeFileSync(damaged, readFileSync(file).subarray(0, 5_000));
      assert.match(command(target, ["restore", damaged]).stderr, /damaged/);
      const ROOT_SECRET = randomBytes(32).toString("base64url");
      const other = command(target, ["restore", file], { ROOT_SECRET, withoutState: true });
      assert.match(other.stderr, /sealed under the root secret/);
      assert.ok(!other.stderr.includes(ROOT_SECRET));

      const large = Buffer.alloc(200_000);
      for (const authorization of [undefined, "Bearer x", `Bearer ${new URL(op.setupLink).searchParams.get("ticket")}`]) {
        const answer = await target.call("POST", "/setup/restore", { headers: authorization && { authorization }, body: large });
        assert.equal(answer.status, authorization ? 403 : 401, answer.text);
      }
      assert.equal((await target.call("GET", "/health")).body.tenants, "none");
    });

    test("restores everything that was held, once", async () => {
      const { status, stdout, stderr } = command(target, ["restore", file]);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /restored\. What was revoked/);
      assert.match(command(target, ["restore", file]).stderr, /has tenants/);

      await assertGoesOn(target, held);
      assert.equal((await target.managed(200, "GET", "tenants")).tenants.length, 1);
      const printed = target.op.logs() + target.op.errors();
      assert.deepEqual([...source.secrets].filter((secret) => printed.includes(secret)), []);
    });

    test("and its root secret can be changed there without anybody's notice", async () => {
      const path = join(target.op.state, "root-secret");
      const old = readFileSync(path, "utf8").trim();
      const made = spawnSync(xtask, ["root-secret", "new"], { encoding: "utf8" });
      const [fresh, id] = [made.stdout.trim(), made.stderr.match(/its id is (\S+):/)[1]];
      const step = async (secret) => {
        writeFileSync(path, secret);
        await target.op.restart();
        const { status, stdout, stderr } = command(target, ["root-secret", "status", "--new", id]);
        assert.equal(status, 0, stderr);
        assert.ok(!stdout.includes(fresh) && !stdout.includes(old));
        await assertGoesOn(target, held);
        return stdout;
      };
      assert.match(await step(old), /No change is under way/);
      const replaced = command(target, ["root-secret", "replace-masters", "--new", id]);
      assert.equal(replaced.status, 1);
      assert.match(replaced.stderr, /nothing was done/);
      assert.match(await step(`${old},${fresh}`), /Step 1 of 3 is done/);
      assert.match(command(target, ["root-secret", "rewrap"]).stdout, /nothing to wrap anew/);
      assert.match(await step(`${fresh},${old}`), /Do not drop/);
      const rewrapped = command(target, ["root-secret", "rewrap"]);
      assert.equal(rewrapped.status, 0, rewrapped.stderr);
      assert.match(rewrapped.stdout, /wrapped one tenant's master anew[^]*Step 2 of 3 is done/);
      assert.match(await step(fresh), new RegExp(`One root secret, ${id}`));
    });
  });
}

/** What a person and a client hold at a deployment. */
async function everythingHeld(target) {
  const person = await target.person();
  const rp = await target.newRelyingParty();
  const browser = target.browser();
  return { person, rp, browser, tokens: await rp.tokens(browser, person) };
}

/** The same, held by the same, at another place. */
async function assertGoesOn(target, held) {
  const rp = target.relyingParty(held.rp.client);
  const jwks = await target.jwks();
  assert.equal(verified(held.tokens.id_token, jwks).sub, held.person.id);
  verified(held.tokens.access_token, jwks);
  await rp.assertAlive(held.tokens);
  const refreshed = await rp.refresh(held.tokens.refresh_token);
  assert.equal(refreshed.status, 200, refreshed.text);
  held.tokens = { ...held.tokens, ...refreshed.body };
  await rp.assertAlive(held.tokens);
  const silent = rp.request({ prompt: "none" });
  assert.ok(rp.codeIn(silent, await held.browser.open(silent.url(target.base))), "the session goes on");
  await rp.tokens(target.browser(), held.person);
}

async function started(options) {
  const op = await startHost(options);
  ops.push(op);
  return op;
}

function directory() {
  const made = mkdtempSync(join(tmpdir(), "vedette-backup-"));
  directories.push(made);
  return made;
}

/** `xtask …` about a deployment, with its operator's secrets in the environment. */
function run(target, { client_id, client_secret }, [name, ...rest], { withoutState = false, ...environment } = {}) {
  const env = { ...process.env, OPERATOR_CLIENT_ID: client_id, OPERATOR_CLIENT_SECRET: client_secret, ...environment };
  const state = name === "restore" && !withoutState ? ["--state", target.op.state] : [];
  const words = name === "root-secret" ? [name, rest.shift()] : [name];
  const arguments_ = [...words, "--issuer", target.issuer, "--at", target.base, ...state, ...rest];
  return spawnSync(xtask, arguments_, { env, encoding: "utf8" });
}
