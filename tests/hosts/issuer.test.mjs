// The issuer from outside, the same tests on every host, and then every host's answers side by side.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { comparable, exchange, header } from "./exchange.mjs";
import { HOSTS, startHost } from "./host.mjs";
import { requests } from "./requests.mjs";
import { atMostOnce } from "./suite/at_most_once.mjs";
import { flow } from "./suite/flow.mjs";
import { guessing } from "./suite/guessing.mjs";
import { instances } from "./suite/instances.mjs";
import { log } from "./suite/log.mjs";
import { management } from "./suite/management.mjs";
import { registration } from "./suite/registration.mjs";
import { Target } from "./target.mjs";

const SUITES = [flow, registration, management, instances, atMostOnce];

const targets = [];
after(() => Promise.all(targets.map(({ op }) => op.stop())));
for (const host of HOSTS) targets.push(new Target(await startHost({ host, instances: 2 })));

for (const target of targets) {
  describe(`the issuer on ${target.host}`, () => {
    for (const suite of SUITES) suite(target);
  });
}

describe("all hosts give the same answer to", () => {
  before(async () => {
    for (const target of targets) {
      target.tenantId = (await target.own("")).split("/")[1];
      const home = await target.call("GET", "/", { headers: { accept: "text/html" } });
      target.styleSheet = home.text.match(/<link rel="stylesheet" href="([^"]+)"/)[1];
    }
  });

  // Named here and made when the tests run, since they need what the hosts have said of themselves.
  for (const { name } of requests(targets[0])) {
    test(name, async () => {
      const [expected, ...others] = await Promise.all(targets.map((target) => ask(target, name)));
      for (const other of others) assert.deepEqual(other, expected);
    });
  }

  async function ask(target, name) {
    const request = requests(target).find((request) => request.name === name);
    const answer = await exchange(target.base, request);
    assert.equal(answer.status, request.status, `${target.host}: ${answer.text}`);
    assert.ok(header(answer, "x-request-id"), `${target.host}: no request id`);
    return comparable(target, answer);
  }
});

for (const target of targets) {
  describe(`at the end, on ${target.host},`, () => {
    guessing(target);
    log(target);
  });
}
