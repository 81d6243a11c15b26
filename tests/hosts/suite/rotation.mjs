// Keys change while relying parties verify every token against a JWKS that they cached: rotation by operators in several
// regions at once, maintenance in all of them, keys per region, a crash in between, first keys, and a revocation.
//
// On a host whose clock runs faster, so that the lead of a rotation (430 seconds) passes while the test waits. All seconds are
// the host's.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { dropCopies, withDatabase } from "../database.mjs";
import { assertError, headerOf, verified } from "../relying_party.mjs";
import { Traffic } from "../cautious.mjs";

const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"];
const PARTIES = 8;
const COPY_BOUND = 60;
const JWKS_MAX_AGE = 300;
const LEAD = 430;
/** What asking and answering may take on a busy machine, which its faster clock makes more of. */
const SLACK = 10;

export async function rotation(t, target) {
  const { op } = target;
  const traffic = new Traffic(target);
  let tenant;
  let client;
  let onTheirWay;
  let others;
  let cut;

  const keys = async (path = "keys") => (await target.managed(200, "GET", path)).keys;
  const until = (time) => pause(Math.max(0, ((time - op.now()) / op.clockSpeed) * 1000));

  try {
    await t.test("relying parties begin to cache, one after the other", async () => {
      tenant = await target.managed(201, "POST", "tenants", { issuer: `${target.issuer}/t/new`, name: "New" });
      client = await target.managed(201, "POST", `tenants/${tenant.id}/clients`, { grant_types: ["client_credentials"], redirect_uris: [] });
      const begin = async (from, to) => {
        for (let index = from; index < to; index += 1) {
          await traffic.add({ alg: ALGORITHMS[index % ALGORITHMS.length], region: index % op.bases.length });
          // So that at any time there are caches of every age.
          await until(op.now() + JWKS_MAX_AGE / PARTIES);
        }
      };
      await begin(0, PARTIES / 2);
      others = begin(PARTIES / 2, PARTIES);
      others.catch(() => {}); // Told below.
    });

    await t.test("operators rotate in all regions at once: one next key, in every JWKS at once or a minute later", async () => {
      const before = await keys();
      const answers = await Promise.all(
        op.bases.map((base) => target.managed(200, "POST", "keys/rotate", undefined, { base })),
      );
      const kids = answers.map((answer) => answer.keys.map(({ kid }) => kid).sort());
      assert.equal(kids[0].length, ALGORITHMS.length);
      for (const other of kids) assert.deepEqual(other, kids[0], "all name the same keys");
      const made = (await keys()).filter((key) => !before.some(({ kid }) => kid === key.kid));
      assert.deepEqual(made.map(({ kid }) => kid).sort(), kids[0], "and made no others");
      for (const key of made) assert.ok(key.activates_at - key.published_at >= LEAD, JSON.stringify(key));
      onTheirWay = made;
      await others;
    });

    await t.test("keys per region are switched on beside a rotation and maintenance everywhere: one first key each", async () => {
      const [here, there] = [op.bases[0], op.bases.at(-1)];
      const path = await target.own("");
      const settled = await Promise.all([
        target.managed(200, "PATCH", path, { regions: op.regions }, { base: here }),
        target.managed(200, "POST", "keys/rotate", { alg: "EdDSA" }, { base: there }),
        ...op.bases.map((base) => target.maintain(base)),
      ]);
      assert.deepEqual(settled[0].regions, op.regions);
      await target.maintainUntilNothingIsDue();
      const all = await keys();
      for (const region of op.regions) {
        for (const alg of ALGORITHMS) {
          const own = all.filter((key) => key.region === region && key.alg === alg).sort((one, other) => one.ordinal - other.ordinal);
          // It is due for a standby when it has taken over, which on a slow machine is by now.
          const may = ["1 standby", "1 active", "1 active,2 standby"];
          assert.ok(may.includes(briefly(own)), `keys of ${region} for ${alg}: ${JSON.stringify(own)}`);
          assert.ok(own[0].activates_at - own[0].published_at >= LEAD, `too early: ${JSON.stringify(own)}`);
          onTheirWay.push(own[0]);
        }
      }
      const [set] = await commonJwks();
      for (const { kid } of onTheirWay) assert.ok(set.keys.some((key) => key.kid === kid), `${kid} is published`);
    });

    await t.test("a crash in the middle of it", async () => {
      cut = { from: op.now(), regions: op.bases.map((_, index) => index) };
      if (op.host === "spin") {
        const dying = op.bases.length - 1;
        cut.regions = [dying];
        op.killInstance(dying);
        loseKeys();
        await answering(op.bases[dying]);
      } else {
        await op.crash(() => {
          loseKeys();
          dropCopies(op);
        });
      }
      cut.to = op.now();
    });

    await t.test("a tenant without keys gets one first key of each algorithm, however many regions need them at once", async () => {
      const race = await Promise.all(
        Array.from({ length: 45 }, (_, index) => {
          const base = `${op.bases[index % op.bases.length]}/t/new`;
          const rp = target.relyingParty(client);
          if (index < op.bases.length) return target.maintain(op.bases[index]);
          if (index % 5 === 3) return target.call("GET", "/jwks", { base });
          if (index % 5 === 4) return target.call("GET", "/.well-known/openid-configuration", { base });
          return rp.token({ grant_type: "client_credentials" }, { base });
        }),
      );
      for (const answer of race) assert.equal(answer.status, 200, answer.text);
      await target.maintainUntilNothingIsDue();
      const [set, made] = await commonJwks("/t/new", `tenants/${tenant.id}/keys`);
      for (const alg of ALGORITHMS) {
        const own = made.filter((key) => key.alg === alg).sort((one, other) => one.ordinal - other.ordinal);
        // What nobody can have missed waits until all the world can know it, and only then needs a standby: on a slow machine, by now.
        const may = ["1 active,2 standby", ...(["RS256", "ES256"].includes(alg) ? [] : ["1 standby", "1 active"])];
        assert.ok(may.includes(briefly(own)), `keys for ${alg}: ${JSON.stringify(own)}`);
        assert.ok(own.every(({ region }) => region === ""), alg);
      }
      assert.deepEqual(set.keys.map(({ kid }) => kid).sort(), made.map(({ kid }) => kid).sort());
      const tokens = race.flatMap(({ body }) => body?.access_token ?? []);
      assert.ok(tokens.length > 20);
      for (const token of tokens) verified(token, set);
    });

    await t.test("each key takes over when it said it would, after the crash too, and every relying party can verify it", async () => {
      const last = Math.max(...onTheirWay.map(({ activates_at }) => activates_at));
      await until(last + 100);
      await target.maintainUntilNothingIsDue();
      const all = await keys();
      for (const { kid, region, alg } of onTheirWay) {
        // Unless the machine was so slow that the second rotation was one more.
        assert.match(all.find((key) => key.kid === kid).state, region === "" ? /active|retired/ : /active/, `${region} ${alg}`);
      }
      const inUse = new Set(traffic.tokens.map(({ kid }) => kid));
      const unused = onTheirWay.filter(({ kid, region }) => region !== "" && !inUse.has(kid));
      assert.deepEqual(unused, [], "every region signs with its own keys, of all algorithms");
      // A UserInfo response does not say when it was signed.
      for (const { kid, region, iat, alg } of traffic.tokens.filter(({ name }) => name !== "userinfo")) {
        const active = activeAt(all, region, alg, iat);
        assert.ok(active.includes(kid), `${region} signed ${alg} with ${kid} at ${iat}, when it was the turn of ${active}`);
      }
      assertNothingFailed();
    });

    await t.test("switched off again, all regions sign with the common keys", async () => {
      await target.managed(200, "PATCH", await target.own(""), { regions: [] });
      await until(op.now() + COPY_BOUND + SLACK);
      const common = (await keys()).find(({ alg, region, state }) => alg === "ES256" && region === "" && state === "active");
      for (const base of op.bases) assert.equal(await signingKey(base), common.kid, base);
    });

    await t.test("a revoked key: refused by us at once, signs nowhere after a minute, and the standby is known to all", async () => {
      const rp = target.relyingParty();
      const before = await Promise.all(op.bases.map((base) => rp.tokens(target.browser(), target.alice, {}, { base })));
      const { kid } = headerOf(before[0].access_token);
      traffic.mayBeRefused = (other) => other === kid;
      target.forgetOperatorToken();
      const revoking = op.now();
      const answer = await target.managed(200, "POST", `keys/${kid}/revoke`, {}, { base: op.bases.at(-1) });
      const revoked = op.now();
      // Everything that it signed, in every region, before anything else.
      const shown = op.bases.flatMap((base) => before.map(({ access_token }) => ({ base, access_token })));
      await Promise.all(
        shown.map(async ({ base, access_token }) => {
          assertError(await rp.userinfo(access_token, { base }), 401, "invalid_token");
          assert.deepEqual((await rp.introspect(access_token, { base })).body, { active: false });
        }),
      );
      assert.equal((await target.manage("GET", "keys")).status, 401, "nor is the operator's own token good any more");
      assert.equal(answer.signs_now.known_to_relying_parties, true);
      await until(revoked + COPY_BOUND + 1);
      for (const base of op.bases) {
        assert.equal(await signingKey(base), answer.signs_now.kid, base);
        assert.ok(!(await target.jwks({ base })).keys.some((key) => key.kid === kid), `${base} still publishes it`);
      }
      for (const tokens of before) assert.equal((await rp.refresh(tokens.refresh_token)).status, 200, "refresh tokens go on");
      // Long enough for half of the relying parties to have changed from the key set of before to one of after.
      await until(revoked + COPY_BOUND + JWKS_MAX_AGE / 2);
      const late = traffic.tokens.filter((token) => token.kid === kid && token.asked > revoked + COPY_BOUND);
      assert.ok(traffic.tokens.some((token) => token.kid === kid), "it was in use");
      assert.deepEqual(late, [], "signed with it after the bound");
      // What it signed may be refused by whoever has newer keys; nothing else may.
      assertNothingFailed((token) => token.kid === kid && token.judged >= revoking);
      target.forgetOperatorToken();
      assert.equal((await keys()).find((key) => key.kid === kid).state, "revoked");
    });
  } finally {
    await traffic.stop();
  }

  await t.test("caches were used to their end, and all of it was under load", () => {
    const oldest = Math.max(...traffic.tokens.map(({ keysAge }) => keysAge));
    t.diagnostic(
      `${traffic.tokens.length} tokens verified by ${PARTIES} relying parties that fetched keys ${traffic.fetches} times, ` +
        `with keys up to ${Math.round(oldest)} s old; ${traffic.failures.length} requests were cut short by the crash`,
    );
    assert.ok(oldest > JWKS_MAX_AGE - 30 && oldest <= JWKS_MAX_AGE, `the oldest keys that verified something: ${oldest} s`);
    assert.ok(traffic.tokens.length > 500, `${traffic.tokens.length} tokens`);
    assert.deepEqual([...new Set(traffic.tokens.map(({ alg }) => alg))].sort(), [...ALGORITHMS].sort());
  });

  function assertNothingFailed(mayBeUnverified = () => false) {
    assert.deepEqual(traffic.unverified.filter((token) => !mayBeUnverified(token)), [], "tokens that did not verify");
    const isCut = ({ region, at }) => cut.regions.includes(region) && at >= cut.from && at <= cut.to + SLACK;
    assert.deepEqual(traffic.failures.filter((failure) => !isCut(failure)), [], "requests that failed while nothing was down");
  }

  /** Behind the host's back: a tenant that was made before keys were, or whose keys somebody lost. */
  function loseKeys() {
    const lost = withDatabase(op, (database) => database.prepare("DELETE FROM signing_keys WHERE tenant_id = ?").run(tenant.id).changes);
    assert.ok(lost >= ALGORITHMS.length, `${lost} keys were there`);
  }

  /** The JWKS that all regions serve when no key was made and none changed its state for as long as copies live; and the keys. */
  async function commonJwks(issuerPath = "", keysPath = "keys") {
    const states = (listed) => listed.map(({ kid, state }) => `${kid} ${state}`).sort();
    for (;;) {
      const before = await keys(keysPath);
      await until(op.now() + COPY_BOUND + SLACK);
      const sets = await Promise.all(op.bases.map((base) => target.jwks({ base: base + issuerPath })));
      const after = await keys(keysPath);
      if (!isDeepStrictEqual(states(before), states(after))) continue;
      for (const set of sets) assert.deepEqual(set, sets[0], "one JWKS everywhere");
      return [sets[0], after];
    }
  }

  async function signingKey(base) {
    const answer = await target.relyingParty().token({ grant_type: "client_credentials" }, { base });
    assert.equal(answer.status, 200, answer.text);
    return headerOf(answer.body.access_token).kid;
  }

  async function answering(base) {
    const end = Date.now() + 60_000;
    for (;;) {
      try {
        if ((await fetch(`${base}/health`)).status === 200) return;
      } catch (error) {
        assert.ok(Date.now() < end, `${base} does not come back: ${error.cause ?? error}`);
      }
      await pause(50);
    }
  }
}

/** Ordinals and states of one region's keys for one algorithm. */
function briefly(keys) {
  return keys.map(({ ordinal, state }) => `${ordinal} ${state}`).join();
}

/** The kids that may have signed what says this `iat`: of the region if it has an active key, else the common one. */
function activeAt(keys, region, alg, time) {
  const at = (second) => {
    for (const of of [region, ""]) {
      const active = keys.filter((key) => key.region === of && key.alg === alg && key.activates_at <= second);
      if (active.length > 0) return active.reduce((one, other) => (place(one) > place(other) ? one : other)).kid;
    }
    return undefined;
  };
  // The key is chosen after the time was written down.
  return [...new Set([at(time), at(time + 1), at(time + 2)])];
}

function place({ activates_at, ordinal }) {
  return activates_at * 1000 + ordinal;
}
