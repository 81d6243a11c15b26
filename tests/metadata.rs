//! Discovery states what is true: every member of every list is tried, and what is not in a list is refused.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vedette::http::Method;
use vedette::store::tenants::Registration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256, Sha512};

use support::{
    Ask, Browser, Call, Client, Deployment, ISSUER, Page, REDIRECT_URI, Tokens, VERIFIER, claims_of, header_of,
    metadata,
};

/// Member names that RFC 8414 §2, OpenID Connect Discovery §3, RP-Initiated Logout §2.1, RFC 9207 §3 and Initiating
/// User Registration define, of those that we have (oidf §9).
const KNOWN: [&str; 30] = [
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "end_session_endpoint",
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
    "userinfo_signing_alg_values_supported",
    "token_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_methods_supported",
    "code_challenge_methods_supported",
    "claims_supported",
    "claim_types_supported",
    "acr_values_supported",
    "display_values_supported",
    "prompt_values_supported",
    "ui_locales_supported",
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "authorization_response_iss_parameter_supported",
];

fn document(deployment: &Deployment) -> Value {
    deployment.send(deployment.get("/.well-known/openid-configuration")).expect(200)
}

fn list<'a>(document: &'a Value, name: &str) -> Vec<&'a str> {
    let list = document[name].as_array().unwrap_or_else(|| panic!("no {name}"));
    assert!(!list.is_empty(), "{name}");
    list.iter().map(|item| item.as_str().unwrap()).collect()
}

struct Scene {
    deployment: Deployment,
    document: Value,
    client: Client,
    alice: support::User,
    browser: Browser,
}

impl Scene {
    /// Alice has signed in and allowed every scope.
    fn new() -> Self {
        let deployment = Deployment::new();
        let document = document(&deployment);
        let (client, alice) = (deployment.client(), deployment.user("alice"));
        let browser = Browser::new(&deployment);
        let all = list(&document, "scopes_supported").join(" ");
        let _ = browser.code(&client.ask().with("scope", &all), &alice);
        Self { deployment, document, client, alice, browser }
    }

    fn list(&self, name: &str) -> Vec<&str> {
        list(&self.document, name)
    }

    /// Whether a request is answered with a code.
    fn gives_code(&self, ask: &Ask) -> bool {
        let answer = self.browser.ask(ask);
        answer.status == 303 && answer.query().contains_key("code")
    }
}

#[test]
fn both_documents_say_the_same_under_known_names() {
    let deployment = Deployment::new();
    let openid = deployment.send(deployment.get("/.well-known/openid-configuration"));
    let oauth = deployment.send(deployment.get("/.well-known/oauth-authorization-server"));
    assert_eq!(openid.response.body, oauth.response.body);
    for answer in [&openid, &oauth] {
        assert_eq!(
            (answer.header("content-type"), answer.header("cache-control")),
            ("application/json", "public, max-age=300")
        );
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    let document = openid.expect(200);
    assert_eq!(document["issuer"], ISSUER);
    for (name, value) in document.as_object().unwrap() {
        assert!(KNOWN.contains(&name.as_str()), "{name} is nobody's");
        assert!(!value.is_null() && value != &json!([]) && value != &json!(""), "{name} is empty");
    }
}

#[test]
fn a_tenant_with_a_path_is_found_at_both_forms_and_names_its_endpoints_below_it() {
    let deployment = Deployment::at("https://id.example.com/t/acme");
    let expected = document(&deployment);
    for path in [
        "/t/acme/.well-known/openid-configuration",
        "/t/acme/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration/t/acme",
        "/.well-known/oauth-authorization-server/t/acme",
    ] {
        assert_eq!(deployment.send(Call::new(Method::Get, path)).expect(200), expected, "{path}");
    }
    for path in ["/.well-known/openid-configuration", "/t/.well-known/openid-configuration/acme"] {
        assert_eq!(deployment.send(Call::new(Method::Get, path)).status, 404, "{path}");
    }
    for (name, value) in expected.as_object().unwrap() {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            assert!(value.as_str().unwrap().starts_with("https://id.example.com/t/acme/"), "{name}: {value}");
        }
    }
}

#[test]
fn every_endpoint_is_there() {
    let scene = Scene::new();
    let mut found = 0;
    for (name, value) in scene.document.as_object().unwrap() {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            let url = value.as_str().unwrap();
            assert!(url.starts_with("https://"), "{name}");
            for method in [Method::Get, Method::Post] {
                let status = scene.deployment.send(Call::to(method, url)).status;
                assert!(status != 404 && status < 500, "{name}: {status}");
            }
            found += 1;
        }
    }
    assert_eq!(found, 8);
}

#[test]
fn every_scope_can_be_asked_for_and_gives_its_claims() {
    let scene = Scene::new();
    let mut claims = BTreeSet::new();
    for scope in scene.list("scopes_supported") {
        let code = scene.browser.code(&scene.client.ask().with("scope", &format!("openid {scope}")), &scene.alice);
        let body = scene.client.redeem(&scene.deployment, &code).expect(200);
        assert!(body["scope"].as_str().unwrap().split(' ').any(|granted| granted == scope), "{scope}");
        let userinfo = scene.deployment.userinfo(body["access_token"].as_str().unwrap()).expect(200);
        claims.extend(userinfo.as_object().unwrap().keys().cloned());
        claims.extend(claims_of(body["id_token"].as_str().unwrap()).as_object().unwrap().keys().cloned());
    }
    // Exactly the claims that discovery names come of it; at_hash is about the token, not a claim to ask for.
    claims.remove("at_hash");
    let named: BTreeSet<String> = scene.list("claims_supported").into_iter().map(str::to_owned).collect();
    assert_eq!(claims, named);
    // Others are not granted.
    let code = scene.browser.code(&scene.client.ask().with("scope", "openid groups"), &scene.alice);
    assert_eq!(scene.client.redeem(&scene.deployment, &code).expect(200)["scope"], "openid");
}

#[test]
fn every_claim_can_be_asked_for_by_name() {
    let scene = Scene::new();
    assert_eq!(scene.document["claims_parameter_supported"], true);
    assert_eq!(scene.list("claim_types_supported"), ["normal"]);
    let standing = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"];
    for claim in scene.list("claims_supported") {
        let asked = json!({"userinfo": {claim: null}, "id_token": {claim: {"essential": true}}}).to_string();
        let code = scene.browser.code(&scene.client.ask().with("claims", &asked), &scene.alice);
        let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
        assert!(claims_of(tokens.id_token()).get(claim).is_some(), "{claim}");
        if !standing.contains(&claim) {
            let userinfo = scene.deployment.userinfo(&tokens.access_token).expect(200);
            assert!(userinfo.get(claim).is_some(), "{claim}");
        }
    }
}

#[test]
fn every_response_type_and_mode_works_and_others_are_refused() {
    let scene = Scene::new();
    for response_type in scene.list("response_types_supported") {
        assert!(scene.gives_code(&scene.client.ask().with("response_type", response_type)), "{response_type}");
    }
    for other in ["token", "id_token", "code token", "none"] {
        assert!(!scene.gives_code(&scene.client.ask().with("response_type", other)), "{other}");
    }
    for mode in scene.list("response_modes_supported") {
        let answer = scene.browser.ask(&scene.client.ask().with("response_mode", mode));
        let sent = match mode {
            "query" => answer.query(),
            "fragment" => answer.fragment(),
            "form_post" => Page::of(&answer).fields.into_iter().collect(),
            other => panic!("{other} is not tried"),
        };
        assert!(sent.contains_key("code"), "{mode}");
        assert_eq!(sent["iss"], ISSUER, "{mode}");
    }
    assert_eq!(scene.document["authorization_response_iss_parameter_supported"], true);
    for other in ["web_message", "jwt", "query.jwt"] {
        assert!(!scene.gives_code(&scene.client.ask().with("response_mode", other)), "{other}");
    }
}

#[test]
fn every_grant_type_works_and_others_are_refused() {
    let scene = Scene::new();
    let grant_types = scene.list("grant_types_supported");
    let all = scene.deployment.client_with(json!({"grant_types": grant_types}));
    let code = scene.browser.code(&all.ask().with("scope", "openid offline_access"), &scene.alice);
    let mut refresh_token = String::new();
    for grant_type in &grant_types {
        let more = match *grant_type {
            "authorization_code" => vec![("code", code.as_str()), ("redirect_uri", REDIRECT_URI)],
            "refresh_token" => vec![("refresh_token", refresh_token.as_str())],
            "client_credentials" => vec![],
            other => panic!("{other} is not tried"),
        };
        let pairs = [&[("grant_type", *grant_type)], &more[..]].concat();
        let body = scene.deployment.send(all.post(&scene.deployment, "/token", &pairs)).expect(200);
        if let Some(token) = body["refresh_token"].as_str() {
            token.clone_into(&mut refresh_token);
        }
    }
    for other in
        ["password", "implicit", "urn:openid:params:grant-type:ciba", "urn:ietf:params:oauth:grant-type:jwt-bearer"]
    {
        let answer = scene.deployment.send(all.post(&scene.deployment, "/token", &[("grant_type", other)]));
        assert_eq!(answer.error(), (400, "unsupported_grant_type"), "{other}");
        let registration = metadata(json!({"grant_types": [other]}));
        let answer = scene.deployment.send(scene.deployment.post("/register").json(&registration));
        assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{other}");
    }
}

/// A call of a client that is registered for this method, authenticated by it.
fn authenticated(scene: &Scene, path: &str, method: &str, pairs: &[(&str, &str)]) -> (Client, Call) {
    let client = scene.deployment.client_with(json!({"token_endpoint_auth_method": method}));
    let (id, secret) = (client.id.clone(), client.secret.clone().unwrap_or_default());
    let post = scene.deployment.post(path);
    let call = match method {
        "client_secret_basic" => post.form(pairs).basic(&id, &secret),
        "client_secret_post" => post.form(&[pairs, &[("client_id", &id), ("client_secret", &secret)]].concat()),
        "none" => post.form(&[pairs, &[("client_id", &id)]].concat()),
        other => panic!("{other} is not tried"),
    };
    (client, call)
}

#[test]
fn every_authentication_method_works_where_it_is_named_and_others_are_refused() {
    let scene = Scene::new();
    let token = [("token", "x")];
    for (path, member) in [
        ("/revoke", "revocation_endpoint_auth_methods_supported"),
        ("/introspect", "introspection_endpoint_auth_methods_supported"),
    ] {
        for method in scene.list(member) {
            assert_eq!(
                scene.deployment.send(authenticated(&scene, path, method, &token).1).status,
                200,
                "{path} {method}"
            );
        }
    }
    assert!(!scene.list("introspection_endpoint_auth_methods_supported").contains(&"none"));
    assert_eq!(scene.deployment.send(authenticated(&scene, "/introspect", "none", &token).1).status, 401);
    for method in scene.list("token_endpoint_auth_methods_supported") {
        let (client, _) = authenticated(&scene, "/token", method, &[]);
        let code = scene.browser.code(&client.ask().with_challenge(), &scene.alice);
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
            ("client_id", &client.id),
        ];
        let secret = client.secret.clone().unwrap_or_default();
        let post = scene.deployment.post("/token");
        let call = match method {
            "client_secret_basic" => post.form(&pairs).basic(&client.id, &secret),
            "client_secret_post" => post.form(&[&pairs[..], &[("client_secret", &secret)]].concat()),
            _ => post.form(&pairs),
        };
        scene.deployment.send(call).expect(200);
    }
    for other in ["client_secret_jwt", "private_key_jwt", "tls_client_auth", "attest_jwt_client_auth"] {
        let registration = metadata(json!({"token_endpoint_auth_method": other}));
        let answer = scene.deployment.send(scene.deployment.post("/register").json(&registration));
        assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{other}");
    }
}

#[test]
fn every_signing_algorithm_works_and_others_are_refused() {
    let scene = Scene::new();
    let algorithms = scene.list("id_token_signing_alg_values_supported");
    assert!(algorithms.contains(&"RS256"), "OpenID Connect Discovery §3 wants it");
    let jwks = scene.deployment.send(scene.deployment.get("/jwks")).expect(200);
    for alg in algorithms {
        let client = scene.deployment.client_with(json!({"id_token_signed_response_alg": alg}));
        let tokens = client.tokens(&scene.deployment, &scene.alice, "openid");
        assert_eq!(header_of(tokens.id_token())["alg"], alg);
        assert!(support::verifies(tokens.id_token(), &jwks), "{alg}");
        // OpenID Connect Core §3.1.3.6: with the hash of the algorithm.
        let hash = match alg {
            "EdDSA" => Sha512::digest(&tokens.access_token).to_vec(),
            _ => Sha256::digest(&tokens.access_token).to_vec(),
        };
        let left_half = URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2]);
        assert_eq!(support::claims_of(tokens.id_token())["at_hash"], left_half, "{alg}");
    }
    assert_eq!(
        scene.list("userinfo_signing_alg_values_supported"),
        scene.list("id_token_signing_alg_values_supported")
    );
    for alg in scene.list("userinfo_signing_alg_values_supported") {
        let client = scene.deployment.client_with(json!({"userinfo_signed_response_alg": alg}));
        let tokens = client.tokens(&scene.deployment, &scene.alice, "openid email");
        let answer = scene.deployment.userinfo(&tokens.access_token);
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/jwt"));
        assert!(support::verifies(answer.text(), &jwks), "{alg}");
        let claims = support::claims_of(answer.text());
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(ISSUER), &json!(client.id)));
        assert_eq!((&claims["sub"], header_of(answer.text())["alg"].as_str()), (&json!(scene.alice.id), Some(alg)));
    }
    for other in ["none", "HS256", "PS384", "ES384", "Ed25519", "rs256"] {
        let registration = metadata(json!({"id_token_signed_response_alg": other}));
        let answer = scene.deployment.send(scene.deployment.post("/register").json(&registration));
        assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{other}");
    }
}

#[test]
fn every_prompt_display_locale_and_acr_is_taken_and_other_prompts_are_refused() {
    let scene = Scene::new();
    for prompt in scene.list("prompt_values_supported") {
        let answer = scene.browser.ask(&scene.client.ask().with("prompt", prompt));
        match prompt {
            "none" => assert!(answer.query().contains_key("code")),
            "login" | "select_account" => assert!(Page::of(&answer).is_sign_in()),
            "consent" => assert!(Page::of(&answer).is_consent()),
            other => panic!("{other} is not tried"),
        }
    }
    assert_eq!(scene.browser.ask(&scene.client.ask().with("prompt", "create")).query()["error"], "invalid_request");
    for display in scene.list("display_values_supported") {
        assert!(scene.gives_code(&scene.client.ask().with("display", display)), "{display}");
    }
    for locale in scene.list("ui_locales_supported") {
        let page = Browser::new(&scene.deployment).ask(&scene.client.ask().with("ui_locales", locale));
        assert!(page.text().contains(&format!("<html lang=\"{locale}\">")), "{locale}");
    }
    for acr in scene.list("acr_values_supported") {
        let essential = json!({"id_token": {"acr": {"essential": true, "value": acr}}}).to_string();
        let code = scene.browser.code(&scene.client.ask().with("claims", &essential), &scene.alice);
        let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
        assert_eq!(claims_of(tokens.id_token())["acr"], acr);
    }
}

#[test]
fn every_challenge_method_and_subject_type_works_and_others_are_refused() {
    let scene = Scene::new();
    assert_eq!(scene.list("code_challenge_methods_supported"), ["S256"]);
    assert!(scene.gives_code(&scene.client.ask().with_challenge()));
    let plain = scene.client.ask().with("code_challenge", VERIFIER).with("code_challenge_method", "plain");
    assert!(!scene.gives_code(&plain));
    for subject_type in scene.list("subject_types_supported") {
        let registration = metadata(json!({"subject_type": subject_type}));
        scene.deployment.send(scene.deployment.post("/register").json(&registration)).expect(201);
    }
    let pairwise = metadata(json!({"subject_type": "pairwise"}));
    let answer = scene.deployment.send(scene.deployment.post("/register").json(&pairwise));
    assert_eq!(answer.error(), (400, "invalid_client_metadata"));
}

#[test]
fn request_objects_are_said_not_to_be_supported_and_are_not() {
    let scene = Scene::new();
    for (member, parameter, error) in [
        ("request_parameter_supported", "request", "request_not_supported"),
        ("request_uri_parameter_supported", "request_uri", "request_uri_not_supported"),
    ] {
        // The default of request_uri_parameter_supported is true (Discovery §3), so it has to be said.
        assert_eq!(scene.document[member], false);
        assert_eq!(scene.browser.ask(&scene.client.ask().with(parameter, "x")).query()["error"], error);
    }
}

#[test]
fn registration_is_named_while_it_is_open() {
    let deployment = Deployment::new();
    assert_eq!(document(&deployment)["registration_endpoint"], format!("{ISSUER}/register"));
    deployment.send(deployment.post("/register").json(&metadata(json!({})))).expect(201);
    deployment.patch("", &json!({"registration": Registration::Closed.as_str()}));
    assert_eq!(document(&deployment).get("registration_endpoint"), None);
    let closed = deployment.send(deployment.post("/register").json(&metadata(json!({}))));
    assert_eq!(closed.error(), (403, "access_denied"));
}

#[test]
fn the_key_set_is_public_and_every_key_says_what_it_is_for() {
    let deployment = Deployment::new();
    let answer = deployment.send(deployment.get("/jwks"));
    assert_eq!(
        (answer.header("content-type"), answer.header("cache-control")),
        ("application/json", "public, max-age=300")
    );
    let set = answer.expect(200);
    let keys = set["keys"].as_array().unwrap();
    let kids: BTreeSet<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    // One that signs and one that stands by, for each algorithm.
    assert_eq!((keys.len(), kids.len()), (8, 8));
    for key in keys {
        let names: BTreeSet<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = match key["kty"].as_str() {
            Some("RSA") => ["alg", "e", "kid", "kty", "n", "use"].into(),
            Some("EC") => BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x", "y"]),
            Some("OKP") => BTreeSet::from(["alg", "crv", "kid", "kty", "use", "x"]),
            other => panic!("{other:?}"),
        };
        assert_eq!(names, expected);
        assert_eq!(key["use"], "sig");
    }
}
