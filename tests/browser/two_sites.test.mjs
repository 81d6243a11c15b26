// What browsers do between sites (design.md §8): the issuer on https://op.test, relying parties and strangers on other sites.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { HOSTS, startHost } from "../hosts/host.mjs";
import { complaintsOf, inBrowser, launch, signIn, table } from "./chromium.mjs";
import { startSites } from "./sites.mjs";

const ISSUER = "https://op.test";
const PIXEL = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

for (const host of HOSTS) {
  describe(`the issuer on a site of its own, on ${host}`, () => {
    let op;
    let sites;
    let browser;
    before(async () => {
      sites = await startSites(["op.test", "rp.test", "www.third.test", "evil.test"]);
      const args = ["--demo-rp-url", "https://rp.test"];
      op = await startHost({ host, demo: true, issuer: ISSUER, args });
      browser = await launch(sites.flags);
      sites.proxy("op.test", op.port);
      sites.proxy("rp.test", op.port + 1);
    });
    after(() => Promise.all([op?.stop(), browser?.close(), sites?.stop()]));

    /** A client of its own for a test, so that no consent is remembered. */
    const register = async (metadata) => {
      const body = JSON.stringify({ token_endpoint_auth_method: "none", ...metadata });
      const response = await fetch(`${op.base}/register`, { method: "POST", headers: { "content-type": "application/json" }, body });
      assert.equal(response.status, 201, `registration: ${await response.clone().text()}`);
      return response.json();
    };
    const ask = (client, redirect_uri, more = {}) => {
      const verifier = randomBytes(32).toString("base64url");
      const parameters = {
        client_id: client.client_id,
        redirect_uri,
        response_type: "code",
        scope: "openid",
        state: "a state",
        code_challenge: createHash("sha256").update(verifier).digest("base64url"),
        code_challenge_method: "S256",
        ...more,
      };
      return { verifier, parameters, url: `${ISSUER}/authorize?${new URLSearchParams(parameters)}` };
    };
    const redeem = async (client, redirect_uri, code, code_verifier) => {
      const body = new URLSearchParams({ grant_type: "authorization_code", client_id: client.client_id, redirect_uri, code, code_verifier });
      return (await fetch(`${op.base}/token`, { method: "POST", body })).json();
    };
    /** A relying party on rp.test to which the person in `page` has just signed in. */
    const signedIn = async (page, metadata = {}) => {
      const callback = sites.receive("rp.test");
      const client = await register({ redirect_uris: [callback.url], ...metadata });
      const asked = ask(client, callback.url);
      await page.goto(asked.url);
      await signIn(page, op.demo);
      await page.click("#allow");
      await page.locator("#received").waitFor();
      return { client, callback, asked };
    };
    const silently = async (page, { client, callback }) => {
      await page.goto(ask(client, callback.url, { prompt: "none" }).url);
      await page.locator("#received").waitFor();
      return callback.last().parameters;
    };
    const sessionCookies = async (context) => (await context.cookies(ISSUER)).filter(({ name }) => name.includes("session"));
    const go = async (page, url) => {
      await page.goto(url);
      await Promise.all([page.waitForURL((now) => now.href !== url), page.click("#go")]);
    };

    test("a person signs in at a relying party of another site, refreshes and signs out", () =>
      inBrowser(browser, async (page) => {
        await page.goto("https://rp.test/");
        await page.click("#demo-sign-in");
        await signIn(page, op.demo);
        assert.equal(new URL(page.url()).origin, ISSUER);
        await page.click("#allow");
        assert.equal((await table(page, "demo-id-token")).iss, ISSUER);
        assert.equal(page.url(), "https://rp.test/");
        await page.click("#demo-refresh");
        await page.locator("#demo-refreshes").waitFor();
        await page.click("#demo-sign-out");
        await page.locator("#demo-signed-out").waitFor();
        await page.click("#demo-sign-in");
        await page.locator("#sign-in").waitFor();
      }));

    test("its cookies are __Host-, Secure, HttpOnly and Lax", () =>
      inBrowser(browser, async (page, context) => {
        await signedIn(page);
        const cookies = await context.cookies(ISSUER);
        const kinds = cookies.map(({ name }) => name.match(/^__Host-vedette-(browser|session)-/)?.[1] ?? name);
        assert.deepEqual(kinds.sort(), ["browser", "session"]);
        for (const { name, ...cookie } of cookies) {
          const { domain, path, secure, httpOnly, sameSite } = cookie;
          assert.deepEqual({ domain, path, secure, httpOnly, sameSite }, { domain: "op.test", path: "/", secure: true, httpOnly: true, sameSite: "Lax" }, name);
        }
      }));

    test("the consent form's answer goes on through the relying party's own redirect to a third site", () =>
      inBrowser(browser, async (page) => {
        const arrived = sites.receive("www.third.test");
        const hop = sites.redirect("rp.test", arrived.url);
        const client = await register({ redirect_uris: [hop] });
        await page.goto(ask(client, hop).url);
        await signIn(page, op.demo);
        await page.click("#allow");
        await page.locator("#received").waitFor();
        assert.ok(arrived.last().parameters.get("code"));
      }));

    test("the sign-in form's answer goes straight to the other site when consent is remembered", () =>
      inBrowser(browser, async (page) => {
        const party = await signedIn(page);
        await page.goto(ask(party.client, party.callback.url, { prompt: "login" }).url);
        await signIn(page, op.demo);
        await page.locator("#received").waitFor();
        assert.equal(party.callback.received.length, 2);
      }));

    test("an app on the same machine gets its answer by http, by redirect and by form_post", () =>
      inBrowser(browser, async (page) => {
        for (const response_mode of ["query", "form_post"]) {
          const app = await startApp();
          try {
            const client = await register({ redirect_uris: [app.url], application_type: "native" });
            await page.goto(ask(client, app.url, { response_mode, prompt: "login" }).url);
            await signIn(page, op.demo);
            await page.click("#allow");
            await page.locator("#received").waitFor();
            assert.equal(app.methods.at(-1), response_mode === "form_post" ? "POST" : "GET");
          } finally {
            await app.stop();
          }
        }
      }));

    test("the relying party is not told the addresses of the issuer's pages", () =>
      inBrowser(browser, async (page) => {
        const { callback } = await signedIn(page);
        const { referer = "none" } = callback.last().headers;
        assert.equal(referer, "none");
      }));

    test("form_post crosses to the other site by itself", () =>
      inBrowser(browser, async (page) => {
        const party = await signedIn(page);
        await page.goto(ask(party.client, party.callback.url, { response_mode: "form_post" }).url);
        await page.waitForURL(party.callback.url);
        const { method, headers, parameters } = party.callback.last();
        assert.deepEqual([method, headers["content-type"]], ["POST", "application/x-www-form-urlencoded"]);
        assert.deepEqual([parameters.get("state"), parameters.get("iss")], ["a state", ISSUER]);
        assert.ok(parameters.get("code"));
      }));

    test("an authorization request posted from another site meets the person's session", () =>
      inBrowser(browser, async (page) => {
        const party = await signedIn(page);
        await go(page, sites.form("rp.test", `${ISSUER}/authorize`, ask(party.client, party.callback.url).parameters));
        await page.locator("#received").waitFor();
        assert.ok(party.callback.last().parameters.get("code"), "was asked to sign in again");
        assert.equal(party.callback.received.length, 2);
      }));

    test("a sign-out posted from another site ends the session and comes back", () =>
      inBrowser(browser, async (page, context) => {
        const goodbye = sites.receive("rp.test");
        const party = await signedIn(page, { post_logout_redirect_uris: [goodbye.url] });
        const code = party.callback.last().parameters.get("code");
        const { id_token } = await redeem(party.client, party.callback.url, code, party.asked.verifier);
        const fields = { id_token_hint: id_token, post_logout_redirect_uri: goodbye.url, state: "bye" };
        await go(page, sites.form("rp.test", `${ISSUER}/end_session`, fields));
        await page.locator("#received").waitFor();
        assert.deepEqual([...goodbye.last().parameters], [["state", "bye"]]);
        assert.deepEqual(await sessionCookies(context), []);
        assert.equal((await silently(page, party)).get("error"), "login_required");
      }));

    test("a sign-out posted by a stranger asks the person, who may stay", () =>
      inBrowser(browser, async (page) => {
        const party = await signedIn(page);
        await go(page, sites.form("evil.test", `${ISSUER}/end_session`, { client_id: party.client.client_id }));
        await page.click("#stay");
        assert.ok((await silently(page, party)).get("code"), "the session ended");
      }));

    test("no other site can frame any of its pages", async () => {
      for (const path of ["/", "/authorize?client_id=nobody", "/end_session", "/setup"]) await cannotBeFramed(`${ISSUER}${path}`);
      const callback = sites.receive("rp.test");
      await cannotBeFramed(ask(await register({ redirect_uris: [callback.url] }), callback.url).url);
    });

    async function cannotBeFramed(url) {
      const complaints = await complaintsOf(browser, async (page) => {
        // It comes from another process than the frame's new address, and may be the last of all.
        const told = page.waitForEvent("console", (message) => /frame-ancestors|X-Frame-Options/i.test(message.text()));
        const framed = sites.show("evil.test", `<iframe src="${url.replaceAll("&", "&amp;")}"></iframe>`);
        await Promise.all([told, page.goto(framed, { waitUntil: "load" })]);
        // What Chromium shows instead is known to Playwright a moment later.
        const until = Date.now() + 10_000;
        while (!page.frames()[1].url() && Date.now() < until) await page.waitForTimeout(50);
        assert.match(page.frames()[1].url(), /^chrome-error:/, url);
      });
      assert.match(complaints.join("\n"), /frame-ancestors|X-Frame-Options/i, url);
    }

    test("a stranger cannot sign a person in to the stranger's account", () =>
      inBrowser(browser, async (page, context) => {
        const stranger = await context.browser().newContext();
        const strangers = await stranger.newPage();
        const callback = sites.receive("rp.test");
        await strangers.goto(ask(await register({ redirect_uris: [callback.url] }), callback.url).url);
        const request = await strangers.inputValue("input[name=request]");
        await stranger.close();
        const trap = sites.form("evil.test", `${ISSUER}/sign-in`, { request, username: op.demo.username, password: op.demo.password });
        await go(page, trap);
        await isRefused(page);
        assert.deepEqual(await sessionCookies(context), []);
        // Neither when the person has used the issuer in this browser before.
        await page.goto(ask(await register({ redirect_uris: [callback.url] }), callback.url).url);
        await go(page, trap);
        await isRefused(page);
        assert.deepEqual(await sessionCookies(context), []);
      }));

    test("a stranger cannot answer the consent page, nor the question whether to sign out, even with their forms in hand", () =>
      inBrowser(browser, async (page, context) => {
        const party = await signedIn(page);
        await page.goto(ask(party.client, party.callback.url, { prompt: "consent" }).url);
        const consent = await page.inputValue("input[name=request]");
        await page.goto(`${ISSUER}/end_session`);
        const logout = await page.inputValue("input[name=request]");
        const before = await sessionCookies(context);
        for (const [path, request, answer] of [["/consent", consent, "allow"], ["/end_session", logout, "sign-out"]]) {
          await go(page, sites.form("evil.test", `${ISSUER}${path}`, { request, answer }));
          await isRefused(page);
        }
        assert.deepEqual(await sessionCookies(context), before);
        assert.equal(party.callback.received.length, 1, "the relying party got an answer");
        assert.ok((await silently(page, party)).get("code"), "the session ended");
      }));

    async function isRefused(page) {
      await page.locator("h1").waitFor();
      assert.equal(new URL(page.url()).origin, ISSUER);
      assert.match(await page.textContent("main"), /invalid_request|access_denied/);
    }

    test("prompt=none answers a code at top level, and login_required in another site's frame, where Lax cookies stay behind", () =>
      inBrowser(browser, async (page) => {
        const party = await signedIn(page);
        assert.ok((await silently(page, party)).get("code"));
        const { url } = ask(party.client, party.callback.url, { prompt: "none" });
        await page.goto(sites.show("rp.test", `<iframe src="${url.replaceAll("&", "&amp;")}"></iframe>`));
        await page.frameLocator("iframe").locator("#received").waitFor();
        assert.equal(party.callback.last().parameters.get("error"), "login_required");
      }));

    test("a script of another site may redeem a code and read UserInfo, and nothing that looks at cookies", async () => {
      const complaints = await complaintsOf(browser, async (page) => {
        const party = await signedIn(page);
        const code = party.callback.last().parameters.get("code");
        const form = { grant_type: "authorization_code", client_id: party.client.client_id, redirect_uri: party.callback.url, code, code_verifier: party.asked.verifier };
        const seen = await page.evaluate(
          async ([issuer, form]) => {
            const discovered = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
            const tokens = await (await fetch(discovered.token_endpoint, { method: "POST", body: new URLSearchParams(form) })).json();
            const authorization = `Bearer ${tokens.access_token}`;
            const userinfo = await (await fetch(discovered.userinfo_endpoint, { headers: { authorization } })).json();
            const home = await fetch(`${issuer}/`, { credentials: "include" }).then(() => "read", () => "refused");
            return { sub: userinfo.sub, home };
          },
          [ISSUER, form],
        );
        assert.ok(seen.sub);
        assert.equal(seen.home, "refused");
      });
      assert.match(complaints.join("\n"), /CORS/);
    });

    test("the client's logo is loaded from its site, and its site is not told from where", () =>
      inBrowser(browser, async (page) => {
        const seen = [];
        const logo_uri = sites.serve("rp.test", (request, response) => {
          seen.push(request.headers);
          response.writeHead(200, { "content-type": "image/png" }).end(PIXEL);
        });
        const callback = sites.receive("rp.test");
        await page.goto(ask(await register({ redirect_uris: [callback.url], logo_uri, client_name: "With a logo" }), callback.url).url);
        await page.waitForFunction(() => document.querySelector("img.tile")?.complete);
        assert.equal(await page.locator("img.tile").evaluate((image) => image.naturalWidth), 1);
        assert.deepEqual(seen.map(({ referer, cookie }) => [referer, cookie]), [[undefined, undefined]]);
      }));
  });
}

/** An app on this machine that waits for its answer (RFC 8252 §7.3). */
async function startApp() {
  const methods = [];
  const server = createServer((request, response) => {
    if (request.url.startsWith("/callback")) methods.push(request.method);
    response.writeHead(200, { "content-type": "text/html" }).end('<!doctype html><link rel="icon" href="data:,"><p id="received">Received.</p>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    methods,
    url: `http://127.0.0.1:${server.address().port}/callback`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
