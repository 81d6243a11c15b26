// A person at a browser, as far as relying-party libraries need one: follows redirects, keeps cookies, signs in, allows,
// and stops where the issuer sends the browser away. Real browsers are in tests/browser.
//
//   const alice = new Person({ username: "alice", password: "…" });
//   const { left } = await alice.visit(authorizationUrl);     // the redirect to the client
//
// Programs in other languages start it as a command; it prints where the browser was sent:
//   node person.mjs [--cookies FILE] URL USERNAME PASSWORD

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const MOST_STEPS = 12;

export class Person {
  #cookies;

  /** @param {{ username: string, password: string, allow?: boolean, cookies?: [string, string][] }} options */
  constructor({ username, password, allow = true, cookies = [] }) {
    this.username = username;
    this.password = password;
    this.allow = allow;
    this.#cookies = new Map(cookies);
  }

  get cookies() {
    return [...this.#cookies];
  }

  /**
   * Opens an address of the issuer and answers its pages.
   * @returns {Promise<{ left: URL, method: string, body?: URLSearchParams } | { page: Page }>} where the browser was sent, or the
   *   page that asks for nothing more
   */
  async visit(address) {
    const issuer = new URL(address).origin;
    let request = { url: new URL(address), method: "GET" };
    let hasSignedIn = false;
    for (let step = 0; step < MOST_STEPS; step += 1) {
      if (request.url.origin !== issuer) return { left: request.url, method: request.method, body: request.body };
      const response = await this.#send(request);
      const location = response.headers.get("location");
      if (location) {
        await response.body?.cancel();
        request = { url: new URL(location, request.url), method: "GET" };
        continue;
      }
      const page = new Page(request.url, response.status, await response.text());
      const button = page.button(hasSignedIn ? ["allow", "sign-out", "continue"] : ["sign-in", "allow", "sign-out", "continue"]);
      if (!button) return { page };
      hasSignedIn ||= button === "sign-in";
      request = page.click(button === "allow" && !this.allow ? "deny" : button, this);
    }
    throw new Error(`${address} does not come to an end`);
  }

  async #send({ url, method, body }) {
    const cookie = this.cookies.map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { method, body, redirect: "manual", headers: cookie ? { cookie } : {} });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/;\s*max-age=0\b/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }
}

export class Page {
  constructor(url, status, html) {
    this.url = url;
    this.status = status;
    this.html = html;
  }

  get title() {
    return unescaped(this.html.match(/<title>([^<]*)/)?.[1] ?? "");
  }

  get text() {
    return unescaped(this.html.replace(/<(head|script)\b[\s\S]*?<\/\1>|<[^>]*>/g, " ")).replace(/\s+/g, " ").trim();
  }

  /** The first of these button ids that the page has. */
  button(ids) {
    return ids.find((id) => this.html.includes(` id="${id}"`));
  }

  /** The request that pressing a button sends. */
  click(id, { username, password }) {
    const form = [...this.html.matchAll(/<form\b[\s\S]*?<\/form>/g)].map(([form]) => form).find((form) => form.includes(` id="${id}"`));
    if (!form) throw new Error(`no form has the button ${id}`);
    const fields = new URLSearchParams();
    for (const [tag] of form.matchAll(/<(?:input|button)\b[^>]*>/g)) {
      const { name, value = "", type, id: own } = attributes(tag);
      const counts = tag.startsWith("<input") ? type !== "checkbox" : own === id;
      if (name && counts) fields.append(name, { username, password }[name] ?? value);
    }
    const { action, method } = attributes(form.match(/<form\b[^>]*>/)[0]);
    return { url: new URL(action, this.url), method: method.toUpperCase(), body: fields };
  }
}

function attributes(tag) {
  return Object.fromEntries([...tag.matchAll(/ ([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, unescaped(value)]));
}

function unescaped(text) {
  const named = { amp: "&", lt: "<", gt: ">", quot: '"' };
  return text.replace(/&(?:#(\d+)|(\w+));/g, (whole, code, name) => (code ? String.fromCodePoint(code) : named[name] ?? whole));
}

async function command(args) {
  const file = args[0] === "--cookies" ? args.splice(0, 2)[1] : undefined;
  const [url, username, password] = args;
  const cookies = file && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
  const person = new Person({ username, password, cookies });
  const { left, page } = await person.visit(url);
  if (file) writeFileSync(file, JSON.stringify(person.cookies), { mode: 0o600 });
  if (!left) throw new Error(`the issuer keeps the browser at ${page.url.pathname} (${page.status} ${page.title}): ${page.text}`);
  process.stdout.write(`${left.href}\n`);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  command(process.argv.slice(2)).catch((error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  });
}
