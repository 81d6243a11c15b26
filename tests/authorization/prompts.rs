//! Who is asked what: `prompt`, `max_age`, `id_token_hint`, `login_hint` (OpenID Connect Core §3.1.2.1).

use serde_json::json;

use crate::support::{Answer, Ask, Browser, Client, Deployment, Page, Tokens, User, claims_of};

struct Known {
    deployment: Deployment,
    client: Client,
    alice: User,
    /// Where Alice is signed in and has allowed the client `openid`.
    browser: Browser,
    /// The tokens that came of it.
    tokens: Tokens,
}

fn known() -> Known {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let tokens = Tokens::of(client.redeem(&deployment, &browser.code(&client.ask(), &alice)));
    Known { deployment, client, alice, browser, tokens }
}

impl Known {
    fn ask(&self, name: &str, value: &str) -> Ask {
        self.client.ask().with(name, value)
    }

    /// The ID token behind an answer that has a code.
    fn id_token(&self, answer: &Answer) -> serde_json::Value {
        let tokens = Tokens::of(self.client.redeem(&self.deployment, &answer.query()["code"]));
        claims_of(tokens.id_token())
    }

    /// The ID token that came first.
    fn first(&self) -> serde_json::Value {
        claims_of(self.tokens.id_token())
    }
}

fn is_sign_in(answer: &Answer) -> bool {
    answer.status == 200 && Page::of(answer).is_sign_in()
}

#[test]
fn prompt_none_without_a_session_is_login_required() {
    let deployment = Deployment::new();
    let state = format!("{}-._~", "a".repeat(124));
    let ask = deployment.client().ask().with("prompt", "none").with("state", &state);
    let answer = Browser::new(&deployment).ask(&ask);
    assert_eq!(answer.status, 303);
    assert_eq!((answer.query()["error"].as_str(), answer.query()["state"].as_str()), ("login_required", &*state));
}

#[test]
fn prompt_none_with_a_session_and_consent_is_answered_without_a_page() {
    let known = known();
    known.deployment.world.advance(2);
    let again = known.id_token(&known.browser.ask(&known.ask("prompt", "none")));
    assert_eq!((&again["sub"], &again["auth_time"]), (&known.first()["sub"], &known.first()["auth_time"]));
    assert_ne!(again["iat"], known.first()["iat"]);
}

#[test]
fn prompt_none_without_consent_is_consent_required() {
    let known = known();
    let more = known.ask("prompt", "none").with("scope", "openid email");
    assert_eq!(known.browser.ask(&more).query()["error"], "consent_required");
}

#[test]
fn prompt_login_asks_again_and_the_new_sign_in_counts() {
    let known = known();
    known.deployment.world.advance(1);
    let page = known.browser.ask(&known.ask("prompt", "login"));
    assert!(is_sign_in(&page));
    let again = known.id_token(&known.browser.sign_in(&page, &known.alice));
    assert!(again["auth_time"].as_i64() > known.first()["auth_time"].as_i64());
}

#[test]
fn prompt_consent_asks_for_consent_again() {
    let known = known();
    let page = known.browser.ask(&known.ask("prompt", "consent"));
    assert!(Page::of(&page).is_consent());
    assert!(known.browser.consent(&page, "allow").query().contains_key("code"));
}

#[test]
fn prompt_login_consent_asks_for_both() {
    let known = known();
    let page = known.browser.ask(&known.ask("prompt", "login consent"));
    let page = known.browser.sign_in(&page, &known.alice);
    assert!(known.browser.consent(&page, "allow").query().contains_key("code"));
}

#[test]
fn prompt_select_account_lets_another_person_sign_in() {
    let known = known();
    let bob = known.deployment.user("bob");
    let page = known.browser.ask(&known.ask("prompt", "select_account"));
    assert!(is_sign_in(&page));
    let page = known.browser.sign_in(&page, &bob);
    let answer = known.browser.consent(&page, "allow");
    assert_eq!(known.id_token(&answer)["sub"], bob.id);
}

#[test]
fn prompts_that_contradict_or_are_unknown_are_refused() {
    let known = known();
    for prompt in ["none login", "login none", "create", "NONE"] {
        assert_eq!(known.browser.ask(&known.ask("prompt", prompt)).query()["error"], "invalid_request", "{prompt}");
    }
}

#[test]
fn max_age_asks_only_when_the_sign_in_is_older() {
    let known = known();
    known.deployment.world.advance(2);
    let answer = known.browser.ask(&known.ask("max_age", "2"));
    assert_eq!(known.id_token(&answer)["auth_time"], known.first()["auth_time"]);
    known.deployment.world.advance(1);
    assert!(is_sign_in(&known.browser.ask(&known.ask("max_age", "2"))));
    let silent = known.browser.ask(&known.ask("max_age", "2").with("prompt", "none"));
    assert_eq!(silent.query()["error"], "login_required");
    let page = known.browser.ask(&known.ask("max_age", "2"));
    let again = known.id_token(&known.browser.sign_in(&page, &known.alice));
    assert_eq!(again["auth_time"], known.deployment.world.now().0);
    for large in ["10000", "4294967296", "99999999999999999999999999"] {
        assert!(known.browser.ask(&known.ask("max_age", large)).query().contains_key("code"), "{large}");
    }
}

#[test]
fn max_age_0_asks_every_time() {
    let known = known();
    let page = known.browser.ask(&known.ask("max_age", "0"));
    assert!(is_sign_in(&page));
    assert!(known.browser.sign_in(&page, &known.alice).query().contains_key("code"));
    assert!(is_sign_in(&known.browser.ask(&known.ask("max_age", "0"))));
}

#[test]
fn a_sign_in_stays_fresh_for_its_own_request_however_long_consent_takes() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    for (prompt, max_age) in [("consent", "1"), ("consent", "0"), ("login consent", "10000")] {
        let browser = Browser::new(&deployment);
        let page = browser.ask(&client.ask().with("prompt", prompt).with("max_age", max_age));
        let page = browser.sign_in(&page, &alice);
        deployment.world.advance(30);
        let answer = browser.consent(&page, "allow");
        assert!(answer.status == 303 && answer.query().contains_key("code"), "{prompt}, {max_age}: {}", answer.text());
    }
}

#[test]
fn a_max_age_that_is_no_number_of_seconds_is_refused() {
    let known = known();
    for max_age in ["-1", "+1", "1.5", "x", "0x10", "١"] {
        assert_eq!(known.browser.ask(&known.ask("max_age", max_age)).query()["error"], "invalid_request", "{max_age}");
    }
}

#[test]
fn a_client_may_have_a_max_age_of_its_own() {
    let known = known();
    let strict = known.deployment.client_with(json!({"default_max_age": 60}));
    known.deployment.world.advance(61);
    assert!(is_sign_in(&known.browser.ask(&strict.ask())));
    assert!(Page::of(&known.browser.ask(&strict.ask().with("max_age", "100"))).is_consent());
}

#[test]
fn an_id_token_hint_for_the_person_signed_in_is_answered_silently() {
    let known = known();
    // Whether the hint has expired does not matter.
    known.deployment.world.advance(2 * 3600);
    let ask = known.ask("prompt", "none").with("id_token_hint", known.tokens.id_token());
    let again = known.id_token(&known.browser.ask(&ask));
    assert_eq!((&again["sub"], &again["auth_time"]), (&known.first()["sub"], &known.first()["auth_time"]));
}

#[test]
fn an_id_token_hint_insists_on_its_person() {
    let known = known();
    let bob = known.deployment.user("bob");
    let bobs = known.client.tokens(&known.deployment, &bob, "openid");
    let ask = known.client.ask().with("id_token_hint", bobs.id_token());
    assert_eq!(known.browser.ask(&ask.clone().with("prompt", "none")).query()["error"], "login_required");
    let page = known.browser.ask(&ask);
    assert!(is_sign_in(&page));
    // Alice is not whom the client asked for.
    assert_eq!(known.browser.sign_in(&page, &known.alice).query()["error"], "login_required");
    assert_eq!(known.deployment.last_log()["refusal"], "login_required");
    let page = known.browser.ask(&ask);
    assert_eq!(known.id_token(&known.browser.sign_in(&page, &bob))["sub"], bob.id);
}

#[test]
fn the_claims_parameter_can_insist_on_a_person_too() {
    let known = known();
    let sub = |sub: &str| known.ask("claims", &json!({"id_token": {"sub": {"value": sub}}}).to_string());
    assert!(known.browser.ask(&sub(&known.alice.id)).query().contains_key("code"));
    assert!(is_sign_in(&known.browser.ask(&sub("somebody else"))));
    let both = sub("somebody else").with("id_token_hint", known.tokens.id_token());
    assert_eq!(known.browser.ask(&both).query()["error"], "invalid_request");
    for nobody in [json!({"value": 7}), json!({"values": []}), json!({"values": [known.alice.id, 7]})] {
        for place in ["id_token", "userinfo"] {
            let ask = known.ask("claims", &json!({place: {"sub": nobody}}).to_string());
            assert_eq!(known.browser.ask(&ask).query()["error"], "invalid_request", "{place}: {nobody}");
        }
    }
}

#[test]
fn a_hint_that_this_issuer_did_not_sign_as_an_id_token_is_refused() {
    let known = known();
    let elsewhere = known.deployment.another_tenant("https://other.example");
    let (client, carol) = (elsewhere.client(), elsewhere.user("carol"));
    let foreign = client.tokens(&elsewhere, &carol, "openid");
    let [header, claims, _] = known.tokens.id_token().split('.').collect::<Vec<_>>()[..] else { panic!() };
    let forged = {
        use base64::Engine as _;
        let none = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        format!("{none}.{claims}.")
    };
    let changed = format!("{header}.{claims}x.{}", known.tokens.id_token().rsplit_once('.').unwrap().1);
    let signing = known.deployment.client_with(json!({"userinfo_signed_response_alg": "RS256"}));
    let userinfo = known
        .deployment
        .userinfo(&signing.tokens(&known.deployment, &known.alice, "openid").access_token)
        .text()
        .to_owned();
    for hint in ["x", "..", foreign.id_token(), &known.tokens.access_token, &userinfo, &forged, &changed] {
        let answer = known.browser.ask(&known.ask("prompt", "none").with("id_token_hint", hint));
        assert_eq!(answer.query()["error"], "invalid_request", "{hint}");
    }
}

#[test]
fn a_login_hint_fills_in_the_name() {
    let deployment = Deployment::new();
    let client = deployment.client();
    let page = |hint: &str| Browser::new(&deployment).ask(&client.ask().with("login_hint", hint)).text().to_owned();
    assert!(page("alice@example.com").contains("name=\"username\" value=\"alice@example.com\""));
    assert!(page("\"><script>").contains("value=\"&#34;&#62;&#60;script&#62;\""));
}
