// A browser without script, as far as the issuer can tell: it keeps cookies, shows pages, sends forms, and goes where it is
// redirected only when it is told to.

import assert from "node:assert/strict";

const PAGES = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

export class Browser {
  /** Cookies by name. Real browsers keep those of all ports of one host together too. */
  cookies = new Map();
  #secrets;
  #headers;

  /**
   * @param {Set<string>} secrets takes what this browser is trusted with, so that logs can be searched for it
   * @param {object} headers what it, or a proxy between, sends with every request
   */
  constructor(secrets = new Set(), headers = {}) {
    this.#secrets = secrets;
    this.#headers = headers;
  }

  open(url) {
    return this.#request(url, { method: "GET" });
  }

  /** Sends `fields` as a page of another site would. */
  post(url, fields) {
    return this.#request(url, { method: "POST", body: new URLSearchParams(fields) });
  }

  /** Fills the page's form in and presses a button. */
  send(page, values, button) {
    const { action, fields, buttons } = page.form;
    assert.ok(button in buttons, `the page has no button ${button}: ${page.text}`);
    for (const name of Object.keys(values)) assert.ok(name in fields, `the page has no input ${name}: ${page.text}`);
    if (values.password) this.#secrets.add(values.password);
    return this.post(new URL(action, page.url), { ...fields, ...values, ...buttons[button] });
  }

  /** Another browser that has the same cookies from now on. */
  copy() {
    const other = new Browser(this.#secrets, this.#headers);
    other.cookies = new Map(this.cookies);
    return other;
  }

  async #request(url, { method, body }) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, {
      method,
      body,
      redirect: "manual",
      headers: { accept: PAGES, ...(cookie && { cookie }), ...this.#headers },
    });
    const page = new Page(String(url), response, await response.text());
    for (const { name, value, attributes } of page.setCookies) {
      if (attributes["max-age"] === "0") this.cookies.delete(name);
      else this.cookies.set(name, value);
      if (value) this.#secrets.add(value);
    }
    const sealed = page.hasForm && page.form.fields.request;
    if (sealed) this.#secrets.add(sealed);
    return page;
  }
}

export class Page {
  constructor(url, response, text) {
    this.url = url;
    this.status = response.status;
    this.headers = response.headers;
    this.text = text;
    this.location = response.headers.get("location");
    this.setCookies = response.headers.getSetCookie().map(setCookie);
  }

  get title() {
    return unescaped(this.text.match(/<title>([^<]*)<\/title>/)?.[1] ?? "");
  }

  get hasForm() {
    return this.text.includes("<form ");
  }

  /** The one form of a page: where it goes, its inputs as they are, its buttons by id as what they add to the form. */
  get form() {
    const forms = [...this.text.matchAll(/<form ([^>]*)>(.*?)<\/form>/gs)];
    assert.equal(forms.length, 1, `one form was expected, status ${this.status}: ${this.text}`);
    const [, attributes, inside] = forms[0];
    assert.equal(attribute(attributes, "method"), "post");
    const fields = {};
    for (const [, input] of inside.matchAll(/<input ([^>]*)>/g)) {
      const isOff = attribute(input, "type") === "checkbox" && !/ checked\b/.test(input);
      if (!isOff) fields[attribute(input, "name")] = attribute(input, "value") ?? "";
    }
    const buttons = {};
    for (const [, button] of inside.matchAll(/<button ([^>]*)>/g)) {
      const name = attribute(button, "name");
      buttons[attribute(button, "id")] = name ? { [name]: attribute(button, "value") } : {};
    }
    return { action: attribute(attributes, "action"), fields, buttons };
  }

  /** What the page asks the person for. */
  get asksFor() {
    if (!this.hasForm) return undefined;
    const { fields, buttons } = this.form;
    if ("password" in fields) return "password";
    return ["allow", "sign-out", "continue"].find((button) => button in buttons);
  }
}

function attribute(text, name) {
  const value = text.match(new RegExp(`(?:^|\\s)${name}="([^"]*)"`))?.[1];
  return value === undefined ? undefined : unescaped(value);
}

function unescaped(text) {
  return text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code))).replace(/&amp;/g, "&");
}

function setCookie(header) {
  const [pair, ...rest] = header.split(";");
  const at = pair.indexOf("=");
  const attributes = {};
  for (const text of rest) {
    const [name, value = true] = text.trim().split("=");
    attributes[name.toLowerCase()] = value;
  }
  return { name: pair.slice(0, at).trim(), value: pair.slice(at + 1).trim(), attributes };
}
