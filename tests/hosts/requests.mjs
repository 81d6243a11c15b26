// Requests that need nothing before them, and the status that each has to get from every host.

const FORM = { "content-type": "application/x-www-form-urlencoded" };
const JSON_BODY = { "content-type": "application/json" };
const HTML = { accept: "text/html" };

const LONG = "x".repeat(10_000);
const LIMIT = 64 * 1024;

/** @returns {{name: string, status: number, method?: string, path: string, headers?: object, body?: string|string[]}[]} */
export function requests(target) {
  const { client_id, client_secret, public_client_id, redirect_uri } = target.op.demo;
  const basic = (id, secret) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString("base64")}` });
  const ours = basic(client_id, client_secret);
  const form = (fields) => new URLSearchParams(fields).toString();
  const asked = { client_id, redirect_uri, response_type: "code", scope: "openid", state: "s" };
  const authorize = (changes) => `/authorize?${form({ ...asked, ...changes })}`;
  const token = (fields, headers = ours) => ({
    method: "POST",
    path: "/token",
    headers: { ...FORM, ...headers },
    body: typeof fields === "string" ? fields : form(fields),
  });

  return [
    // What anybody may read.
    { name: "OpenID discovery", status: 200, path: "/.well-known/openid-configuration" },
    { name: "OAuth discovery", status: 200, path: "/.well-known/oauth-authorization-server" },
    { name: "JWKS", status: 200, path: "/jwks" },
    { name: "JWKS by HEAD", status: 200, method: "HEAD", path: "/jwks" },
    { name: "JWKS with a query", status: 200, path: "/jwks?a=b" },
    { name: "health", status: 200, path: "/health" },
    { name: "health on an unknown host name", status: 200, path: "/health", headers: { host: "elsewhere.example" } },
    { name: "the issuer's page", status: 200, path: "/", headers: HTML },
    { name: "the issuer's page by HEAD", status: 200, method: "HEAD", path: "/" },
    { name: "a style sheet", status: 200, path: target.styleSheet },
    { name: "a style sheet by HEAD", status: 200, method: "HEAD", path: target.styleSheet },
    { name: "an asset that is not there", status: 404, path: "/assets/style.css" },

    // Addresses and methods.
    { name: "an unknown address, for a browser", status: 404, path: "/nothing/here", headers: HTML },
    { name: "an unknown address, for a program", status: 404, path: "/nothing/here" },
    { name: "an address below an endpoint", status: 404, path: "/token/x" },
    { name: "an address with a slash too many", status: 404, path: "/token/" },
    { name: "an address with two slashes", status: 404, path: "//jwks" },
    { name: "an address with an encoded letter", status: 404, path: "/%6awks" },
    { name: "an address that does not decode", status: 404, path: "/%zz" },
    { name: "another tenant's address", status: 404, path: "/t/acme/jwks" },
    { name: "an unknown host name", status: 404, path: "/jwks", headers: { host: "elsewhere.example" } },
    { name: "an unknown host name, for a browser", status: 404, path: "/authorize", headers: { ...HTML, host: "elsewhere.example" } },
    { name: "a host name in capitals", status: 200, path: "/jwks", headers: { host: "LOCALHOST:1" } },
    { name: "GET where POST is meant", status: 405, path: "/token" },
    { name: "POST where GET is meant", status: 405, method: "POST", path: "/jwks", body: "" },
    { name: "PUT to a page", status: 405, method: "PUT", path: "/authorize", body: "" },
    { name: "DELETE of JWKS", status: 405, method: "DELETE", path: "/jwks" },
    { name: "a method that nobody knows", status: 405, method: "PROPFIND", path: "/userinfo" },
    { name: "OPTIONS of an endpoint for scripts", status: 204, method: "OPTIONS", path: "/token", headers: { origin: "https://spa.example" } },
    { name: "OPTIONS of a page", status: 405, method: "OPTIONS", path: "/authorize" },

    // Bodies.
    { name: "no content type", status: 415, method: "POST", path: "/token", body: "grant_type=x" },
    { name: "JSON where a form is meant", status: 415, method: "POST", path: "/token", headers: JSON_BODY, body: "{}" },
    { name: "a form where JSON is meant", status: 415, method: "POST", path: "/register", headers: FORM, body: "a=b" },
    { name: "a content type with capitals and a charset", status: 400, ...token({ grant_type: "x" }, { ...ours, "content-type": "Application/X-WWW-Form-URLEncoded; charset=UTF-8" }) },
    { name: "a broken JSON body", status: 400, method: "POST", path: "/register", headers: JSON_BODY, body: "{" },
    { name: "JSON with a member twice", status: 400, method: "POST", path: "/register", headers: JSON_BODY, body: '{"a":1,"a":2}' },
    { name: "an empty form", status: 400, ...token("") },
    { name: "a body of 64 KiB", status: 400, ...token(`grant_type=${"x".repeat(LIMIT - 11)}`) },
    { name: "a body of a byte more", status: 413, ...token(`grant_type=${"x".repeat(LIMIT - 10)}`) },
    { name: "a body of 64 KiB in chunks", status: 400, ...token(""), body: ["grant_type=", ...chunks(LIMIT - 11)] },
    { name: "a body of a byte more in chunks", status: 413, ...token(""), body: ["grant_type=", ...chunks(LIMIT - 10)] },
    {
      name: "a large body in chunks that says it were small",
      status: 413,
      ...token(""),
      headers: { ...token("").headers, "content-length": "5", "transfer-encoding": "chunked" },
      body: chunks(200_000),
    },
    { name: "a large body in chunks, for a browser", status: 413, method: "POST", path: "/sign-in", headers: { ...FORM, ...HTML }, body: chunks(200_000) },
    { name: "a large JSON body", status: 413, method: "POST", path: "/register", headers: JSON_BODY, body: `"${"x".repeat(LIMIT)}"` },

    // Parameters.
    { name: "a parameter given twice", status: 400, ...token("grant_type=authorization_code&grant_type=refresh_token") },
    { name: "a parameter that does not decode", status: 400, ...token("grant_type=%zz") },
    { name: "a parameter that is not UTF-8", status: 400, ...token("grant_type=%ff") },
    { name: "a body that is not UTF-8", status: 400, ...token(""), body: [Buffer.from([0x61, 0x3d, 0xff])] },
    { name: "a grant type that is not supported", status: 400, ...token({ grant_type: "password", username: "a", password: "b" }) },
    { name: "a code of 10,000 characters", status: 400, ...token({ grant_type: "authorization_code", code: LONG, redirect_uri }) },
    { name: "a refresh token of 10,000 characters", status: 400, ...token({ grant_type: "refresh_token", refresh_token: LONG }) },
    { name: "a code that is none", status: 400, ...token({ grant_type: "authorization_code", code: "x", redirect_uri }) },

    // Client authentication.
    { name: "a client without authentication", status: 401, ...token({ grant_type: "client_credentials" }, {}) },
    { name: "a wrong secret in the header", status: 401, ...token({ grant_type: "client_credentials" }, basic(client_id, "wrong")) },
    { name: "a wrong secret in the body", status: 401, ...token({ grant_type: "client_credentials", client_id, client_secret: "wrong" }, {}) },
    { name: "an unknown client", status: 401, ...token({ grant_type: "client_credentials" }, basic("nobody", "x")) },
    { name: "Basic that is not base64", status: 401, ...token({ grant_type: "client_credentials" }, { authorization: "Basic %%%" }) },
    { name: "a public client asking for client credentials", status: 400, ...token({ grant_type: "client_credentials", client_id: public_client_id }, {}) },
    { name: "client credentials", status: 200, ...token({ grant_type: "client_credentials" }) },
    { name: "introspection of nothing in particular", status: 200, method: "POST", path: "/introspect", headers: { ...FORM, ...ours }, body: "token=x" },
    { name: "introspection by a public client", status: 401, method: "POST", path: "/introspect", headers: FORM, body: `token=x&client_id=${public_client_id}` },
    { name: "revocation of an unknown token", status: 200, method: "POST", path: "/revoke", headers: { ...FORM, ...ours }, body: "token=x" },
    { name: "revocation of no token", status: 400, method: "POST", path: "/revoke", headers: { ...FORM, ...ours }, body: "" },

    // Authorization requests: what is answered by a page, and what goes to the client.
    { name: "an authorization request", status: 200, path: authorize() },
    { name: "an authorization request by HEAD", status: 200, method: "HEAD", path: authorize() },
    { name: "an authorization request by POST", status: 303, method: "POST", path: "/authorize", headers: FORM, body: form(asked) },
    { name: "an authorization request without anything", status: 400, path: "/authorize" },
    { name: "an authorization request of an unknown client", status: 400, path: authorize({ client_id: "nobody" }) },
    { name: "an unregistered redirect URI", status: 400, path: authorize({ redirect_uri: "https://evil.example/" }) },
    { name: "a redirect URI of 10,000 characters", status: 400, path: authorize({ redirect_uri: `https://rp.example/${LONG}` }) },
    { name: "a redirect URI given twice", status: 400, path: `${authorize()}&redirect_uri=https%3A%2F%2Fevil.example%2F` },
    { name: "a scope given twice", status: 303, path: `${authorize()}&scope=openid` },
    { name: "an authorization request that does not decode", status: 400, path: `${authorize()}&nonce=%zz` },
    { name: "a response type that is not supported", status: 303, path: authorize({ response_type: "token" }) },
    { name: "a response mode that is not supported", status: 303, path: authorize({ response_mode: "smoke" }) },
    { name: "a scope that nobody knows", status: 303, path: authorize({ scope: "everything" }) },
    { name: "a scope with a forbidden character", status: 303, path: authorize({ scope: 'openid "x"' }) },
    { name: "PKCE by plain", status: 303, path: authorize({ code_challenge: "x".repeat(43), code_challenge_method: "plain" }) },
    { name: "a public client without PKCE", status: 303, path: authorize({ client_id: public_client_id }) },
    { name: "prompt=none of nobody", status: 303, path: authorize({ prompt: "none" }) },
    { name: "prompt=none in the fragment", status: 303, path: authorize({ prompt: "none", response_mode: "fragment" }) },
    { name: "prompt=none by form", status: 200, path: authorize({ prompt: "none", response_mode: "form_post" }) },
    { name: "prompt=none with another", status: 303, path: authorize({ prompt: "none login" }) },
    { name: "a request object", status: 303, path: authorize({ request: "x" }) },
    { name: "a request object by reference", status: 303, path: authorize({ request_uri: "https://rp.example/r" }) },
    { name: "a max_age that is no number", status: 303, path: authorize({ max_age: "-1" }) },
    { name: "claims that are no JSON", status: 303, path: authorize({ claims: "{" }) },
    { name: "a hint that is no ID token", status: 303, path: authorize({ id_token_hint: "a.b.c" }) },
    { name: "a state of 10,000 characters", status: 303, path: authorize({ state: LONG }) },
    { name: "a nonce of 10,000 characters", status: 303, path: authorize({ nonce: LONG }) },
    { name: "a login hint of 10,000 characters", status: 200, path: authorize({ login_hint: LONG }) },
    { name: "a login hint with markup in it", status: 200, path: authorize({ login_hint: '"><script>alert(1)</script>' }) },

    // Forms and tokens that are not ours.
    { name: "a sign-in form that is not ours", status: 400, method: "POST", path: "/sign-in", headers: FORM, body: "request=x&username=a&password=b" },
    { name: "a consent form without anything", status: 400, method: "POST", path: "/consent", headers: FORM, body: "answer=allow" },
    { name: "signing out nobody", status: 200, path: "/end_session" },
    { name: "signing out by POST", status: 303, method: "POST", path: "/end_session", headers: FORM, body: "state=s" },
    { name: "signing out with a hint that is none", status: 400, path: "/end_session?id_token_hint=a.b.c" },
    { name: "UserInfo without a token", status: 401, path: "/userinfo" },
    { name: "UserInfo with a token that is none", status: 401, path: "/userinfo", headers: { authorization: "Bearer x" } },
    { name: "UserInfo with a token in the query", status: 401, path: "/userinfo?access_token=x" },
    { name: "UserInfo with Basic", status: 401, path: "/userinfo", headers: ours },
    { name: "a registration of nothing", status: 400, method: "POST", path: "/register", headers: JSON_BODY, body: "{}" },
    { name: "a registration with http", status: 400, method: "POST", path: "/register", headers: JSON_BODY, body: '{"redirect_uris":["http://rp.example/"]}' },
    { name: "a registration", status: 201, method: "POST", path: "/register", headers: JSON_BODY, body: '{"redirect_uris":["https://rp.example/"],"client_name":"Zürich ☕"}' },
    { name: "reading a registration without its token", status: 401, path: "/register/nobody" },
    { name: "set-up without a ticket", status: 403, path: "/setup", headers: HTML },
    { name: "set-up with a ticket that is none, by a program", status: 403, method: "POST", path: "/setup", headers: FORM, body: "ticket=x" },
    { name: "a restore without a ticket", status: 401, method: "POST", path: "/setup/restore", body: "x" },
    { name: "a large restore without a ticket", status: 401, method: "POST", path: "/setup/restore", body: chunks(200_000) },
    { name: "a large restore with a ticket that is none", status: 403, method: "POST", path: "/setup/restore", headers: { authorization: "Bearer x" }, body: "x".repeat(200_000) },
    { name: "a restore by GET", status: 405, path: "/setup/restore" },
    { name: "management without a token", status: 401, path: "/admin/api/tenants" },
    { name: "management with a token that is none", status: 401, path: "/admin/api/tenants", headers: { authorization: "Bearer x" } },
  ];
}

function chunks(bytes) {
  const size = 10_000;
  const whole = Array.from({ length: Math.floor(bytes / size) }, () => "x".repeat(size));
  return [...whole, "x".repeat(bytes % size)].filter((chunk) => chunk !== "");
}
