// Clients that look after themselves: RFC 7591 and RFC 7592.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertError } from "../relying_party.mjs";

export function registration(target) {
  describe("dynamic registration", () => {
    const metadata = {
      client_name: "Registers itself",
      redirect_uris: ["https://rp.example/callback"],
      grant_types: ["authorization_code", "refresh_token"],
      contacts: ["ops@rp.example"],
    };
    let client;

    test("a client registers, and can sign people in at once", async () => {
      client = await register(metadata);
      for (const [name, value] of Object.entries(metadata)) assert.deepEqual(client[name], value, name);
      assert.equal(client.client_secret_expires_at, 0);
      assert.equal(client.registration_client_uri, `${target.issuer}/register/${client.client_id}`);
      const rp = target.relyingParty({ ...client, redirect_uri: metadata.redirect_uris[0] });
      await rp.tokens(target.browser(), target.alice);
    });

    test("it reads what is registered, without its secret", async () => {
      const { status, body } = await own("GET");
      assert.equal(status, 200);
      assert.equal(body.client_name, metadata.client_name);
      assert.equal(body.client_secret, undefined);
    });

    test("an update replaces everything, and has to name the client", async () => {
      const update = { client_id: client.client_id, redirect_uris: ["https://rp.example/other"] };
      const updated = await own("PUT", update);
      assert.equal(updated.status, 200, updated.text);
      assert.deepEqual([updated.body.redirect_uris, updated.body.contacts], [update.redirect_uris, undefined]);
      assert.deepEqual((await own("GET")).body.redirect_uris, update.redirect_uris);
      assertError(await own("PUT", { redirect_uris: update.redirect_uris }), 400, "invalid_client_metadata");
      assertError(await own("PUT", { ...update, client_id: target.op.demo.client_id }), 400, "invalid_client_metadata");
      const page = await target.browser().open(relyingParty().request().url(target.base));
      assert.deepEqual([page.status, page.location], [400, null], "the redirect URI of before");
    });

    test("nothing of trust can be registered", async () => {
      const { client_id, client_secret, registration_access_token, scope } = await register({
        ...metadata,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        scope: "openid admin",
        operator: true,
        resource_server: true,
        demo_redirects: true,
        access_token_lifetime: 86_400,
      });
      assert.equal(scope, "openid");
      target.secrets.add(registration_access_token);
      const rp = target.relyingParty({ client_id, client_secret, redirect_uri: "" });
      const token = (await rp.token({ grant_type: "client_credentials" })).body;
      assert.equal(token.expires_in, 600);
      assert.ok([401, 403].includes((await target.manage("GET", "tenants", undefined, { token: token.access_token })).status));
    });

    test("its token is for this client alone", async () => {
      const other = await register(metadata);
      const answer = await own("GET", undefined, other.client_id);
      assertError(answer, 401, "invalid_token");
      assertError(await own("DELETE", undefined, target.op.demo.client_id), 401, "invalid_token");
    });

    test("a deleted client is gone, and its tokens with it", async () => {
      assert.equal((await own("DELETE")).status, 204);
      assertError(await own("GET"), 401, "invalid_token");
      assertError(await own("DELETE"), 401, "invalid_token");
      const refused = await relyingParty().token({ grant_type: "authorization_code", code: "x" });
      assertError(refused, 401, "invalid_client");
    });

    test("closing registration counts at once, everywhere, and registered clients keep theirs", async () => {
      const kept = await register(metadata);
      const tenant = await target.own("");
      await target.managed(200, "PATCH", tenant, { registration: "closed" }, { base: target.bases[0] });
      try {
        for (const base of target.bases) assertError(await target.json("POST", "/register", metadata, { base }), 403, "access_denied");
        const authorization = `Bearer ${kept.registration_access_token}`;
        const read = await target.call("GET", `/register/${kept.client_id}`, { headers: { authorization } });
        assert.equal(read.status, 200);
      } finally {
        await target.managed(200, "PATCH", tenant, { registration: "open" }, { base: target.bases[0] });
      }
      await register(metadata);
    });

    async function register(value) {
      const answer = await target.json("POST", "/register", value);
      assert.equal(answer.status, 201, answer.text);
      for (const name of ["client_secret", "registration_access_token"]) target.secrets.add(answer.body[name]);
      return answer.body;
    }

    function relyingParty() {
      return target.relyingParty({ ...client, redirect_uri: metadata.redirect_uris[0] });
    }

    function own(method, value, id = client.client_id) {
      const headers = { authorization: `Bearer ${client.registration_access_token}` };
      return target.json(method, `/register/${id}`, value, { headers });
    }
  });
}
