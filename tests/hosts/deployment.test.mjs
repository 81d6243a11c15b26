// A deployment's life, on every host: set up once, restarted between any two steps, beside another one, and without its
// root secret.

import { after, describe, test } from "node:test";
import assert from "node:assert/strict";
import { Browser } from "./browser.mjs";
import { HOSTS, startHost } from "./host.mjs";
import { proxy } from "./suite/proxy.mjs";
import { restart } from "./suite/restart.mjs";
import { rootSecret } from "./suite/root_secret.mjs";
import { setUp } from "./suite/set_up.mjs";
import { sideBySide } from "./suite/side_by_side.mjs";
import { Target } from "./target.mjs";

const deployments = [];
after(() => Promise.all(deployments.map((op) => op.stop())));

for (const host of HOSTS) {
  const [op, another] = [await startHost({ host, demo: false }), await startHost({ host, demo: false })];
  deployments.push(op, another);

  describe(`a deployment on ${host}`, () => {
    let target;
    setUp(op, (operator) => (target = new Target(op, operator)));

    let second;
    test("set-up by the page shows the operator client, once", async () => {
      const browser = new Browser();
      const page = await browser.open(another.setupLink.replace(another.issuer, another.base));
      const typed = { issuer_name: "Another", username: "root", email: "root@example.com", password: "correct horse battery" };
      const done = await browser.send(page, typed, "set-up");
      assert.equal(done.status, 201, done.text);
      const [client_id, client_secret] = ["Client ID", "Client secret"].map((term) => described(done.text, term));
      second = new Target(another, { client_id, client_secret });
      assert.ok(await second.operatorToken());
      const registration = await second.json("POST", "/register", { redirect_uris: ["https://rp.example/"] });
      assert.equal(registration.status, 403, "registration is closed unless it was opened");
    });

    sideBySide(() => [target, second]);
    restart(() => target);
    rootSecret(() => target);
  });
}

proxy();

function described(text, term) {
  return text.match(new RegExp(`<dt>${term}</dt>\\s*<dd><code>([^<]*)</code></dd>`))[1];
}
