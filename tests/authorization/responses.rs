use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use vedette::http::Method;

use crate::support::{Answer, Ask, Browser, Deployment, ISSUER, Page, REDIRECT_URI, Tokens, VERIFIER, parameters};

fn names(parameters: &BTreeMap<String, String>) -> Vec<&str> {
    parameters.keys().map(String::as_str).collect()
}

#[test]
fn a_person_signs_in_allows_and_goes_back_with_a_code() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let sign_in = browser.ask(&client.ask());
    assert_eq!(sign_in.status, 200);
    let consent = browser.sign_in(&sign_in, &alice);
    assert_eq!(consent.status, 200);
    let answer = browser.consent(&consent, "allow");
    assert_eq!(answer.status, 303);
    assert!(answer.location().starts_with("https://rp.example/cb?code="), "{}", answer.location());
    let query = answer.query();
    assert_eq!(names(&query), ["code", "iss", "state"]);
    assert_eq!((query["state"].as_str(), query["iss"].as_str()), ("af0ifjsldkj", ISSUER));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let tokens = Tokens::of(client.redeem(&deployment, &query["code"]));
    assert_eq!(deployment.userinfo(&tokens.access_token).expect(200)["sub"], alice.id);
}

#[test]
fn a_confidential_client_may_use_pkce_and_a_public_one_does() {
    let deployment = Deployment::new();
    let alice = deployment.user("alice");
    let confidential = deployment.client();
    let code = Browser::new(&deployment).code(&confidential.ask().with_challenge(), &alice);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    deployment.send(confidential.post(&deployment, "/token", &form)).expect(200);
    let public = deployment.public_client();
    let _ = public.tokens(&deployment, &alice, "openid");
}

#[test]
fn the_fragment_mode_puts_everything_in_the_fragment() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let answer = Browser::new(&deployment).complete(&client.ask().with("response_mode", "fragment"), &alice);
    assert_eq!(answer.status, 303);
    assert!(answer.location().starts_with("https://rp.example/cb#"), "{}", answer.location());
    assert_eq!(names(&answer.fragment()), ["code", "iss", "state"]);
}

#[test]
fn the_form_post_mode_posts_everything_and_leaves_the_url_alone() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let state = "<\"&'>é";
    let ask = client.ask().with("response_mode", "form_post").with("state", state);
    let answer = Browser::new(&deployment).complete(&ask, &alice);
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let form = Page::of(&answer);
    assert_eq!(form.action, REDIRECT_URI);
    let mut fields: Vec<&str> = form.fields.iter().map(|(name, _)| name.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["code", "iss", "state"]);
    assert_eq!((form.field("state"), form.field("iss")), (state, ISSUER));
    client.redeem(&deployment, form.field("code")).expect(200);
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("script-src 'self';") && policy.contains("form-action 'self' https:;"), "{policy}");
}

#[test]
fn no_state_comes_back_where_none_was_sent() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let answer = Browser::new(&deployment).complete(&client.ask().without("state"), &alice);
    assert_eq!(names(&answer.query()), ["code", "iss"]);
}

#[test]
fn a_state_comes_back_as_it_was_whatever_is_in_it() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let long = format!("{}-._~", "Ab0".repeat(332));
    for state in [long.as_str(), "a b+c%20&code=x#y?z", "\u{1f600}\"\\<script>", "\r\nset-cookie: x=y"] {
        let answer = browser.complete(&client.ask().with("state", state), &alice);
        assert_eq!(answer.query()["state"], state);
        assert!(!answer.location().contains(['\r', '\n']));
    }
}

#[test]
fn the_query_of_a_registered_redirect_uri_stays() {
    let deployment = Deployment::new();
    let alice = deployment.user("alice");
    let uri = "https://rp.example/cb?dummy1=lorem&dummy2=ipsum";
    let client = deployment.client_with(json!({"redirect_uris": [uri]}));
    let answer = Browser::new(&deployment).complete(&client.ask(), &alice);
    assert!(answer.location().starts_with(&format!("{uri}&code=")), "{}", answer.location());
    assert_eq!(names(&answer.query()), ["code", "dummy1", "dummy2", "iss", "state"]);
}

#[test]
fn native_apps_are_answered_at_their_scheme_and_on_loopback() {
    let deployment = Deployment::new();
    let alice = deployment.user("alice");
    let uris = ["com.example.app:/cb", "http://127.0.0.1:49152/cb", "http://[::1]:49152/cb"];
    let client = deployment.client_with(json!({
        "application_type": "native", "token_endpoint_auth_method": "none", "redirect_uris": uris,
    }));
    let browser = Browser::new(&deployment);
    for uri in uris {
        let answer = browser.complete(&client.ask().with("redirect_uri", uri), &alice);
        assert!(answer.location().starts_with(&format!("{uri}?code=")), "{}", answer.location());
    }
    // A form cannot be posted to an app.
    let refused = browser.ask(&client.ask().with("response_mode", "form_post"));
    assert_eq!(refused.query()["error"], "invalid_request");
}

/// Bits of the Shannon estimate that the conformance suite makes (oidf §0.2).
#[expect(clippy::cast_precision_loss, reason = "a code has at most 2048 characters")]
fn entropy(text: &str) -> f64 {
    let mut counts: HashMap<char, usize> = HashMap::new();
    for character in text.chars() {
        *counts.entry(character).or_default() += 1;
    }
    let length = text.len() as f64;
    let per_character: f64 = counts.values().map(|&count| count as f64 / length).map(|p| -p * p.log2()).sum();
    per_character * length
}

#[test]
fn codes_are_long_well_mixed_and_never_the_same() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let (first, second) = (browser.code(&client.ask(), &alice), browser.code(&client.ask(), &alice));
    assert_ne!(first, second);
    assert!(first.len() >= 22 && first.len() <= 2048 && entropy(&first) > 96.0, "{first}");
}

#[test]
fn what_a_client_may_ask_and_we_do_not_act_on_is_ignored() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    for (name, value) in [
        ("extra", "foobar"),
        ("display", "page"),
        ("display", "popup"),
        ("ui_locales", "se"),
        ("claims_locales", "se"),
        ("scope", "openid urn:example:unknown"),
        ("acr_values", "1 2"),
        ("login_hint", "buffy@id.example.com"),
        ("id_token_hint", ""),
    ] {
        let answer = browser.ask(&client.ask().with(name, value));
        assert_eq!(names(&answer.query()), ["code", "iss", "state"], "{name}={value}");
    }
}

#[test]
fn the_order_of_parameters_and_scopes_does_not_matter() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let mut ask = client.ask().with("scope", "email openid");
    ask.parameters.reverse();
    let code = Browser::new(&deployment).code(&ask, &alice);
    let body = client.redeem(&deployment, &code).expect(200);
    assert_eq!(body["scope"], "email openid");
    assert!(body["id_token"].is_string());
}

#[test]
fn a_scope_without_openid_gives_no_id_token() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let tokens = client.tokens(&deployment, &alice, "email");
    assert_eq!(tokens.id_token, None);
    assert_eq!(deployment.userinfo(&tokens.access_token).error(), (403, "insufficient_scope"));
}

fn posted(deployment: &Deployment, ask: &Ask) -> Answer {
    deployment.send(deployment.post("/authorize").form(&ask.pairs()).for_a_page())
}

#[test]
fn a_post_is_asked_again_by_get_where_the_cookies_come_too() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    let ask = client.ask().with("state", "a b&c=d");
    // No cookie comes with a form from another site.
    let answer = posted(&deployment, &ask);
    assert_eq!(answer.status, 303);
    let (endpoint, query) = answer.location().split_once('?').unwrap();
    assert_eq!(endpoint, format!("{ISSUER}/authorize"));
    let sent: BTreeMap<String, String> = ask.parameters.iter().cloned().collect();
    assert_eq!(parameters(query), sent);
    let answer = browser.get(&format!("/authorize?{query}"));
    assert_eq!(answer.query()["state"], "a b&c=d");
}

#[test]
fn a_post_carries_the_parameters_of_its_query_too_and_what_is_repeated_stays_so() {
    let deployment = Deployment::new();
    let client = deployment.client();
    let ask = client.ask();
    let with_query = |query: &str, ask: &Ask| {
        deployment.send(deployment.post(&format!("/authorize?{query}")).form(&ask.pairs()).for_a_page())
    };
    let followed = |answer: &Answer| {
        let path = answer.location().strip_prefix(ISSUER).unwrap().to_owned();
        Browser::new(&deployment).get(&path)
    };
    let answer = with_query("prompt=none", &ask);
    assert_eq!(answer.query()["prompt"], "none");
    assert_eq!(followed(&answer).query()["error"], "login_required");
    for answer in [
        with_query("scope=openid", &ask),
        with_query("ui_locales=a&ui_locales=b", &ask),
        posted(&deployment, &ask.clone().and("nonce", "other")),
    ] {
        assert_eq!(followed(&answer).query()["error"], "invalid_request");
    }
    // Where no answer may go is known only there.
    for name in ["redirect_uri", "client_id"] {
        let twice = ask.clone().and("nonce", "other").and(name, "https://rp.example/cb");
        let refused = followed(&posted(&deployment, &twice));
        assert_eq!(refused.error_page(), (400, "invalid_request"), "{name}");
    }
}

#[test]
fn a_post_too_long_for_a_url_is_refused() {
    let deployment = Deployment::new();
    let client = deployment.client();
    let answer = posted(&deployment, &client.ask().with("claims", &"x".repeat(10_000)));
    assert_eq!(answer.error_page(), (400, "invalid_request"));
    assert_eq!(deployment.send(deployment.call(Method::Put, "/authorize")).status, 405);
}
