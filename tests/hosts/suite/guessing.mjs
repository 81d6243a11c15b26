// Guesses at passwords: counted before they are looked at, by account and by address, whichever instance they come to.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answer } from "../relying_party.mjs";
import { count } from "./at_most_once.mjs";

const PER_ACCOUNT = 10;
const PER_ADDRESS = 100;

export function guessing(target) {
  describe("guesses at passwords", () => {
    test("30 at once at one account, on two instances, are looked at ten times", async () => {
      const rp = target.relyingParty();
      const person = await target.person();
      const forms = Array.from({ length: 30 }, async (_, index) => {
        const browser = target.browser();
        return [browser, await browser.open(rp.request().url(target.bases[index % 2]))];
      });
      const guesses = (await Promise.all(forms)).map(([browser, page], index) =>
        answer(browser, page, { ...person, password: `guess ${index}` }),
      );
      assert.deepEqual(count(await Promise.all(guesses)), { 422: PER_ACCOUNT, 429: 30 - PER_ACCOUNT });
    });

    // On Spin it runs last: nobody signs in from here any more.
    test("a hundred from one address, each at another account, stop the address, whatever it says of itself", async () => {
      const rp = target.relyingParty();
      const person = await target.person();
      const browser = target.browser(from("192.0.2.1"));
      const page = await browser.open(rp.request().url(target.base));
      let seen;
      for (let index = 0; index <= PER_ADDRESS && seen !== 429; index += 1) {
        seen = (await answer(browser, page, { username: `nobody-${index}`, password: "a guess" })).status;
        assert.ok([422, 429].includes(seen), `guess ${index}: ${seen}`);
      }
      const stopped = await answer(browser, page, person);
      assert.equal(stopped.status, 429);
      assert.ok(Number(stopped.headers.get("retry-after")) > 0);
      if (target.host === "cloudflare") await rp.tokens(target.browser(from("192.0.2.2")), person);
    });

    // Cloudflare's own header says who asks, and replaces what a client sends; Spin tells the peer after what a client sends.
    function from(address) {
      const forwarded = { "x-forwarded-for": "198.51.100.1", forwarded: "for=198.51.100.1" };
      if (target.host === "cloudflare") return { "cf-connecting-ip": address, ...forwarded };
      return { "spin-client-addr": `${address}:1`, "cf-connecting-ip": address, ...forwarded };
    }
  });
}
