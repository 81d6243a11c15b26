// The Worker's limit of time for a batch: it ends the wait for a database that hangs, and not the wait for one whose answer only
// has to get past what this isolate computes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { batch, know } from "../../src/cloudflare/sql.mjs";

know("SELECT 1");
const TEXT = JSON.stringify([[0, []]]);
const LIMIT = 200;

test("a batch that is never answered ends as none", async () => {
  const began = performance.now();
  assert.equal(await batch(database(new Promise(() => {})), undefined, TEXT, LIMIT), null);
  assert.ok(performance.now() - began >= LIMIT * 0.9);
});

test("one whose answer waits behind a long computation is answered", async () => {
  const waiting = batch(database(someTurns()), undefined, TEXT, LIMIT);
  compute(3 * LIMIT);
  assert.equal(await waiting, JSON.stringify([[[[1]]], null]));
});

test("what the database throws is thrown", async () => {
  await assert.rejects(batch(database(Promise.reject(new Error("no such table"))), undefined, TEXT, LIMIT), /no such table/);
});

function database(answer) {
  return { prepare: () => ({}), batch: () => answer };
}

/** Turns of the event loop, which a computation holds up altogether. */
async function someTurns() {
  for (let count = 0; count < 3; count += 1) await turn();
  return [{ results: [{ 1: 1 }] }];
}

function compute(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}
