// Runs the built Worker in workerd, as wrangler.toml describes it, with D1 and KV kept on disk.
//
// workerd listens on the ports itself. wrangler's dev server would put a proxy in front that costs three quarters of the
// throughput and rewrites what the Worker sees of a request.
//
// Configuration comes as JSON in VEDETTE_SERVE: { config, notes, persist, instances: [{ port, bindings }], bindings, clock,
// scheduledUrl, dropLogLines }. `clock` is { start, speed } or null: see fasterClock(). The file `scheduledUrl` gets the URL that
// has the first instance's scheduled event happen.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join, relative } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare } from "miniflare";
import workerd from "workerd";

const { config, notes, persist, instances, bindings, clock, scheduledUrl, dropLogLines } = JSON.parse(process.env.VEDETTE_SERVE);
delete process.env.VEDETTE_SERVE;

if (dropLogLines) {
  process.env.VEDETTE_WORKERD = workerd.default ?? workerd;
  process.env.MINIFLARE_WORKERD_PATH = fileURLToPath(new URL("quiet.sh", import.meta.url));
}

const described = await describedWorker(config);
const workers = [
  ...instances.map((own, index) => instance(`vedette-${index}`, own)),
  ...(await hasIPv6() ? instances.map(({ port }, index) => ipv6Door(`vedette-${index}`, port)) : []),
];

const miniflare = new Miniflare({
  workers,
  d1Persist: join(persist, "d1"),
  kvPersist: join(persist, "kv"),
  cf: false,
  unsafeTriggerHandlers: true,
  log: new Log(LogLevel.ERROR),
  // As workerd prints by itself. Having it wrap each line in JSON of its own was measured to take a tenth of what a small answer
  // costs.
  structuredWorkerdLogs: false,
  handleRuntimeStdio: (...streams) => streams.forEach(passOn),
});

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);

try {
  const entry = await miniflare.ready;
  writeFileSync(`${scheduledUrl}.new`, new URL("/cdn-cgi/handler/scheduled", entry).href);
  renameSync(`${scheduledUrl}.new`, scheduledUrl);
} catch (error) {
  if (!stopping) {
    process.stderr.write(`workerd did not start: ${error.message}\n`);
    process.exit(1);
  }
}

async function stop() {
  if (stopping) return;
  stopping = true;
  await miniflare.dispose().catch(() => {});
  process.exit(0);
}

// Line by line, so that neither stream cuts a line of the other in two.
function passOn(stream) {
  createInterface({ input: stream }).on("line", (line) => void process.stdout.write(`${line}\n`));
}

// All instances are one Worker on one D1 database and one KV namespace; only their ports and their own variables differ.
function instance(name, { port, bindings: own }) {
  const root = dirname(config);
  const { main } = described;
  return {
    ...described.options,
    name,
    rootPath: root,
    modulesRoot: root,
    modules: [
      ...(clock ? fasterClock(root, main) : []),
      { type: "ESModule", path: main },
      { type: "ESModule", path: join(root, "build/index.js") },
      { type: "CompiledWasm", path: join(root, "build/index_bg.wasm") },
    ],
    bindings: { ...described.options.bindings, ...bindings, ...own },
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  };
}

// For tests of what takes minutes or more: an entry module that has the Worker, unchanged, run by a clock that agrees with
// this machine's at `start` and runs `speed` times as fast from then on.
function fasterClock(root, main) {
  const { start, speed } = clock;
  const path = (name) => join(root, name);
  const worker = `./${relative(root, main)}`;
  return [
    { type: "ESModule", path: path("faster.js"), contents: `import "./clock.js"; export { default } from "${worker}";` },
    { type: "ESModule", path: path("clock.js"), contents: `const now = Date.now; Date.now = () => ${start} + (now() - ${start}) * ${speed};` },
  ];
}

// `localhost` may mean ::1. A Worker listens on one address only, so a second, empty one lends its socket.
function ipv6Door(name, port) {
  return {
    name: `${name}-ipv6`,
    modules: true,
    script: "export default { fetch: () => new Response(null, { status: 404 }) }",
    unsafeDirectSockets: [{ host: "::1", port, serviceName: name }],
  };
}

function hasIPv6() {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(0, "::1", () => probe.close(() => resolve(true)));
  });
}

// What wrangler makes of wrangler.toml. Asking wrangler takes more than a second, so its answer is kept beside the build.
async function describedWorker(path) {
  const lock = readFileSync(join(dirname(path), "package-lock.json"));
  const digest = createHash("sha256").update(path).update(readFileSync(path)).update(lock).digest("hex").slice(0, 16);
  const kept = join(notes, `worker-options-${digest}.json`);
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8"));
  const { unstable_getMiniflareWorkerOptions: optionsOf } = await import("wrangler");
  const { workerOptions: options, main } = optionsOf(path);
  mkdirSync(notes, { recursive: true });
  writeFileSync(`${kept}.${process.pid}`, JSON.stringify({ options, main }));
  renameSync(`${kept}.${process.pid}`, kept);
  return { options, main };
}
