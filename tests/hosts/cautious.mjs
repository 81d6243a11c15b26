// Relying parties that keep a JWKS for exactly as long as its max-age says, verify every token they get, and never ask for the
// keys earlier, whatever a token says. Ages and times are by the host's clock.

import { setTimeout as pause } from "node:timers/promises";
import { claimsOf, headerOf, verified } from "./relying_party.mjs";

const SCOPE = "openid offline_access";
/** Between two requests of one relying party, in milliseconds of this machine. */
const PAUSE = 150;

/** Many of them, each with another algorithm, its keys from another region and its tokens from all. */
export class Traffic {
  /**
   * Every token that was received: { name, alg, kid, region, iat, asked, judged, keysAge }. A UserInfo response has no `iat`.
   * It was asked for not before `asked`, and verified at `judged` with keys of that age.
   */
  tokens = [];
  /** Tokens that did not verify. */
  unverified = [];
  /** Requests that were not answered, or not with 200: { region, at, error }. */
  failures = [];
  fetches = 0;
  #parties = [];
  #running = true;

  constructor(target) {
    this.target = target;
  }

  /** Makes one more, and lets it begin. */
  async add({ alg, region }) {
    const { target } = this;
    const rp = await target.newRelyingParty({
      id_token_signed_response_alg: alg,
      userinfo_signed_response_alg: alg,
      grant_types: ["authorization_code", "refresh_token", "client_credentials"],
    });
    const party = new CautiousParty(this, rp, region);
    this.person ??= await target.person();
    await party.signIn(target.browser(), this.person);
    this.#parties.push(party.run(() => this.#running));
  }

  async stop() {
    this.#running = false;
    await Promise.all(this.#parties);
  }
}

class CautiousParty {
  #jwks;
  #fetchedAt;
  #maxAge;
  /** An answer to a refresh was lost: nobody knows whether the token was used. */
  #isUnsure = false;

  constructor(traffic, rp, region) {
    this.traffic = traffic;
    this.rp = rp;
    this.op = rp.target.op;
    this.region = region;
  }

  async signIn(browser, person) {
    const asked = this.op.now();
    this.browser = browser;
    this.person = person;
    await this.#take(await this.rp.tokens(browser, person, { scope: SCOPE }), this.region, asked);
  }

  async run(isRunning) {
    const { bases } = this.op;
    for (let round = 0; isRunning(); round += 1) {
      const region = round % bases.length;
      const steps = [() => this.#refresh(region), () => this.#refresh(region), () => this.#userinfo(region), () => this.#credentials(region)];
      try {
        await steps[Math.floor(round / bases.length) % steps.length]();
      } catch (error) {
        this.#fail(region, error.cause ?? error);
      }
      await pause(PAUSE);
    }
  }

  async #refresh(region) {
    const asked = this.op.now();
    const isRetry = this.#isUnsure;
    this.#isUnsure = true;
    const answer = await this.rp.refresh(this.refreshToken, { base: this.op.bases[region] });
    this.#isUnsure = false;
    if (answer.status === 200) return this.#take(answer.body, region, asked);
    // The grace of a lost answer may be over.
    if (isRetry && answer.status === 400) return this.signIn(this.browser, this.person);
    return this.#refused(region, answer);
  }

  async #credentials(region) {
    const asked = this.op.now();
    const answer = await this.rp.token({ grant_type: "client_credentials" }, { base: this.op.bases[region] });
    if (answer.status === 200) return this.#verify("access_token", answer.body.access_token, region, asked);
    return this.#refused(region, answer);
  }

  async #userinfo(region) {
    const asked = this.op.now();
    const answer = await this.rp.userinfo(this.accessToken, { base: this.op.bases[region] });
    if (answer.status === 200) return this.#verify("userinfo", answer.text, region, asked);
    // What a revoked key signed is refused; the next refresh gives another.
    if (answer.status === 401 && this.traffic.mayBeRefused?.(headerOf(this.accessToken).kid)) return undefined;
    return this.#refused(region, answer);
  }

  async #take({ access_token, id_token, refresh_token }, region, asked) {
    this.refreshToken = refresh_token;
    this.accessToken = access_token;
    await this.#verify("access_token", access_token, region, asked);
    await this.#verify("id_token", id_token, region, asked);
  }

  async #verify(name, token, region, asked) {
    const [jwks, judged] = await this.#keys();
    const { alg, kid } = headerOf(token);
    const { iat } = claimsOf(token);
    const seen = { name, alg, kid, region: this.op.regions[region], iat, asked, judged, keysAge: judged - this.#fetchedAt };
    this.traffic.tokens.push(seen);
    try {
      verified(token, jwks);
    } catch (error) {
      this.traffic.unverified.push({ ...seen, keysOf: this.op.regions[this.region], why: error.message });
    }
  }

  /** The key set, and the time at which it was still fresh. */
  async #keys() {
    // From its own region, so that what one region serves is held against what another signs.
    for (;;) {
      const now = this.op.now();
      if (this.#jwks !== undefined && now - this.#fetchedAt < this.#maxAge) return [this.#jwks, now];
      try {
        const answer = await this.rp.target.call("GET", "/jwks", { base: this.op.bases[this.region] });
        if (answer.status === 200) {
          this.#fetchedAt = this.op.now();
          this.#maxAge = Number(answer.headers.get("cache-control").match(/max-age=(\d+)/)[1]);
          this.#jwks = answer.body;
          this.traffic.fetches += 1;
        } else {
          await this.#refused(this.region, answer);
        }
      } catch (error) {
        this.#fail(this.region, error.cause ?? error);
        await pause(PAUSE);
      }
    }
  }

  async #refused(region, answer) {
    const [line] = await this.rp.target.linesOf(answer);
    this.#fail(region, `${answer.status} ${line?.fault ?? line?.refusal ?? answer.text}`);
  }

  #fail(region, error) {
    this.traffic.failures.push({ region, at: this.op.now(), error: String(error) });
  }
}
