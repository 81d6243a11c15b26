// Starts the issuer for tests that see it from outside, the way a person starts it: `xtask dev`.
//
//   const op = await startHost({ host: "spin", demo: true });
//   … fetch(`${op.base}/jwks`) …
//   await op.stop();
//
// `base` is where the issuer answers on this machine, `issuer` what it calls itself; `bases` has one entry per instance.
// State lies on tmpfs where there is one: on disk, D1 falls to a tenth of its speed.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const HOSTS = ["cloudflare", "spin"];

const root = fileURLToPath(new URL("../..", import.meta.url));
export const xtask = process.env.VEDETTE_XTASK ?? join(root, "target/debug/xtask");

// Starting takes a second or two; the first Spin start of a component compiles it, beside whatever else the machine does.
const START_LIMIT = 600_000;
const STOP_LIMIT = 30_000;

// What a test that failed or was cut short has left behind.
const running = new Set();
const ownStates = new Set();
process.on("exit", () => {
  running.forEach((child) => child.kill("SIGKILL"));
  ownStates.forEach((state) => rmSync(state, { recursive: true, force: true }));
});

/**
 * @param {object} options
 * @param {"cloudflare"|"spin"} options.host
 * @param {string} [options.state] a directory to keep; without it one is made and removed again by stop()
 * @param {number} [options.port] without it, a free one whose neighbours are free too
 * @param {boolean} [options.demo] set up by itself (default true); `demo` is then the parsed demo.json
 * @param {string} [options.issuer] the issuer's URL when it is not http://localhost:PORT
 * @param {number} [options.instances] instances on one state
 * @param {string[]} [options.regions] instead: one instance in each of these regions
 * @param {number} [options.clockSpeed] how many times as fast as this machine's the host's clock runs (default 1)
 * @param {string[]} [options.args] further arguments of `xtask dev`
 * @param {object} [options.env] further variables of its environment
 */
export async function startHost({ host, state, port, demo = true, issuer, regions = [], instances = regions.length || 1, clockSpeed = 1, args = [], env = {} }) {
  const ownState = state === undefined;
  state ??= mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "vedette-test-"));
  if (ownState) ownStates.add(state);
  port ??= await freePorts(2 * instances);
  const command = ["dev", "--no-build", "--host", host, "--port", String(port), "--state", state];
  if (demo) command.push("--demo");
  if (issuer) command.push("--issuer", issuer);
  if (regions.length > 0) command.push("--regions", regions.join());
  else if (instances > 1) command.push("--instances", String(instances));
  if (clockSpeed > 1) command.push("--clock-speed", String(clockSpeed));
  command.push(...args);

  const op = {
    host,
    state,
    port,
    base: "",
    bases: [],
    issuer: "",
    demo: undefined,
    /** The demo's operator client. */
    get operator() {
      const notes = JSON.parse(readFileSync(join(state, host, "demo-state.json"), "utf8"));
      return { client_id: notes.operator_id, client_secret: notes.operator_secret };
    },
    regions,
    clockSpeed,
    /** Seconds since 1970 by the host's clock. */
    now: () => (clockStart + (Date.now() - clockStart) * clockSpeed) / 1000,
    rpBase: `http://localhost:${port + 1}`,
    /** The time-limited link that a first run without demo prints. */
    setupLink: undefined,
    /** What has the Worker's cron event happen; Spin has none. */
    scheduledUrl: undefined,
    maintenanceSecret: () => readFileSync(join(state, "maintenance-secret"), "utf8"),
    /** Everything that was printed on standard output since the last start. */
    logs: () => run.stdout,
    /** The issuer's own log: the lines that are JSON. */
    logLines: () => run.stdout.split("\n").flatMap(jsonLine),
    errors: () => run.stderr,
    stop: async () => {
      await end("SIGTERM");
      if (ownState) rmSync(state, { recursive: true, force: true });
    },
    /** As a crash: nothing is told to stop, everything is gone. The state stays. */
    kill: () => end("SIGKILL"),
    /** One process of several dies as in a crash; what runs them starts it again. Spin only: Workers share one process. */
    killInstance: (index) => process.kill(listener(port + 2 * index), "SIGKILL"),
    /** As a crash, with something done to the state before it is started again. */
    crash: async (meanwhile = () => {}) => {
      await end("SIGKILL");
      await meanwhile();
      await start();
    },
    /** Ends the host and starts it again on the same state and ports. */
    restart: async ({ crash = false } = {}) => {
      await end(crash ? "SIGKILL" : "SIGTERM");
      await start();
    },
  };
  let run = { stdout: "", stderr: "" };
  let clockStart = 0;

  async function start() {
    const child = spawn(xtask, command, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    const exited = new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)));
    run = { child, exited, stdout: "", stderr: "" };
    running.add(child);
    const ready = new Promise((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text) => {
        run.stdout += text;
        const line = run.stdout.match(/^ready (\S+)\n/m);
        if (line) resolve(line[1]);
      });
      child.stderr.setEncoding("utf8").on("data", (text) => (run.stderr += text));
      child.once("error", reject);
      exited.then((code) => reject(new Error(`xtask ${command.join(" ")} ended with ${code}:\n${run.stderr}${run.stdout}`)));
      setTimeout(() => reject(new Error(`xtask ${command.join(" ")} is not ready:\n${run.stderr}${run.stdout}`)), START_LIMIT).unref();
    });
    try {
      op.issuer = await ready;
    } catch (error) {
      await end("SIGKILL");
      throw error;
    }
    const path = new URL(op.issuer).pathname.replace(/\/$/, "");
    op.bases = Array.from({ length: instances }, (_, index) => `http://127.0.0.1:${port + 2 * index}${path}`);
    op.base = op.bases[0];
    op.setupLink = run.stdout.match(/^\s*(\S+\/setup\?ticket=\S+)$/m)?.[1];
    op.scheduledUrl = run.stdout.match(/^scheduled event\s+(\S+)$/m)?.[1];
    if (clockSpeed > 1) clockStart = Number(readFileSync(join(state, host, "clock"), "utf8"));
    if (demo) op.demo = JSON.parse(readFileSync(join(state, "demo.json"), "utf8"));
  }

  // Resolves when nothing listens any more, so that a restart finds its ports free and its files closed.
  async function end(signal) {
    const { child, exited } = run;
    if (!child) return;
    child.kill(signal);
    const limit = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT);
    await exited;
    clearTimeout(limit);
    running.delete(child);
    const until = Date.now() + STOP_LIMIT;
    while (!(await allFree(port, 2 * instances))) {
      if (Date.now() > until) throw new Error(`something still listens on port ${port} after ${signal}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  await start();
  return op;
}

/** The Spin process that was told to listen on this port. */
function listener(port) {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const [program, ...args] = commandLine(pid);
    if (/(^|\/)spin(-host)?$/.test(program) && args.includes(`127.0.0.1:${port}`)) return Number(pid);
  }
  throw new Error(`no Spin process listens on port ${port}`);
}

function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return [""]; // It ended meanwhile.
  }
}

// A host binds its ports a second or two after they were chosen, and another may be started meanwhile.
const givenOut = new Set();

/** The first of `count` neighbouring ports that nobody listens on, or was told to. */
export async function freePorts(count) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const first = 20_000 + 2 * Math.floor(Math.random() * 6_000);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if (ports.some((port) => givenOut.has(port))) continue;
    for (const port of ports) givenOut.add(port);
    if (await allFree(first, count)) return first;
  }
  throw new Error("no free ports");
}

async function allFree(first, count) {
  for (let port = first; port < first + count; port += 1) {
    for (const address of ["127.0.0.1", "::1"]) if (!(await isFree(port, address))) return false;
  }
  return true;
}

function isFree(port, address) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(error.code !== "EADDRINUSE"));
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function jsonLine(line) {
  try {
    return line.startsWith("{") ? [JSON.parse(line)] : [];
  } catch {
    return [];
  }
}
