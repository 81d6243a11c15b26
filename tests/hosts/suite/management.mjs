// The management API: what operators do, and who is not let in.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { assertError } from "../relying_party.mjs";

export function management(target) {
  describe("management", () => {
    test("people are made, read, changed, listed page by page, and deleted", async () => {
      const users = await target.own("users");
      const made = [];
      for (let index = 0; index < 5; index += 1) made.push((await target.person({ nickname: `n${index}` })).id);
      const listed = [];
      let cursor;
      do {
        const query = new URLSearchParams({ limit: 2, ...(cursor && { cursor }) });
        const page = await target.managed(200, "GET", `${users}?${query}`);
        assert.ok(page.users.length <= 2);
        listed.push(...page.users.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== null);
      assert.equal(new Set(listed).size, listed.length, "nobody twice");
      assert.deepEqual(made.filter((id) => !listed.includes(id)), [], "nobody left out");

      const one = `${users}/${made[0]}`;
      const changed = await target.managed(200, "PATCH", one, { nickname: null, given_name: "Zoë" });
      assert.deepEqual([changed.nickname, changed.given_name], [undefined, "Zoë"]);
      assert.deepEqual(await target.managed(200, "GET", one), changed);
      assert.ok(!("password" in changed));
      await target.managed(204, "DELETE", one);
      await target.managed(404, "GET", one);
      await target.managed(404, "DELETE", one);
    });

    test("a new password counts, the old one does not, and sessions of before are over", async () => {
      const person = await target.person();
      const browser = target.browser();
      const rp = target.relyingParty();
      const before = await rp.tokens(browser, person);
      const password = `another ${person.password}`;
      target.secrets.add(password);
      await target.managed(200, "PATCH", await target.own(`users/${person.id}`), { password });
      await rp.assertDead(before);
      const page = await browser.open(rp.request().url(target.base));
      assert.equal(page.asksFor, "password");
      assert.equal((await browser.send(page, { username: person.username, password: person.password }, "sign-in")).status, 422);
      await rp.tokens(browser, { ...person, password });
    });

    test("a client's secret is shown when it is made and never again", async () => {
      const clients = await target.own("clients");
      const { client } = await target.newRelyingParty();
      assert.ok(client.client_secret);
      const read = await target.managed(200, "GET", `${clients}/${client.client_id}`);
      assert.deepEqual([read.client_secret, read.operator], [undefined, false]);
      const list = await target.managed(200, "GET", `${clients}?limit=200`);
      assert.ok(list.clients.every((listed) => !("client_secret" in listed)));
      await target.managed(204, "DELETE", `${clients}/${client.client_id}`);
    });

    test("an access token lives as long as its client is given", async () => {
      const { client } = await target.newRelyingParty({ grant_types: ["client_credentials"], redirect_uris: [], access_token_lifetime: 60 });
      const token = await target.relyingParty(client).token({ grant_type: "client_credentials" });
      assert.equal(token.body.expires_in, 60);
    });

    test("a resource server introspects other clients' access tokens, and not their refresh tokens", async () => {
      const server = await target.newRelyingParty({ grant_types: ["client_credentials"], redirect_uris: [], resource_server: true });
      const tokens = await target.relyingParty().tokens(target.browser(), target.alice);
      assert.equal((await server.introspect(tokens.access_token)).body.active, true);
      assert.deepEqual((await server.introspect(tokens.refresh_token)).body, { active: false });
    });

    test("making a tenant, which makes keys, fails nobody's request beside it", async () => {
      const rp = target.relyingParty();
      const { access_token } = await rp.tokens(target.browser(), target.alice);
      const made = target.manage("POST", "tenants", { issuer: `${target.issuer}/t/beside`, name: "Beside" });
      const beside = [];
      for (let index = 0; index < 40; index += 1) {
        beside.push(rp.userinfo(access_token), rp.token({ grant_type: "client_credentials" }));
        await pause(50);
      }
      for (const answer of await Promise.all(beside)) assert.equal(answer.status, 200, answer.text);
      assert.equal((await made).status, 201);
    });

    test("two tenants on one host do not open each other's tokens, codes and cookies", async () => {
      const issuer = `${target.issuer}/t/acme`;
      const tenant = await target.managed(201, "POST", "tenants", { issuer, name: "Acme", registration: "open" });
      const base = `${target.base}/t/acme`;
      const discovery = await target.call("GET", "/.well-known/openid-configuration", { base });
      assert.equal(discovery.body.issuer, issuer);
      const inserted = await target.call("GET", "/.well-known/openid-configuration/t/acme");
      assert.deepEqual(inserted.body, discovery.body);

      const rp = target.relyingParty();
      const browser = target.browser();
      const tokens = await rp.tokens(browser, target.alice);
      const request = rp.request();
      const code = await rp.code(request, browser);
      const redirect_uri = "https://rp.example/callback";
      const client = await target.managed(201, "POST", `tenants/${tenant.id}/clients`, { redirect_uris: [redirect_uri] });
      const foreign = target.relyingParty({ ...client, redirect_uri });
      assertError(await foreign.redeem(request, code, { base }), 400, "invalid_grant");
      assertError(await foreign.refresh(tokens.refresh_token, { base }), 400, "invalid_grant");
      assertError(await foreign.userinfo(tokens.access_token, { base }), 401, "invalid_token");
      assert.deepEqual((await foreign.introspect(tokens.access_token, { base })).body, { active: false });
      assertError(await rp.token({ grant_type: "client_credentials" }, { base }), 401, "invalid_client");
      // The session of one under the name of the other's cookie.
      const own = await target.own("");
      for (const [name, value] of browser.cookies) {
        browser.cookies.set(name.replace(own.split("/")[1], tenant.id), value);
      }
      assert.equal((await browser.open(foreign.request().url(base))).asksFor, "password");
      // And the operator's right is to this API here, not to another tenant's address of it.
      assert.equal((await target.manage("GET", "tenants", undefined, { base })).status, 401);
      await target.managed(409, "POST", "tenants", { issuer, name: "Again" });
      await target.managed(200, "PATCH", `tenants/${tenant.id}`, { disabled: true });
      assert.equal((await target.call("GET", "/jwks", { base })).status, 404);
    });

    test("nobody else is let in", async () => {
      const rp = target.relyingParty();
      const persons = (await rp.tokens(target.browser(), target.alice)).access_token;
      const clients = (await rp.token({ grant_type: "client_credentials" })).body.access_token;
      for (const token of [persons, clients, "x", "a.b.c"]) {
        const answer = await target.manage("GET", "tenants", undefined, { token });
        assert.ok([401, 403].includes(answer.status), answer.text);
        assert.match(answer.headers.get("www-authenticate"), /^Bearer /);
      }
      const forOthers = await target.call("GET", "/userinfo", { headers: { authorization: `Bearer ${await target.operatorToken()}` } });
      assertError(forOthers, 401, "invalid_token");
    });

    test("what is wrong with a request is said by status and by name", async () => {
      const users = await target.own("users");
      const { username } = await target.person();
      const cases = [
        [409, "POST", users, { username: username.toUpperCase() }],
        [400, "POST", users, {}],
        [400, "POST", users, { username: "new", nonsense: true }],
        [400, "POST", users, { username: "new", email_verified: "yes" }],
        [400, "POST", users, { username: "new", password: "short" }],
        [400, "GET", `${users}?limit=0`],
        [400, "GET", `${users}?limit=2&limit=3`],
        [404, "GET", `${users}/nobody`],
        [404, "PATCH", `${users}/nobody`, { nickname: "x" }],
        [404, "GET", "tenants/nothing/users"],
        [404, "GET", "nothing"],
        [405, "DELETE", users],
        [405, "POST", "tenants/x", {}],
        [400, "POST", await target.own("clients"), { redirect_uris: ["http://rp.example/"] }],
        [400, "POST", await target.own("clients"), { redirect_uris: ["https://rp.example/"], operator: true }],
        [400, "POST", "tenants", { issuer: "ftp://x", name: "x" }],
      ];
      for (const [status, method, path, value] of cases) {
        const answer = await target.manage(method, path, value);
        assert.equal(answer.status, status, `${method} ${path} ${JSON.stringify(value)}: ${answer.text}`);
        assert.equal(typeof answer.body.error, "string");
        assert.equal(typeof answer.body.error_description, "string");
        if (status === 405) assert.ok(answer.headers.get("allow"));
      }
      const untyped = await target.call("POST", `/admin/api/${users}`, {
        headers: { authorization: `Bearer ${await target.operatorToken()}` },
        body: "{}",
      });
      assert.equal(untyped.status, 415);
    });
  });
}
