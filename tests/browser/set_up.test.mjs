// An operator sets a new issuer up in headless Chromium, by the link that the first run prints, on both hosts.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { HOSTS, startHost } from "../hosts/host.mjs";
import { inBrowser, launch } from "./chromium.mjs";

for (const host of HOSTS) {
  describe(`an operator with a set-up link on ${host}`, () => {
    let op;
    let browser;
    before(async () => {
      op = await startHost({ host, demo: false });
      browser = await launch();
    });
    after(() => Promise.all([op?.stop(), browser?.close()]));

    test("is told what is wrong in the words of the form, and keeps what was typed", () =>
      inBrowser(browser, async (page) => {
        await page.goto(op.setupLink);
        await fill(page, { password: "2 short" });
        assert.match(await page.textContent("#problem"), /^The password has to have at least 8 characters/);
        assert.equal(await page.inputValue("#issuer_name"), "Example");
        assert.equal(await page.inputValue("#email"), "admin@example.com");
        assert.equal(await page.inputValue("#password"), "");
      }));

    test("gets an issuer and an operator client whose secret is shown once", () =>
      inBrowser(browser, async (page) => {
        await page.goto(op.setupLink);
        await fill(page, { password: "long enough to be one" });
        await page.locator("pre").first().waitFor();
        const [issuer, client_id, client_secret] = await page.locator("dd code").allTextContents();
        assert.equal(issuer, op.issuer);
        const body = new URLSearchParams({ grant_type: "client_credentials" });
        const { access_token } = await (await fetch(`${op.base}/token`, { method: "POST", body, headers: basic(client_id, client_secret) })).json();
        const tenants = await (await fetch(`${op.base}/admin/api/tenants`, { headers: { authorization: `Bearer ${access_token}` } })).json();
        assert.deepEqual(tenants.tenants.map(({ name }) => name), ["Example"]);
      }));

    test("is told that the link is used up, and is not sent back to an app", () =>
      inBrowser(browser, async (page) => {
        const response = await page.goto(op.setupLink);
        assert.equal(response.status(), 409);
        assert.equal(await page.textContent("h1"), "This set-up link does not work");
        assert.doesNotMatch(await page.textContent("main"), /the app that you came from/);
      }));
  });
}

async function fill(page, { password }) {
  await page.fill("#issuer_name", "Example");
  await page.fill("#username", "admin");
  await page.fill("#email", "admin@example.com");
  await page.fill("#password", password);
  await page.click("#set-up");
}

function basic(id, secret) {
  return { authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString("base64")}` };
}
