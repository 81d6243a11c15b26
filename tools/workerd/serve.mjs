// Runs the built Worker in workerd, as wrangler.toml describes it, with D1 and KV kept on disk.
//
// workerd listens on the ports itself. wrangler's dev server would put a proxy in front that costs three quarters of the
// throughput and rewrites what the Worker sees of a request.
//
// Configuration comes as JSON in VEDETTE_SERVE: { config, notes, persist, ports, bindings, dropLogLines }.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare } from "miniflare";
import workerd from "workerd";

const { config, notes, persist, ports, bindings, dropLogLines } = JSON.parse(process.env.VEDETTE_SERVE);
delete process.env.VEDETTE_SERVE;

if (dropLogLines) {
  process.env.VEDETTE_WORKERD = workerd.default ?? workerd;
  process.env.MINIFLARE_WORKERD_PATH = fileURLToPath(new URL("quiet.sh", import.meta.url));
}

const described = await describedWorker(config);
const workers = [
  ...ports.map((port, index) => instance(`vedette-${index}`, port)),
  ...(await hasIPv6() ? ports.map((port, index) => ipv6Door(`vedette-${index}`, port)) : []),
];

const miniflare = new Miniflare({
  workers,
  d1Persist: join(persist, "d1"),
  kvPersist: join(persist, "kv"),
  cf: false,
  log: new Log(LogLevel.ERROR),
  handleStructuredLogs: ({ message }) => void process.stdout.write(`${message}\n`),
});

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);

try {
  await miniflare.ready;
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

// All instances are one Worker on one D1 database and one KV namespace; only their ports differ.
function instance(name, port) {
  const root = dirname(config);
  const { main } = described;
  return {
    ...described.options,
    name,
    rootPath: root,
    modulesRoot: root,
    modules: [
      { type: "ESModule", path: main },
      { type: "ESModule", path: join(root, "build/index.js") },
      { type: "CompiledWasm", path: join(root, "build/index_bg.wasm") },
    ],
    bindings: { ...described.options.bindings, ...bindings },
    unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  };
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
