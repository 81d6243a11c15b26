// Several regions on one state: three Workers in one workerd on one D1 and KV, and two Spin processes on one folder.
//
// What takes minutes runs on hosts whose clocks run ten times as fast: the products are the ones that are deployed, and so
// are all bounds, by that clock. Delays of the machine count tenfold there, which makes these tests stricter, never laxer.

import { after, describe, test } from "node:test";
import { HOSTS, startHost } from "./host.mjs";
import { acrossRegions } from "./suite/across_regions.mjs";
import { atMostOnce } from "./suite/at_most_once.mjs";
import { crash } from "./suite/crash.mjs";
import { maintenance } from "./suite/maintenance.mjs";
import { rotation } from "./suite/rotation.mjs";
import { Target } from "./target.mjs";

const REGIONS = { cloudflare: ["weur", "enam", "apac"], spin: ["weur", "enam"] };
const CLOCK_SPEED = 10;

const ops = [];
after(() => Promise.all(ops.map((op) => op.stop())));

const targets = [];
for (const host of HOSTS) targets.push(new Target(await start(host)));

for (const target of targets) {
  describe(`${target.bases.length} regions on ${target.host}`, () => {
    atMostOnce(target, [target.bases]);
    acrossRegions(target);
    maintenance(target);
    crash(target);
    after(() => target.op.stop());
  });
}

describe("rotation under load", { concurrency: true }, () => {
  for (const host of HOSTS) {
    test(`on ${host}`, { timeout: 1_200_000 }, async (t) => {
      const op = await start(host, { clockSpeed: CLOCK_SPEED });
      await rotation(t, new Target(op, op.operator));
    });
  }
});

async function start(host, options = {}) {
  const op = await startHost({ host, regions: REGIONS[host], ...options });
  ops.push(op);
  return op;
}
