// Behind a proxy: on Spin everybody comes from its address, unless the deployment knows in which header it says from whose.

import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { startHost } from "../host.mjs";
import { answer } from "../relying_party.mjs";
import { Target } from "../target.mjs";

const PER_ADDRESS = 100;

export function proxy() {
  describe("behind a proxy on spin", () => {
    let op;
    after(() => op?.stop());

    test("each of its clients has a limit of its own, whatever it says of itself", async () => {
      op = await startHost({ host: "spin", env: { SPIN_VARIABLE_CLIENT_ADDRESS_HEADER: "X-Forwarded-For" } });
      const target = new Target(op);
      // What the client sends the proxy puts its peer's address behind.
      const from = (address) => target.browser({ "x-forwarded-for": `203.0.113.9, ${address}` });
      const rp = target.relyingParty();
      const guesser = from("198.51.100.1");
      const page = await guesser.open(rp.request().url(target.base));
      for (let guess = 0; guess < PER_ADDRESS; guess += 1) {
        assert.equal((await answer(guesser, page, { username: `nobody-${guess}`, password: "a guess" })).status, 422);
      }
      assert.equal((await answer(guesser, page, target.alice)).status, 429);
      await rp.tokens(from("198.51.100.2"), target.alice);
      await rp.tokens(target.browser(), target.alice);
    });
  });
}
