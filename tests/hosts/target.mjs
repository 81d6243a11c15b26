// A running deployment as the suites see it: where it is, who may do what there, and every secret that it was trusted with.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Browser } from "./browser.mjs";
import { RelyingParty } from "./relying_party.mjs";

export class Target {
  /** Whatever must never be seen in a log or lie in a database in clear. */
  secrets = new Set();
  /**
   * What every request has besides its own headers. A connection of its own for each: the host closes one that was idle for some
   * seconds, and a test that did something else for so long does not learn of it before it has sent its next request.
   */
  headers = { connection: "close" };
  #operator;
  #token;
  #tenantId;

  /**
   * @param op what startHost() answers
   * @param operator {client_id, client_secret} of the operator client; without it, the demo's token is used
   */
  constructor(op, operator) {
    this.op = op;
    this.host = op.host;
    this.#operator = operator;
  }

  get base() {
    return this.op.base;
  }

  get bases() {
    return this.op.bases;
  }

  get issuer() {
    return this.op.issuer;
  }

  /** Alice, of the demo. */
  get alice() {
    const { username, password } = this.op.demo;
    this.secrets.add(password);
    return { username, password };
  }

  browser(headers) {
    return new Browser(this.secrets, { ...this.headers, ...headers });
  }

  /** The demo's confidential client, or another one. */
  relyingParty(client = this.op.demo) {
    return new RelyingParty(this, client);
  }

  publicRelyingParty() {
    const { public_client_id, redirect_uri } = this.op.demo;
    return new RelyingParty(this, { client_id: public_client_id, redirect_uri });
  }

  /** Any request; the body is parsed where it is JSON. */
  async call(method, path, { base = this.base, headers, body } = {}) {
    const response = await fetch(`${base}${path}`, { method, headers: { ...this.headers, ...headers }, body, redirect: "manual" });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") && text !== "";
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  form(path, fields, { base, headers } = {}) {
    return this.call("POST", path, { base, headers, body: new URLSearchParams(fields) });
  }

  json(method, path, value, { base, headers } = {}) {
    const body = value === undefined ? undefined : JSON.stringify(value);
    const typed = value === undefined ? headers : { "content-type": "application/json", ...headers };
    return this.call(method, path, { base, headers: typed, body });
  }

  /** The log's lines of the request that was answered so. A host may print after the response is gone. */
  async linesOf({ headers }) {
    const id = headers.get("x-request-id");
    assert.ok(id, "no request id");
    for (let tries = 0; tries < 100; tries += 1) {
      const lines = this.op.logLines().filter(({ request_id }) => request_id === id);
      if (lines.length > 0) return lines;
      await pause(50);
    }
    return [];
  }

  async jwks({ base } = {}) {
    return (await this.call("GET", "/jwks", { base })).body;
  }

  /** Answered with 200, and no tenant failed. */
  async maintain(base = this.base) {
    const answer = await this.call("POST", "/maintenance", { base, headers: { authorization: `Bearer ${this.op.maintenanceSecret()}` } });
    if (answer.status !== 200) assert.fail(`maintenance at ${base}: ${answer.status} ${JSON.stringify(await this.linesOf(answer))}`);
    assert.equal(answer.body.failed, 0);
    return answer;
  }

  /** Every key that is due is made; some of them may be under way behind the answers of others. */
  async maintainUntilNothingIsDue() {
    for (let runs = 0; ; runs += 1) {
      const made = await Promise.all(this.bases.map(async (base) => (await this.maintain(base)).body.keys_made));
      if (made.every((count) => count === 0)) return;
      assert.ok(runs < 10, `run ${runs} still made ${made}`);
    }
  }

  /** The management API. */
  async manage(method, path, value, { base, token } = {}) {
    const authorization = `Bearer ${token ?? (await this.operatorToken())}`;
    const answer = await this.json(method, `/admin/api/${path}`, value, { base, headers: { authorization } });
    if (answer.body?.client_secret) this.secrets.add(answer.body.client_secret);
    return answer;
  }

  /** The path of something of this tenant in the management API. */
  async own(path) {
    this.#tenantId ??= (await this.managed(200, "GET", "tenants")).tenants.find(({ issuer }) => issuer === this.issuer).id;
    return path ? `tenants/${this.#tenantId}/${path}` : `tenants/${this.#tenantId}`;
  }

  /** As manage(), where only one status will do; answers the body. */
  async managed(status, method, path, value, options) {
    const answer = await this.manage(method, path, value, options);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    return answer.body;
  }

  /** For when the key that signed the operator's token was revoked. */
  forgetOperatorToken() {
    this.#token = undefined;
  }

  async operatorToken() {
    if (!this.#operator) return this.op.demo.admin_token;
    this.#token ??= (await this.relyingParty(this.#operator).token({ grant_type: "client_credentials" })).body.access_token;
    return this.#token;
  }

  /** A new person, with a password nobody has guessed at yet. */
  async person(claims = {}) {
    const person = { username: `person-${id()}`, password: `password ${id()}` };
    this.secrets.add(person.password);
    const made = await this.managed(201, "POST", await this.own("users"), { ...person, ...claims });
    return { ...person, id: made.id };
  }

  /** A relying party with a new client. */
  async newRelyingParty(metadata = {}) {
    const redirect_uri = metadata.redirect_uris?.[0] ?? "https://rp.example/callback";
    const made = await this.managed(201, "POST", await this.own("clients"), {
      client_name: `Client ${id()}`,
      redirect_uris: [redirect_uri],
      grant_types: ["authorization_code", "refresh_token"],
      ...metadata,
    });
    return this.relyingParty({ ...made, redirect_uri });
  }
}

function id() {
  return randomBytes(8).toString("hex");
}
