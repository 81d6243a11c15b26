// Runs floor.mjs in workerd as tools/workerd/serve.mjs runs Vedette: same versions, same compatibility date, the same kind of
// D1 on disk, workerd itself listening.
//
// Configuration comes as JSON in VEDETTE_FLOOR: { config, persist, port, bindings }.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Log, LogLevel, Miniflare } from "miniflare";
import workerd from "workerd";
import { unstable_getMiniflareWorkerOptions as optionsOf } from "wrangler";

const { config, persist, port, bindings } = JSON.parse(process.env.VEDETTE_FLOOR);
delete process.env.VEDETTE_FLOOR;

process.env.VEDETTE_WORKERD = workerd.default ?? workerd;
process.env.MINIFLARE_WORKERD_PATH = fileURLToPath(new URL("../workerd/quiet.sh", import.meta.url));

const { compatibilityDate, compatibilityFlags, d1Databases } = optionsOf(config).workerOptions;
const miniflare = new Miniflare({
  name: "floor",
  compatibilityDate,
  compatibilityFlags,
  d1Databases,
  bindings,
  modules: [{ type: "ESModule", path: fileURLToPath(new URL("floor.mjs", import.meta.url)) }],
  modulesRoot: fileURLToPath(new URL(".", import.meta.url)),
  unsafeDirectSockets: [{ host: "127.0.0.1", port }],
  d1Persist: join(persist, "d1"),
  cf: false,
  log: new Log(LogLevel.ERROR),
  // As Vedette's are.
  structuredWorkerdLogs: false,
  handleRuntimeStdio: (...streams) => streams.forEach((stream) => stream.resume()),
});

let stopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);

try {
  await miniflare.ready;
} catch (error) {
  if (!stopping) {
    process.stderr.write(`the floor did not start: ${error.message}\n`);
    process.exit(1);
  }
}

async function stop() {
  if (stopping) return;
  stopping = true;
  await miniflare.dispose().catch(() => {});
  process.exit(0);
}
