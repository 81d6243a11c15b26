// Headless Chromium for tests, and what is looked at on every page.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

// Nothing that these tests do needs the net, and without these flags Chromium asks it for updates all the time.
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** @param {string[]} [flags] further command-line flags */
export function launch(flags = []) {
  const executablePath = process.env.VEDETTE_CHROMIUM ?? CANDIDATES.find((path) => existsSync(path));
  // Chromium's sandbox refuses to run as root, which CI is.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, headless: true, args: [...FLAGS, ...sandbox, ...flags] });
}

/**
 * Runs `act(page, context)` in a fresh browser profile. Afterwards no page may have complained: of its
 * Content-Security-Policy, of a resource that is not there, of a script's error.
 */
export async function inBrowser(browser, act, options = {}) {
  const complaints = await complaintsOf(browser, act, options);
  assert.deepEqual(complaints, [], "the browser complained");
}

/** As `inBrowser`, and answers the complaints. */
export async function complaintsOf(browser, act, options = {}) {
  const context = await browser.newContext(options);
  // On Spin, a person who sets up waits for two RSA keys.
  context.setDefaultTimeout(90_000);
  const complaints = [];
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !isRefusedPage(message)) complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  try {
    await act(await context.newPage(), context);
  } finally {
    await context.close();
  }
  return complaints;
}

// Chromium notes a page's own status when it is an error's; a page that says no is no fault of the page.
function isRefusedPage(message) {
  return /^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text()) && !message.location().url.includes("/assets/");
}

/** Fills in the sign-in page and presses its button. */
export async function signIn(page, { username, password }) {
  await page.locator("#sign-in").waitFor();
  await page.fill("input[name=username]", username);
  await page.fill("input[name=password]", password);
  await page.click("#sign-in");
}

/** A table of the demo relying party, as an object. */
export async function table(page, id) {
  await page.locator(`#${id}`).waitFor();
  const rows = await page.locator(`#${id} tr`).evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent.trim())));
  return Object.fromEntries(rows);
}

/**
 * Shows every page that a person can come to, of the issuer and of the demo relying party, one after the other; `look(name)` is called at each.
 * The browser has to be fresh.
 */
export async function tour(page, op, look) {
  const person = { username: op.demo.username, password: op.demo.password };
  const at = async (name, ready) => {
    await page.locator(ready).first().waitFor();
    await page.waitForLoadState("load"); // With its styles.
    await look(name);
  };
  await page.goto(op.rpBase);
  await at("demo", "#demo-sign-in");
  await page.click("#demo-sign-in");
  await at("sign-in", "#sign-in");
  await signIn(page, { ...person, password: "not the password" });
  await at("sign-in-again", "#problem");
  await signIn(page, person);
  await at("consent", "#allow");
  await page.click("#allow");
  await at("demo-signed-in", "#demo-userinfo");
  await page.goto(`${op.issuer}/`);
  await at("home-signed-in", "#sign-out");
  await page.goto(`${op.issuer}/end_session`);
  await at("end-session", "#stay");
  await page.click("#sign-out");
  await at("signed-out", "h1");
  await page.goto(`${op.issuer}/`);
  await at("home", "h1");
  await page.goto(`${op.issuer}/authorize?client_id=nobody&response_type=code`);
  await at("error", "h1");
  await page.goto(`${op.issuer}/setup?ticket=none`);
  await at("setup-refused", "h1");
}
