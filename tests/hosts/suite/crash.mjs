// A host dies in the middle of everything, and starts again on the same state: what it had acknowledged is there.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { answer, verified } from "../relying_party.mjs";

/** How many redemptions and sign-ins, and how many rotations, are answered before the crash. */
const RUN_UP = [8, 2];
/** Seconds for which a region's copy of the keys may be older than the database. */
const COPY_BOUND = 60;
const GRANTS = 6;
const SPARED = "EdDSA";
/** How long somebody may take, in milliseconds, on a machine that does something else as well. */
const PATIENCE = 60_000;

export function crash(target) {
  describe("a crash in the middle of everything", () => {
    test("of the whole host loses nothing that was acknowledged", { timeout: 600_000 }, async (t) => {
      const work = new Work(target);
      await work.prepare();
      work.start(target.bases);
      await work.runUp();
      await target.op.crash();
      await work.stop();
      await work.assertKept(t);
    });

    if (target.host === "spin") {
      test("of one process loses nothing either, and the other serves all the while", { timeout: 600_000 }, async (t) => {
        const [dying, ...others] = target.bases.toReversed();
        const work = new Work(target);
        await work.prepare();
        work.start(target.bases);
        await work.runUp();
        target.op.killInstance(target.bases.indexOf(dying));
        const before = work.acknowledged(others);
        await until("the other goes on", () => work.acknowledged(others) > before + 30);
        await work.stop();
        assert.deepEqual(work.failures.filter(({ base }) => base !== dying), [], "nothing failed at the other");
        assert.ok(work.failures.length > 0, "something was cut short");
        await until("it is started again", async () => (await fetch(`${dying}/health`)).status === 200);
        await work.assertKept(t);
      });
    }
  });
}

/** Redemptions, refreshes, sign-ins, rotations and revocations of keys, without end, and what was answered. */
class Work {
  /** What was cut short, or refused. */
  failures = [];
  redeemed = [];
  /** Of each grant, the last answer. */
  refreshed = [];
  signedIn = [];
  /** Keys that are on their way, with their algorithms. */
  published = new Map();
  revoked = new Set();
  /** The algorithm whose keys are not revoked any more. */
  #spared;
  #counts = new Map();
  #running = false;
  #loops = [];

  constructor(target) {
    this.target = target;
    this.rp = target.relyingParty();
  }

  async prepare() {
    const { rp, target } = this;
    this.person = await target.person();
    const browser = target.browser();
    await rp.tokens(browser, this.person);
    for (let grant = 0; grant < GRANTS; grant += 1) this.refreshed.push(await rp.tokens(browser));
    this.browser = browser;
  }

  start(bases) {
    this.#running = true;
    for (const base of bases) {
      this.#loop(base, () => this.#redeem(base));
      this.#loop(base, () => this.#signIn(base));
    }
    // One for each, so that they do not wait for each other.
    this.#loop(bases[0], () => this.#rotate(bases[0], "EdDSA"));
    this.#loop(bases.at(-1), () => this.#rotate(bases.at(-1), "ES256"));
    this.refreshed.forEach((_, grant) => this.#loop(bases[grant % bases.length], (base) => this.#refresh(grant, base)));
  }

  /** Until enough of everything was acknowledged; then any moment is as good as another. */
  async runUp() {
    const [many, some] = RUN_UP;
    const isEnough = () => Math.min(this.redeemed.length, this.signedIn.length) >= many && this.revoked.size >= some;
    await until("enough was answered", isEnough);
    // One key is left on its way; those of the other loop may be cut short in any state.
    this.#spared = SPARED;
    await until("a key is on its way", () => [...this.published.values()].includes(SPARED));
    await pause(Math.random() * 200);
  }

  async stop() {
    this.#running = false;
    await Promise.all(this.#loops);
  }

  /** How many requests these instances have answered. */
  acknowledged(bases) {
    return bases.reduce((total, base) => total + (this.#counts.get(base) ?? 0), 0);
  }

  /** Until a request fails: whoever loses an answer does not know what came of it. */
  #loop(base, step) {
    const run = async () => {
      while (this.#running) {
        try {
          await step(base);
          this.#counts.set(base, (this.#counts.get(base) ?? 0) + 1);
        } catch (error) {
          this.failures.push({ base, error: String(error.cause ?? error) });
          return;
        }
      }
    };
    this.#loops.push(run());
  }

  async #redeem(base) {
    const request = this.rp.request({ prompt: "none" });
    const code = this.rp.codeIn(request, await this.browser.copy().open(request.url(base)));
    const redeemed = await this.rp.redeem(request, code, { base });
    assert.equal(redeemed.status, 200, redeemed.text);
    this.redeemed.push(redeemed.body);
  }

  async #refresh(grant, base) {
    const refreshed = await this.rp.refresh(this.refreshed[grant].refresh_token, { base });
    assert.equal(refreshed.status, 200, refreshed.text);
    this.refreshed[grant] = refreshed.body;
  }

  async #signIn(base) {
    const browser = this.target.browser();
    const request = this.rp.request();
    const page = await answer(browser, await browser.open(request.url(base)), this.person);
    this.rp.codeIn(request, page);
    this.signedIn.push(browser);
  }

  /** The next key is asked for and, as nobody needs it yet, revoked, so that there is a next one to ask for. */
  async #rotate(base, alg) {
    const { target } = this;
    const { keys } = await target.managed(200, "POST", "keys/rotate", { alg }, { base });
    assert.equal(keys.length, 1, JSON.stringify(keys));
    const [{ kid }] = keys;
    this.published.set(kid, alg);
    await pause(100);
    if (alg === this.#spared) return;
    // From here on it may be revoked, whether that is acknowledged or not.
    this.published.delete(kid);
    await target.managed(200, "POST", `keys/${kid}/revoke`, {}, { base });
    this.revoked.add(kid);
  }

  async assertKept(t) {
    const { target, rp } = this;
    const tokens = [...this.redeemed, ...this.refreshed];
    const said = `${this.redeemed.length} codes redeemed, ${this.signedIn.length} sign-ins, ${this.published.size} keys published and ` +
      `${this.revoked.size} revoked were acknowledged; ${this.failures.length} requests were not`;
    t.diagnostic(said);
    const refused = this.failures.filter(({ error }) => error.startsWith("AssertionError"));
    assert.deepEqual(refused, [], "nothing that reached the host was refused");

    // The one that waits longest first: a region may serve its copy of the keys from before for as long as that lives.
    const listed = (await target.managed(200, "GET", "keys")).keys;
    const stateOf = (kid) => listed.find((key) => key.kid === kid)?.state;
    assert.deepEqual([...this.published.keys()].filter((kid) => stateOf(kid) !== "standby"), [], "published keys are there");
    assert.deepEqual([...this.revoked].filter((kid) => stateOf(kid) !== "revoked"), [], "revoked keys are revoked");
    for (const alg of ["RS256", "PS256", "ES256", "EdDSA"]) {
      const active = listed.filter((key) => key.alg === alg && key.state === "active");
      assert.equal(active.length, 1, `${alg}: ${JSON.stringify(active)}`);
    }
    await Promise.all(target.bases.map((base) => this.#assertPublished(base)));

    const jwks = await target.jwks();
    for (const { access_token, id_token } of tokens) for (const token of [access_token, id_token]) verified(token, jwks);
    for (const [index, answered] of tokens.entries()) {
      const base = target.bases[index % target.bases.length];
      await rp.assertAlive(answered, { base });
      const again = await rp.refresh(answered.refresh_token, { base });
      assert.equal(again.status, 200, `an acknowledged refresh token: ${again.text}`);
    }
    for (const [index, browser] of this.signedIn.entries()) {
      const silent = rp.request({ prompt: "none" });
      rp.codeIn(silent, await browser.open(silent.url(target.bases[index % target.bases.length])));
    }
    // The schedule goes on: nothing is due twice, and what is on its way is what was announced.
    const { keys } = await target.managed(200, "POST", "keys/rotate", { alg: "EdDSA" });
    const more = await target.managed(200, "POST", "keys/rotate", { alg: "ES256" });
    const next = [...keys, ...more.keys].map(({ kid }) => kid);
    assert.equal(next.length, 2);
    assert.deepEqual([...this.published.keys()].filter((kid) => !next.includes(kid)), [], `on their way are ${next}`);
  }

  async #assertPublished(base) {
    const until = Date.now() + (COPY_BOUND + 1) * 1000;
    for (;;) {
      const asked = Date.now();
      const { keys } = await this.target.jwks({ base });
      const isListed = (kid) => keys.some((key) => key.kid === kid);
      const missing = [...this.published.keys()].filter((kid) => !isListed(kid));
      const left = [...this.revoked].filter(isListed);
      if (missing.length === 0 && left.length === 0) return;
      assert.ok(asked < until, `JWKS of ${base} after ${COPY_BOUND} s: without ${missing}, still with ${left}`);
      await pause(500);
    }
  }
}

async function until(what, isSo) {
  const end = Date.now() + PATIENCE;
  for (let problem = ""; ; await pause(50)) {
    try {
      if (await isSo()) return;
    } catch (error) {
      problem = error.cause ?? error;
    }
    assert.ok(Date.now() < end, `not yet: ${what} ${problem}`);
  }
}
