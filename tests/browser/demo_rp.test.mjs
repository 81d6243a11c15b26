// A person signs in through the demo relying party in headless Chromium, on both hosts.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { HOSTS, startHost } from "../hosts/host.mjs";
import { complaintsOf, inBrowser, launch, signIn, table, tour } from "./chromium.mjs";

const PHONE = { viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

for (const host of HOSTS) {
  describe(`a person at the demo relying party on ${host}`, () => {
    let op;
    let browser;
    let receiver;
    before(async () => {
      receiver = await startReceiver();
      op = await startHost({ host, demo: true });
      browser = await launch();
    });
    after(() => Promise.all([op?.stop(), browser?.close(), receiver?.stop()]));

    const person = (more = {}) => ({ username: op.demo.username, password: op.demo.password, ...more });
    const begin = async (page) => {
      await page.goto(op.rpBase);
      await page.click("#demo-sign-in");
    };
    // As its button does, which is not shown to those whom it knows.
    const beginAgain = (page) => page.goto(`${op.rpBase}/sign-in`);
    const signInAtDemo = async (page) => {
      await begin(page);
      await signIn(page, person());
      await page.click("#allow");
    };

    for (const javaScriptEnabled of [true, false]) {
      test(`signs in, sees the claims, refreshes and signs out${javaScriptEnabled ? "" : ", with JavaScript off"}`, () =>
        inBrowser(
          browser,
          async (page) => {
            await signInAtDemo(page);
            const idToken = await table(page, "demo-id-token");
            assert.equal(idToken.iss, op.issuer);
            assert.equal(idToken.aud, op.demo.client_id);
            assert.ok(idToken.nonce && idToken.sub);
            const userinfo = await table(page, "demo-userinfo");
            assert.deepEqual([userinfo.sub, userinfo.email, userinfo.name], [idToken.sub, "alice@example.com", "Alice Maria Example"]);
            await page.click("#demo-refresh");
            assert.equal(await page.textContent("#demo-refreshes"), "1");
            assert.equal((await table(page, "demo-id-token")).sub, idToken.sub);
            await page.click("#demo-sign-out");
            await page.locator("#demo-signed-out").waitFor();
            await begin(page);
            await page.locator("#sign-in").waitFor();
          },
          { javaScriptEnabled },
        ));
    }

    test("signs in by keyboard alone: the username has the focus, Enter sends the form", () =>
      inBrowser(browser, async (page) => {
        await begin(page);
        await page.locator("input[name=username]:focus").waitFor();
        await page.keyboard.type(op.demo.username);
        await page.keyboard.press("Tab");
        await page.keyboard.type(op.demo.password);
        await page.keyboard.press("Enter");
        await page.locator("#allow").focus();
        await page.keyboard.press("Enter");
        await page.locator("#demo-userinfo").waitFor();
      }));

    test("is told of a wrong password, keeps the username, and may try again", () =>
      inBrowser(browser, async (page) => {
        await begin(page);
        await signIn(page, person({ password: "not the password" }));
        await page.locator("#problem[role=alert]").waitFor();
        assert.match(await page.title(), /^Error: /);
        assert.equal(await page.inputValue("input[name=username]"), op.demo.username);
        assert.equal(await page.inputValue("input[name=password]"), "");
        await signIn(page, person());
        await page.click("#allow");
        await page.locator("#demo-userinfo").waitFor();
      }));

    test("is told the same of an unknown username as of a wrong password", () =>
      inBrowser(browser, async (page) => {
        await begin(page);
        const told = [];
        for (const wrong of [{ password: "not the password" }, { username: "nobody-of-this-name" }]) {
          await signIn(page, person(wrong));
          await page.waitForFunction((name) => document.querySelector("#problem") && document.querySelector("[name=username]").value === name, person(wrong).username);
          told.push(await page.textContent("#problem"));
        }
        assert.equal(told[0], told[1]);
      }));

    test("does not allow, and the relying party learns nothing but that", () =>
      inBrowser(browser, async (page) => {
        await begin(page);
        await signIn(page, person());
        await page.click("#deny");
        assert.match(await page.textContent("#demo-error"), /access_denied/);
        assert.ok(page.url().startsWith(op.rpBase), page.url());
      }));

    test("who is signed in is not asked for a password again, and may use another account", () =>
      inBrowser(browser, async (page) => {
        await signInAtDemo(page);
        await page.locator("#demo-userinfo").waitFor();
        await beginAgain(page);
        await page.locator("#allow").waitFor();
        assert.equal(await page.locator("#sign-in").count(), 0);
        await page.click("#switch-account");
        await signIn(page, person());
        await page.click("#allow");
        await page.locator("#demo-userinfo").waitFor();
      }));

    test("goes back after signing in, and is neither lost nor asked for the password again", () =>
      inBrowser(browser, async (page) => {
        await begin(page);
        await signIn(page, person());
        await page.locator("#allow").waitFor();
        await page.goBack();
        await page.locator("#allow").waitFor();
        await page.click("#allow");
        await page.locator("#demo-userinfo").waitFor();
      }));

    test("signs in in two tabs, one after the other", () =>
      inBrowser(browser, async (first, context) => {
        const second = await context.newPage();
        for (const page of [first, second]) await page.goto(receiver.ask(op, { scope: "openid" }));
        for (const page of [first, second]) {
          await signIn(page, person());
          await page.locator("#allow, #received").first().waitFor();
          if (await page.locator("#allow").count()) await page.click("#allow");
          await page.locator("#received").waitFor();
          assert.ok(receiver.last().parameters.get("code"));
        }
      }));

    test("signs out on the issuer's own pages, or stays", () =>
      inBrowser(browser, async (page) => {
        await signInAtDemo(page);
        await page.locator("#demo-userinfo").waitFor();
        await page.goto(`${op.issuer}/end_session`);
        await page.click("#stay");
        await page.click("#sign-out");
        await page.locator("#stay").waitFor();
        await page.click("#sign-out");
        assert.equal(await page.textContent("h1"), "You are signed out");
        await beginAgain(page);
        await page.locator("#sign-in").waitFor();
      }));

    test("is sent on by form_post without a click", () =>
      inBrowser(browser, async (page) => {
        await page.goto(receiver.ask(op, { response_mode: "form_post", prompt: "consent" }));
        await signIn(page, person());
        await page.click("#allow");
        await page.locator("#received").waitFor();
        receivedByPost(receiver.last(), op);
      }));

    test("is sent on by form_post with one click where JavaScript is off", () =>
      inBrowser(
        browser,
        async (page) => {
          await page.goto(receiver.ask(op, { response_mode: "form_post", prompt: "consent" }));
          await signIn(page, person());
          await page.click("#allow");
          await page.click("#continue");
          await page.locator("#received").waitFor();
          receivedByPost(receiver.last(), op);
        },
        { javaScriptEnabled: false },
      ));

    test("stays on the issuer's page when the client or its redirect URI is not known", () =>
      inBrowser(browser, async (page) => {
        for (const wrong of [{ client_id: "nobody" }, { redirect_uri: "https://elsewhere.example/" }]) {
          const response = await page.goto(receiver.ask(op, wrong));
          assert.equal(response.status(), 400);
          assert.equal(new URL(page.url()).origin, op.issuer);
        }
      }));

    test("every page fits a phone of 320 pixels, and what is pressed is large enough", () =>
      inBrowser(
        browser,
        (page) =>
          tour(page, op, async (name) => {
            const { width, small } = await page.evaluate(() => ({
              width: document.documentElement.scrollWidth,
              small: [...document.querySelectorAll("button, input:not([type=hidden]), .button")]
                .map((element) => [element.id || element.name, Math.round(element.getBoundingClientRect().height)])
                .filter(([, height]) => height < 32),
            }));
            assert.equal(width, 320, `${name} scrolls sideways`);
            assert.deepEqual(small, [], name);
          }),
        PHONE,
      ));

    for (const colorScheme of ["light", "dark"]) {
      test(`every page is ${colorScheme} when the device is, with text of enough contrast`, () =>
        inBrowser(
          browser,
          (page) =>
            tour(page, op, async (name) => {
              const { paper, faint } = await page.evaluate(contrasts);
              assert.ok(colorScheme === "dark" ? paper < 0.1 : paper > 0.8, `${name}: the background has luminance ${paper}`);
              assert.deepEqual(faint, [], name);
            }),
          { colorScheme },
        ));
    }

    test("a script that got into a page would not run", async () => {
      let title;
      const complaints = await complaintsOf(browser, async (page) => {
        // Playwright sees no redirected requests, so this one is made directly.
        await page.route("**/authorize?*", async (route) => {
          const response = await route.fetch();
          const body = (await response.text()).replace("</main>", "<script>document.title = 'ran'</script><style>body { color: red }</style></main>");
          await route.fulfill({ response, body });
        });
        await page.goto(receiver.ask(op));
        await page.locator("#sign-in").waitFor();
        title = await page.title();
      });
      assert.notEqual(title, "ran");
      assert.equal(complaints.length, 2, complaints.join("\n"));
      complaints.forEach((complaint) => assert.match(complaint, /Content Security Policy/));
    });
  });
}

function receivedByPost({ method, parameters }, op) {
  assert.equal(method, "POST");
  assert.ok(parameters.get("code"));
  assert.deepEqual([parameters.get("state"), parameters.get("iss")], ["a state", op.issuer]);
}

/** A redirect URI that keeps what it gets. */
async function startReceiver() {
  const received = [];
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://127.0.0.1");
    let body = "";
    for await (const chunk of request) body += chunk;
    if (url.pathname === "/callback") {
      received.push({ method: request.method, parameters: request.method === "POST" ? new URLSearchParams(body) : url.searchParams });
    }
    response.writeHead(200, { "content-type": "text/html" }).end('<!doctype html><link rel="icon" href="data:,"><p id="received">Received.</p>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    last: () => received.at(-1),
    /** An authorization request of the demo's confidential client that is answered here. */
    ask: (op, parameters) =>
      `${op.issuer}/authorize?${new URLSearchParams({
        client_id: op.demo.client_id,
        redirect_uri: `http://127.0.0.1:${server.address().port}/callback`,
        response_type: "code",
        scope: "openid email",
        state: "a state",
        ...parameters,
      })}`,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Runs in the page: the luminance behind the body, and every text whose contrast is below WCAG's 4.5. */
function contrasts() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [red, green, blue, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [red, green, blue];
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    const [dim, bright] = [luminance(parse(getComputedStyle(element).color)), luminance(background(element))].sort((a, b) => a - b);
    const ratio = (bright + 0.05) / (dim + 0.05);
    if (ratio < 4.5) faint.push(`${texts.currentNode.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return { paper: luminance(background(document.body)), faint };
}
