// A relying party written out by hand, so that it can do wrong what libraries do right.

import assert from "node:assert/strict";
import { constants, createHash, createPublicKey, randomBytes, verify } from "node:crypto";

export const EVERY_SCOPE = "openid profile email address phone offline_access";

// RFC 7518 §3.3 to §3.5 and RFC 8037 §3.1, in Node's words.
const VERIFICATION = {
  RS256: { digest: "sha256" },
  PS256: { digest: "sha256", padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
  ES256: { digest: "sha256", dsaEncoding: "ieee-p1363" },
  EdDSA: { digest: null },
};

/** An authorization request on its way. */
class Request {
  constructor(parameters, verifier) {
    this.parameters = parameters;
    this.verifier = verifier;
  }

  url(base) {
    return `${base}/authorize?${new URLSearchParams(this.parameters)}`;
  }
}

export class RelyingParty {
  /**
   * @param {object} target
   * @param {{client_id: string, client_secret?: string, redirect_uri: string}} client
   */
  constructor(target, client) {
    this.target = target;
    this.client = client;
    this.redirectUri = client.redirect_uri;
    if (client.client_secret) target.secrets.add(client.client_secret);
  }

  /** A request with everything in it; `undefined` takes a parameter out. */
  request(parameters = {}) {
    const verifier = random();
    const all = {
      response_type: "code",
      client_id: this.client.client_id,
      redirect_uri: this.redirectUri,
      scope: EVERY_SCOPE,
      state: random(),
      nonce: random(),
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
      ...parameters,
    };
    for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name];
    return new Request(all, verifier);
  }

  /** Lets a person go through whatever pages come; the code that comes back. */
  async code(request, browser, person, { base = this.target.base } = {}) {
    let page = await browser.open(request.url(base));
    for (let pages = 0; page.location === null && pages < 3; pages += 1) page = await answer(browser, page, person);
    return this.codeIn(request, page);
  }

  /** The code in a redirect back, which has to belong to the request. */
  codeIn(request, page) {
    const answer = this.answerIn(request, page);
    assert.ok(answer.code, `no code: ${JSON.stringify(answer)}`);
    return answer.code;
  }

  /** The parameters of a redirect back. */
  answerIn(request, page) {
    assert.equal(page.status, 303, page.text);
    const { redirect_uri, response_mode, state } = request.parameters;
    assert.ok(page.location.startsWith(redirect_uri), page.location);
    const [separator, other] = response_mode === "fragment" ? ["#", "?"] : ["?", "#"];
    const given = page.location.slice(redirect_uri.length);
    assert.ok(given.startsWith(separator) && !given.includes(other), page.location);
    return this.checkedAnswer(Object.fromEntries(new URLSearchParams(given.slice(1))), state);
  }

  checkedAnswer(answer, state) {
    assert.equal(answer.iss, this.target.issuer);
    assert.equal(answer.state, state);
    if (answer.code) this.target.secrets.add(answer.code);
    return answer;
  }

  redeem(request, code, { base, ...changes } = {}) {
    return this.token(
      {
        grant_type: "authorization_code",
        code,
        redirect_uri: request.parameters.redirect_uri,
        code_verifier: request.verifier,
        ...changes,
      },
      { base },
    );
  }

  refresh(refreshToken, { base, ...changes } = {}) {
    return this.token({ grant_type: "refresh_token", refresh_token: refreshToken, ...changes }, { base });
  }

  async token(fields, { base } = {}) {
    const answer = await this.post("/token", fields, { base });
    for (const name of ["access_token", "refresh_token", "id_token"]) {
      if (answer.body?.[name]) this.target.secrets.add(answer.body[name]);
    }
    return answer;
  }

  introspect(token, { base } = {}) {
    return this.post("/introspect", { token }, { base });
  }

  revoke(token, { base } = {}) {
    return this.post("/revoke", { token }, { base });
  }

  userinfo(accessToken, { base } = {}) {
    return this.target.call("GET", "/userinfo", { base, headers: { authorization: `Bearer ${accessToken}` } });
  }

  /** A form, with this client's authentication. */
  post(path, fields, { base } = {}) {
    const { client_id, client_secret } = this.client;
    if (!client_secret) return this.target.form(path, { client_id, ...fields }, { base });
    const basic = Buffer.from(`${encodeURIComponent(client_id)}:${encodeURIComponent(client_secret)}`).toString("base64");
    return this.target.form(path, fields, { base, headers: { authorization: `Basic ${basic}` } });
  }

  /** From nothing to tokens; answers what the token endpoint gave. */
  async tokens(browser, person, parameters = {}, { base } = {}) {
    const request = this.request(parameters);
    const code = await this.code(request, browser, person, { base });
    const answer = await this.redeem(request, code, { base });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
  }

  /** Every token of a grant is refused, wherever it is shown. */
  async assertDead({ access_token, refresh_token }, { base } = {}) {
    const userinfo = await this.userinfo(access_token, { base });
    assert.equal(userinfo.status, 401);
    assert.match(userinfo.headers.get("www-authenticate"), /error="invalid_token"/);
    for (const token of [access_token, refresh_token].filter(Boolean)) {
      assert.deepEqual((await this.introspect(token, { base })).body, { active: false });
    }
    if (refresh_token) assertError(await this.refresh(refresh_token, { base }), 400, "invalid_grant");
  }

  async assertAlive({ access_token, refresh_token }, { base } = {}) {
    assert.equal((await this.userinfo(access_token, { base })).status, 200);
    for (const token of [access_token, refresh_token].filter(Boolean)) {
      assert.equal((await this.introspect(token, { base })).body.active, true);
    }
  }
}

/** Does what a page asks for: signs in, allows. */
export async function answer(browser, page, { username, password }) {
  switch (page.asksFor) {
    case "password":
      return browser.send(page, { username, password }, "sign-in");
    case "allow":
      return browser.send(page, {}, "allow");
    default:
      return assert.fail(`nothing can be answered here, status ${page.status}: ${page.text}`);
  }
}

export function assertError(answer, status, error) {
  assert.deepEqual([answer.status, answer.body?.error], [status, error], JSON.stringify(answer.body));
}

/** The claims of a JWT that one of the keys has signed. */
export function verified(jwt, { keys }) {
  const [header, claims, signature] = jwt.split(".");
  const { alg, kid } = headerOf(jwt);
  const jwk = keys.find((key) => key.kid === kid);
  assert.ok(jwk, `no key ${kid}`);
  assert.equal(jwk.alg, alg);
  assert.ok(alg in VERIFICATION, `algorithm ${alg}`);
  const { digest, ...parameters } = VERIFICATION[alg];
  const key = { key: createPublicKey({ key: jwk, format: "jwk" }), ...parameters };
  assert.ok(verify(digest, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, "base64url")), "signature");
  return JSON.parse(Buffer.from(claims, "base64url"));
}

export function headerOf(jwt) {
  return JSON.parse(Buffer.from(jwt.split(".")[0], "base64url"));
}

export function claimsOf(jwt) {
  return JSON.parse(Buffer.from(jwt.split(".")[1], "base64url"));
}

/** The same but for one character in the middle, where each has all its six bits in use. */
export function spoiled(base64url) {
  const middle = Math.floor(base64url.length / 2);
  return base64url.slice(0, middle) + (base64url[middle] === "A" ? "B" : "A") + base64url.slice(middle + 1);
}

function random() {
  return randomBytes(32).toString("base64url");
}
