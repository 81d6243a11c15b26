//! What is wrong with a request, and who is told: a page where no redirect URI is proven, the client otherwise (RFC 6749
//! §4.1.2.1, oidf §0.4 and §0.6).

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::{Answer, Ask, Browser, CHALLENGE, Client, Deployment, ISSUER, Page};

fn asked(deployment: &Deployment, ask: &Ask) -> Answer {
    Browser::new(deployment).ask(ask)
}

/// The page for a request whose answer may go nowhere.
#[track_caller]
fn assert_stays_here(answer: &Answer, code: &str, what: &str) {
    assert_eq!(answer.error_page(), (400, code), "{what}");
    assert!(answer.response.header("location").is_none(), "{what}");
    assert!(!answer.text().contains("<form"), "{what}");
}

/// RFC 6749 §4.1.2.1: %x20-21 / %x23-5B / %x5D-7E.
fn is_description(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// An error answer has what it has to have and nothing else.
#[track_caller]
fn assert_error(sent: &BTreeMap<String, String>, state: Option<&str>, code: &str, what: &str) {
    let names: Vec<&str> = sent.keys().map(String::as_str).collect();
    let expected = if state.is_some() {
        &["error", "error_description", "iss", "state"][..]
    } else {
        &["error", "error_description", "iss"]
    };
    assert_eq!(names, expected, "{what}");
    assert_eq!((sent["error"].as_str(), sent["iss"].as_str()), (code, ISSUER), "{what}: {sent:?}");
    assert_eq!(sent.get("state").map(String::as_str), state, "{what}");
    assert!(is_description(&sent["error_description"]), "{what}: {}", sent["error_description"]);
}

/// Requests that are wrong behind a redirect URI that is right.
fn wrong_requests(client: &Client) -> Vec<(&'static str, Ask, &'static str)> {
    let ask = client.ask();
    let with = |name: &str, value: &str| ask.clone().with(name, value);
    vec![
        ("no response_type", ask.clone().without("response_type"), "invalid_request"),
        ("an empty response_type", with("response_type", ""), "invalid_request"),
        ("response_type token", with("response_type", "token"), "unsupported_response_type"),
        ("response_type id_token", with("response_type", "id_token"), "unsupported_response_type"),
        ("response_type none", with("response_type", "none"), "unsupported_response_type"),
        ("a hybrid response_type", with("response_type", "code id_token"), "unsupported_response_type"),
        ("an unknown response_mode", with("response_mode", "web_message"), "invalid_request"),
        ("no scope", ask.clone().without("scope"), "invalid_scope"),
        ("only unknown scopes", with("scope", "read write"), "invalid_scope"),
        ("a scope with a quote", with("scope", "openid \"x\""), "invalid_scope"),
        ("a request object", with("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"),
        ("a request_uri", with("request_uri", "https://rp.example/request.jwt"), "request_uri_not_supported"),
        ("a registration", with("registration", "{}"), "registration_not_supported"),
        (
            "a plain challenge",
            with("code_challenge", CHALLENGE).with("code_challenge_method", "plain"),
            "invalid_request",
        ),
        ("a challenge without method", with("code_challenge", CHALLENGE), "invalid_request"),
        ("a method without challenge", with("code_challenge_method", "S256"), "invalid_request"),
        ("a short challenge", with("code_challenge", "x").with("code_challenge_method", "S256"), "invalid_request"),
        (
            "a challenge that is not base64url",
            with("code_challenge", &CHALLENGE.replace('E', "+")).with("code_challenge_method", "S256"),
            "invalid_request",
        ),
        ("an unknown prompt", with("prompt", "perhaps"), "invalid_request"),
        ("nobody there", with("prompt", "none"), "login_required"),
        ("claims that are not JSON", with("claims", "{"), "invalid_request"),
        ("an id_token_hint that is none", with("id_token_hint", "x"), "invalid_request"),
        ("scope twice", ask.clone().and("scope", "openid"), "invalid_request"),
        ("an unknown parameter twice", ask.clone().and("x\"\\\r\n", "1").and("x\"\\\r\n", "2"), "invalid_request"),
        (
            "a name of 10,000 characters twice",
            ask.clone().and(&"x".repeat(10_000), "1").and(&"x".repeat(10_000), "2"),
            "invalid_request",
        ),
        ("a nonce that fits into no code", with("nonce", &"n".repeat(10_000)), "invalid_request"),
    ]
}

#[test]
fn errors_reach_the_client_with_state_and_issuer_and_nothing_else() {
    let deployment = Deployment::new();
    let client = deployment.client();
    for (what, ask, code) in wrong_requests(&client) {
        let answer = asked(&deployment, &ask);
        assert_eq!(answer.status, 303, "{what}: {}", answer.text());
        assert!(answer.location().len() < 1000, "{what}");
        assert_error(&sent(&answer, &ask), Some("af0ifjsldkj"), code, what);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert!(deployment.last_log()["refusal"].is_string(), "{what}");

        let answer = asked(&deployment, &ask.clone().without("state"));
        assert_error(&sent(&answer, &ask), None, code, what);
    }
}

/// What came where a client of this response type looks for it.
#[track_caller]
fn sent(answer: &Answer, ask: &Ask) -> BTreeMap<String, String> {
    let is_front_channel = |(name, value): &(String, String)| name == "response_type" && value.contains("token");
    let separator = if ask.parameters.iter().any(is_front_channel) { '#' } else { '?' };
    let start = format!("https://rp.example/cb{separator}error=");
    assert!(answer.location().starts_with(&start), "{}", answer.location());
    if separator == '#' { answer.fragment() } else { answer.query() }
}

#[test]
fn errors_travel_in_the_mode_that_was_asked_for() {
    let deployment = Deployment::new();
    let client = deployment.client();
    for (what, ask, code) in wrong_requests(&client) {
        if ask.parameters.iter().any(|(name, _)| name == "response_mode") {
            continue;
        }
        let answer = asked(&deployment, &ask.clone().with("response_mode", "fragment"));
        assert!(answer.location().starts_with("https://rp.example/cb#error="), "{what}: {}", answer.location());
        assert_error(&answer.fragment(), Some("af0ifjsldkj"), code, what);

        let answer = asked(&deployment, &ask.with("response_mode", "form_post"));
        assert_eq!(answer.status, 200, "{what}");
        let form = Page::of(&answer);
        assert_eq!(form.action, client.redirect_uri, "{what}");
        assert_error(&form.fields.iter().cloned().collect(), Some("af0ifjsldkj"), code, what);
    }
}

#[test]
fn a_redirect_uri_that_is_not_registered_is_never_redirected_to() {
    let deployment = Deployment::new();
    let client = deployment.client();
    let with_query = deployment.client_with(json!({"redirect_uris": ["https://rp.example/cb?a=b"]}));
    for (client, uri) in [
        (&client, "https://rp.example/cb/x7Gd"),
        (&client, "https://rp.example/cb/"),
        (&client, "https://rp.example/cb?foo=bar"),
        (&client, "https://rp.example/cb#fragment"),
        (&client, "https://rp.example/CB"),
        (&client, "https://RP.example/cb"),
        (&client, "https://rp.example:443/cb"),
        (&client, "https://rp.example/x/../cb"),
        (&client, "https://rp.example/%63b"),
        (&client, "http://rp.example/cb"),
        (&client, "https://evil.example/cb"),
        (&client, "https://rp.example@evil.example/cb"),
        (&client, "//rp.example/cb"),
        (&client, "http://localhost/cb"),
        (&client, "javascript:alert(1)"),
        (&client, " https://rp.example/cb"),
        (&client, "https://rp.example/cb\n"),
        (&with_query, "https://rp.example/cb"),
        (&with_query, "https://rp.example/cb?a=c"),
        (&with_query, "https://rp.example/cb?a=b&c=d"),
    ] {
        // Not even for errors that would go to the client.
        for ask in [client.ask(), client.ask().with("prompt", "none"), client.ask().without("response_type")] {
            assert_stays_here(&asked(&deployment, &ask.with("redirect_uri", uri)), "invalid_request", uri);
        }
    }
    assert!(deployment.world.log().iter().all(|line| !line.contains("evil.example")));
}

#[test]
fn requests_without_a_proven_redirect_uri_stay_here() {
    let deployment = Deployment::new();
    let client = deployment.client();
    let two = deployment.client_with(json!({"redirect_uris": ["https://rp.example/a", "https://rp.example/b"]}));
    let ask = client.ask();
    for (what, ask, code) in [
        ("no client_id", ask.clone().without("client_id"), "invalid_request"),
        ("an unknown client", ask.clone().with("client_id", "nobody"), "invalid_client"),
        ("a client_id of 10,000 characters", ask.clone().with("client_id", &"x".repeat(10_000)), "invalid_client"),
        ("no redirect_uri", ask.clone().without("redirect_uri"), "invalid_request"),
        ("no redirect_uri, two registered", two.ask().without("redirect_uri"), "invalid_request"),
        (
            "a redirect_uri of 10,000 characters",
            ask.clone().with("redirect_uri", &format!("https://rp.example/{}", "x".repeat(10_000))),
            "invalid_request",
        ),
        ("another client's redirect_uri", two.ask().with("redirect_uri", &client.redirect_uri), "invalid_request"),
        ("client_id twice", ask.clone().and("client_id", &client.id), "invalid_request"),
        ("redirect_uri twice", ask.clone().and("redirect_uri", &client.redirect_uri), "invalid_request"),
        (
            "scope and redirect_uri twice",
            ask.clone().and("scope", "openid").and("redirect_uri", &client.redirect_uri),
            "invalid_request",
        ),
        (
            "scope and client_id twice",
            ask.clone().and("scope", "openid").and("client_id", &client.id),
            "invalid_request",
        ),
    ] {
        assert_stays_here(&asked(&deployment, &ask), code, what);
    }
}

#[test]
fn a_state_given_twice_does_not_come_back() {
    let deployment = Deployment::new();
    let client = deployment.client();
    for ask in [client.ask().and("state", "other"), client.ask().and("scope", "openid").and("state", "other")] {
        assert_error(&asked(&deployment, &ask).query(), None, "invalid_request", "state twice");
    }
}

#[test]
fn a_client_that_is_disabled_or_not_for_codes_gets_nothing() {
    let deployment = Deployment::new();
    let client = deployment.client();
    deployment.patch(&format!("/clients/{}", client.id), &json!({"disabled": true}));
    assert_stays_here(&asked(&deployment, &client.ask()), "unauthorized_client", "disabled");
    let machine = deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    assert_error(
        &asked(&deployment, &machine.ask()).query(),
        Some("af0ifjsldkj"),
        "unauthorized_client",
        "a client without the grant type",
    );
}

#[test]
fn a_public_client_has_to_send_a_challenge() {
    let deployment = Deployment::new();
    let client = deployment.public_client();
    let ask = client.ask().without("code_challenge").without("code_challenge_method");
    assert_error(&asked(&deployment, &ask).query(), Some("af0ifjsldkj"), "invalid_request", "no challenge");
}

#[test]
fn a_scope_beyond_the_registered_ones_is_refused() {
    let deployment = Deployment::new();
    let client = deployment.client_with(json!({"scope": "openid email"}));
    let answer = asked(&deployment, &client.ask().with("scope", "openid phone"));
    assert_error(&answer.query(), Some("af0ifjsldkj"), "invalid_scope", "phone");
}

#[test]
fn a_scope_of_which_nothing_is_left_is_refused() {
    let deployment = Deployment::new();
    // It may not refresh, so that offline_access does not count.
    let client = deployment.client_with(json!({"grant_types": ["authorization_code"]}));
    let answer = asked(&deployment, &client.ask().with("scope", "offline_access"));
    assert_error(&answer.query(), Some("af0ifjsldkj"), "invalid_scope", "offline_access alone");
}

#[test]
fn malformed_percent_encoding_stays_here() {
    let deployment = Deployment::new();
    let client = deployment.client();
    for broken in ["%", "%4", "%zz", "%ff", "a=%e2%28%a1", "%00=%"] {
        let answer = deployment.send(deployment.get(&format!("{}&x={broken}", client.ask().path())));
        assert_stays_here(&answer, "invalid_request", broken);
    }
}

#[test]
fn parameters_of_10_000_characters_are_borne() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    let long = "x".repeat(10_000);
    for name in [
        "response_type",
        "scope",
        "state",
        "nonce",
        "response_mode",
        "prompt",
        "max_age",
        "id_token_hint",
        "login_hint",
        "claims",
        "acr_values",
        "display",
        "ui_locales",
        "request",
        "code_challenge",
        "code_challenge_method",
        "unknown",
    ] {
        let answer = browser.ask(&client.ask().with(name, &long));
        assert_eq!(answer.status, 303, "{name}");
        let query = answer.query();
        assert!(query.contains_key("code") != query.contains_key("error"), "{name}");
    }
    // What is carried along comes back, or is refused before anybody signs in.
    let silent = browser.ask(&client.ask().with("state", &long).with("prompt", "none"));
    assert_eq!((silent.query()["state"].as_str(), silent.query()["error"].as_str()), (&*long, "invalid_request"));
}

#[test]
fn a_request_that_just_fits_gets_a_code_that_can_be_redeemed() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask().with("scope", "openid profile email address phone offline_access"), &alice);
    let fits = |length: usize| {
        let answer = browser.ask(&client.ask().with("nonce", &"\u{1f600}".repeat(length)));
        answer.query().contains_key("code")
    };
    let (mut fitting, mut too_long) = (0, 2000);
    while too_long - fitting > 1 {
        let middle = (fitting + too_long) / 2;
        if fits(middle) { fitting = middle } else { too_long = middle }
    }
    let nonce = "\u{1f600}".repeat(fitting);
    assert!(nonce.len() >= 384, "{} bytes", nonce.len());
    let code = browser.code(&client.ask().with("nonce", &nonce), &alice);
    client.redeem(&deployment, &code).expect(200);
}
