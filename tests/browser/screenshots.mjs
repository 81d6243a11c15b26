// Takes a picture of every page, at phone and desktop width, in light and dark, to be looked at by a person:
//   node tests/browser/screenshots.mjs DIRECTORY [cloudflare|spin]
// after `cargo xtask build`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { startHost } from "../hosts/host.mjs";
import { launch, signIn, tour } from "./chromium.mjs";

const [directory, host = "cloudflare"] = process.argv.slice(2);
if (!directory) throw new Error("say where the pictures shall go");
mkdirSync(directory, { recursive: true });

const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 800 } };
const op = await startHost({ host, demo: true });
const fresh = await startHost({ host, demo: false });
const browser = await launch();
try {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      const options = { viewport, colorScheme, deviceScaleFactor: 1 };
      const look = (page) => (name) => page.screenshot({ path: join(directory, `${name}-${size}-${colorScheme}.png`), fullPage: true });
      await withPage(options, (page) => tour(page, op, look(page)));
      await withPage({ ...options, javaScriptEnabled: false }, (page) => formPost(page, look(page)));
      await withPage(options, (page) => setUp(page, look(page), size === "desktop" && colorScheme === "dark"));
    }
  }
} finally {
  await Promise.all([browser.close(), op.stop(), fresh.stop()]);
}

async function withPage(options, act) {
  const context = await browser.newContext(options);
  await act(await context.newPage());
  await context.close();
}

// Where scripts are off it waits for its button.
async function formPost(page, look) {
  const parameters = new URLSearchParams({
    client_id: op.demo.client_id,
    redirect_uri: op.demo.redirect_uri,
    response_type: "code",
    response_mode: "form_post",
    scope: "openid",
  });
  await page.goto(`${op.issuer}/authorize?${parameters}`);
  await signIn(page, op.demo);
  await page.locator("#allow, #continue").first().waitFor();
  if (await page.locator("#allow").count()) await page.click("#allow");
  await page.locator("#continue").waitFor();
  await look("form-post");
}

// The link works once, so only the last visitor uses it.
async function setUp(page, look, last) {
  await page.goto(fresh.setupLink);
  await look("setup");
  if (!last) return;
  await page.fill("#issuer_name", "Example");
  await page.fill("#username", "admin");
  await page.fill("#email", "admin@example.com");
  await page.fill("#password", "short");
  await page.click("#set-up");
  await page.locator("#problem").waitFor();
  await look("setup-problem");
  await page.fill("#password", "long enough to be one");
  await page.click("#set-up");
  await page.locator("pre").first().waitFor();
  await look("setup-done");
}
