// `cargo xtask dev` itself: what it keeps, what it refuses, and that nothing outlives it.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { HOSTS, freePorts, startHost, xtask } from "./host.mjs";

for (const host of HOSTS) {
  describe(`xtask dev on ${host}`, () => {
    const started = [];
    after(() => Promise.all(started.map((op) => op.stop())));
    const start = async (options) => {
      const op = await startHost({ host, ...options });
      started.push(op);
      return op;
    };

    test("a demo says in demo.json what it says of itself, for its owner only", async () => {
      const op = await start({});
      const members = ["admin_token", "client_id", "client_secret", "issuer", "password", "public_client_id", "redirect_uri", "username"];
      assert.deepEqual(Object.keys(op.demo).sort(), members);
      assert.equal(op.demo.issuer, `http://localhost:${op.port}`);
      assert.equal(op.demo.redirect_uri, `http://localhost:${op.port + 1}/callback`);
      for (const file of ["demo.json", "root-secret", `${host}/demo-state.json`]) {
        assert.equal(statSync(join(op.state, file)).mode & 0o777, 0o600, file);
      }
      assert.ok(!op.logs().includes(readFileSync(join(op.state, "root-secret"), "utf8")), "the root secret was printed");
    });

    test("after a crash everything is gone, and a restart makes nothing twice", async () => {
      const [op] = started;
      const before = op.demo;
      await op.kill();
      await assert.rejects(fetch(op.base), "the issuer outlived xtask");
      await assert.rejects(fetch(op.rpBase), "the demo relying party outlived xtask");
      await op.restart();
      assert.notEqual(op.demo.admin_token, before.admin_token);
      assert.deepEqual({ ...op.demo, admin_token: "" }, { ...before, admin_token: "" });
    });

    test("two directories run side by side, each with its own issuer", async () => {
      const [first] = started;
      const second = await start({});
      const issuers = await Promise.all([first, second].map(async (op) => (await discovery(op)).issuer));
      assert.deepEqual(issuers, [first.issuer, second.issuer]);
      assert.notEqual(first.issuer, second.issuer);
    });

    test("a directory in use, and a port in use, are refused with a sentence", async () => {
      const [op] = started;
      const [directory, port] = [dev("--state", op.state, "--port", op.port), dev("--state", scratch(), "--port", op.port)];
      assert.match(directory.stderr, /is in use by another `cargo xtask dev`/);
      assert.match(port.stderr, new RegExp(`port ${op.port} is in use`));
      assert.ok(directory.status !== 0 && port.status !== 0);
    });

    test("a directory is not served as another issuer", async () => {
      const op = started.pop();
      await op.kill();
      const other = await freePorts(2);
      const port = dev("--state", op.state, "--port", other);
      assert.match(port.stderr, new RegExp(`--port ${op.port}`));
      const issuer = dev("--state", op.state, "--port", op.port, "--issuer", "https://op.test");
      assert.match(issuer.stderr, new RegExp(`made for the issuer ${op.issuer}`));
      assert.ok(port.status !== 0 && issuer.status !== 0);
      await op.stop();
    });

    test("behind a proxy, every address on this machine reaches the issuer that --issuer names", async () => {
      const op = await start({ issuer: "https://op.test" });
      assert.equal(op.issuer, "https://op.test");
      for (const base of [op.base, `http://localhost:${op.port}`]) {
        const document = await (await fetch(`${base}/.well-known/openid-configuration`)).json();
        assert.equal(document.issuer, "https://op.test");
      }
    });

    test("without --demo the first run prints a set-up link for its issuer", async () => {
      const op = await start({ demo: false });
      assert.ok(op.setupLink.startsWith(`${op.issuer}/setup?ticket=`));
      const page = await fetch(op.setupLink.replace(op.issuer, op.base));
      assert.equal(page.status, 200);
    });

    function dev(...args) {
      return spawnSync(xtask, ["dev", "--no-build", "--host", host, ...args.map(String)], { encoding: "utf8", timeout: 60_000 });
    }

    function scratch() {
      const directory = mkdtempSync(join(started[0].state, "scratch-"));
      after(() => rmSync(directory, { recursive: true, force: true }));
      return directory;
    }
  });
}

async function discovery(op) {
  return (await fetch(`${op.base}/.well-known/openid-configuration`)).json();
}
