//! RP-Initiated Logout 1.0, by the conformance suite's modules (oidf §6), with its confirmation and who may bring it about.

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use vedette::http::Method;
use vedette::memory::Breakage;
use vedette::oauth::form;

use support::{Answer, Browser, Client, Deployment, Page, Tokens, User, claims_of, header_of};

const AFTER: &str = "https://rp.example/signed-out";
const STATE: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567-._~";

/// Alice, signed in, and the ID token that her client got.
struct Scene {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
    tokens: Tokens,
}

impl Scene {
    fn new() -> Self {
        let deployment = Deployment::new();
        let client =
            deployment.client_with(json!({"post_logout_redirect_uris": [AFTER, "https://rp.example/out?a=b"]}));
        let alice = deployment.user("alice");
        let browser = Browser::new(&deployment);
        let tokens = Tokens::of(client.redeem(&deployment, &browser.code(&client.ask(), &alice)));
        Self { deployment, client, alice, browser, tokens }
    }

    fn hint(&self) -> (&'static str, &str) {
        ("id_token_hint", self.tokens.id_token())
    }

    /// What the browser is answered at `end_session`.
    fn ask(&self, parameters: &[(&str, &str)]) -> Answer {
        self.browser.get(&format!("/end_session?{}", form::encode(parameters.iter().copied())))
    }

    fn is_signed_in(&self) -> bool {
        let query = self.browser.ask(&self.client.ask().with("prompt", "none")).query();
        assert!(query.contains_key("code") || query["error"] == "login_required", "{query:?}");
        query.contains_key("code")
    }

    /// A page of ours, and nobody is signed out by it.
    #[track_caller]
    fn assert_refused(&self, answer: &Answer, what: &str) {
        assert_eq!(answer.error_page(), (400, "invalid_request"), "{what}");
        assert!(answer.response.header("location").is_none() && answer.headers("set-cookie").is_empty(), "{what}");
        assert!(self.is_signed_in(), "{what}");
    }
}

fn is_confirmation(answer: &Answer) -> bool {
    answer.status == 200 && answer.text().contains("id=\"sign-out\"") && answer.text().contains("id=\"stay\"")
}

fn is_signed_out_page(answer: &Answer) -> bool {
    answer.status == 200 && answer.text().contains("You are signed out")
}

#[test]
fn with_a_hint_and_a_registered_uri_the_person_is_signed_out_and_goes_back() {
    let scene = Scene::new();
    let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", AFTER), ("state", STATE)]);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.location().split_once('?').map(|(before, _)| before), Some(AFTER));
    // And no other parameter.
    assert_eq!(answer.query(), [("state".to_owned(), STATE.to_owned())].into());
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert!(!scene.is_signed_in());
    assert_eq!(scene.deployment.userinfo(&scene.tokens.access_token).status, 401);
    assert_eq!(scene.deployment.audited("user.signed_out"), 1);
}

#[test]
fn without_state_none_comes_back() {
    let scene = Scene::new();
    let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", AFTER)]);
    assert_eq!(answer.location(), AFTER);
    assert!(!scene.is_signed_in());
}

#[test]
fn the_query_of_the_registered_uri_stays() {
    let scene = Scene::new();
    let uri = "https://rp.example/out?a=b";
    let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", uri), ("state", "c d")]);
    assert_eq!(answer.location(), "https://rp.example/out?a=b&state=c+d");
}

#[test]
fn a_uri_that_is_not_registered_for_it_is_never_gone_to() {
    let scene = Scene::new();
    for uri in [
        "https://rp.example/signed-out/x7Gd",
        "https://rp.example/signed-out?foo=bar",
        "https://rp.example/cb",
        "https://evil.example/",
        "javascript:alert(1)",
        "http://localhost/",
    ] {
        let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", uri), ("state", STATE)]);
        scene.assert_refused(&answer, uri);
    }
}

#[test]
fn a_disabled_client_sends_nobody_anywhere_and_its_hints_say_nothing() {
    let scene = Scene::new();
    let open_page = Page::of(&scene.ask(&[("client_id", &scene.client.id), ("post_logout_redirect_uri", AFTER)]));
    let client = scene.deployment.manage(Method::Patch, &format!("/clients/{}", scene.client.id));
    scene.deployment.send(client.json(&json!({"disabled": true}))).expect(200);
    for named in [scene.hint(), ("client_id", scene.client.id.as_str())] {
        let answer = scene.ask(&[named, ("post_logout_redirect_uri", AFTER), ("state", STATE)]);
        assert_eq!(answer.error_page(), (400, "invalid_request"), "{named:?}");
        assert!(answer.response.header("location").is_none(), "{named:?}");
        assert!(is_confirmation(&scene.ask(&[named])), "{named:?}: nobody is signed out without being asked");
    }
    let answer = scene.browser.submit(&open_page, &[("answer", "sign-out")]);
    assert!(is_signed_out_page(&answer), "{}", answer.text());
}

#[test]
fn a_hint_that_we_did_not_sign_is_refused() {
    let scene = Scene::new();
    let [header, claims, signature] = scene.tokens.id_token().split('.').collect::<Vec<_>>()[..] else { panic!() };
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let none = format!("{}.{claims}.", encode(r#"{"alg":"none"}"#));
    // Signed by the client's own secret.
    let foreign = format!("{}.{claims}.{}", encode(r#"{"alg":"HS256"}"#), encode("anything"));
    let changed = claims_of(scene.tokens.id_token()).to_string().replace(&scene.alice.id, "somebody");
    let changed = format!("{header}.{}.{signature}", encode(&changed));
    for hint in [&none, &foreign, &changed, &scene.tokens.access_token, "x"] {
        let parameters = [("id_token_hint", hint), ("post_logout_redirect_uri", AFTER), ("state", STATE)];
        scene.assert_refused(&scene.ask(&parameters), hint);
    }
}

#[test]
fn a_hint_by_a_key_that_this_isolate_does_not_know_yet_is_one_of_ours() {
    let mut scene = Scene::new();
    // No standby, so that a new key signs at once.
    scene.deployment.execute("DELETE FROM signing_keys WHERE alg = 'RS256' AND ordinal > 1");
    let kid = header_of(scene.tokens.id_token())["kid"].as_str().unwrap().to_owned();
    let elsewhere = scene.deployment.other_isolate();
    elsewhere.send(elsewhere.admin(Method::Post, &format!("/keys/{kid}/revoke"))).expect(200);
    let code = scene.browser.at(&elsewhere).code(&scene.client.ask(), &scene.alice);
    scene.tokens = Tokens::of(scene.client.redeem(&elsewhere, &code));
    assert_ne!(header_of(scene.tokens.id_token())["kid"], kid);
    scene.deployment.world.advance(10);
    let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", AFTER)]);
    assert_eq!((answer.status, answer.location()), (303, AFTER));
}

#[test]
fn a_uri_without_a_hint_or_a_client_is_not_gone_to() {
    let scene = Scene::new();
    scene.assert_refused(&scene.ask(&[("post_logout_redirect_uri", AFTER), ("state", STATE)]), "no hint");
}

#[test]
fn without_parameters_or_a_uri_the_person_is_asked_and_then_told() {
    let scene = Scene::new();
    for parameters in [&[][..], &[("state", STATE)]] {
        let scene = Scene::new();
        let answer = scene.ask(parameters);
        assert!(is_confirmation(&answer) && answer.text().contains("alice"), "{}", answer.text());
        assert!(scene.is_signed_in());
        let answer = scene.browser.submit(&Page::of(&answer), &[("answer", "sign-out")]);
        assert!(is_signed_out_page(&answer), "{}", answer.text());
        assert!(!scene.is_signed_in());
    }
    // A hint says who asks; there is nowhere to go back to.
    let answer = scene.ask(&[scene.hint(), ("state", STATE)]);
    assert!(is_signed_out_page(&answer), "{}", answer.text());
    assert!(!scene.is_signed_in());
}

#[test]
fn a_client_that_only_names_itself_has_the_person_asked() {
    let scene = Scene::new();
    let parameters = [("client_id", scene.client.id.as_str()), ("post_logout_redirect_uri", AFTER), ("state", "s")];
    let page = scene.ask(&parameters);
    assert!(is_confirmation(&page));
    // The form's answer may lead to the client.
    assert!(page.header("content-security-policy").contains("form-action 'self' https:;"));
    let answer = scene.browser.submit(&Page::of(&page), &[("answer", "sign-out")]);
    assert_eq!((answer.status, answer.location()), (303, "https://rp.example/signed-out?state=s"));
    assert!(!scene.is_signed_in());
    // Nobody is signed in any more; going there still needs a click.
    assert!(is_confirmation(&scene.ask(&parameters)));
}

#[test]
fn who_wants_to_stay_stays() {
    let scene = Scene::new();
    let page = scene.ask(&[]);
    let answer = scene.browser.submit(&Page::of(&page), &[("answer", "stay")]);
    assert_eq!((answer.status, answer.location()), (303, "https://id.example.com/"));
    assert!(scene.is_signed_in());
}

#[test]
fn a_client_that_is_not_the_one_of_the_hint_is_refused() {
    let scene = Scene::new();
    let other = scene.deployment.client();
    scene.assert_refused(&scene.ask(&[scene.hint(), ("client_id", &other.id)]), "another client");
    let answer = scene.ask(&[scene.hint(), ("client_id", &scene.client.id), ("post_logout_redirect_uri", AFTER)]);
    assert_eq!(answer.location(), AFTER);
}

#[test]
fn a_hint_for_somebody_else_signs_nobody_out_unasked() {
    let scene = Scene::new();
    let bob = scene.deployment.user("bob");
    let bobs = scene.client.tokens(&scene.deployment, &bob, "openid");
    let answer = scene.ask(&[("id_token_hint", bobs.id_token()), ("post_logout_redirect_uri", AFTER)]);
    assert!(is_confirmation(&answer));
    assert!(scene.is_signed_in());
}

#[test]
fn an_expired_hint_is_as_good() {
    let scene = Scene::new();
    scene.deployment.world.advance(2 * 3600);
    let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", AFTER)]);
    assert_eq!(answer.location(), AFTER);
    assert!(!scene.is_signed_in());
}

#[test]
fn who_is_not_signed_in_goes_back_all_the_same() {
    let scene = Scene::new();
    let stranger = Browser::new(&scene.deployment);
    let query = form::encode([scene.hint(), ("post_logout_redirect_uri", AFTER), ("state", "s")]);
    let answer = stranger.get(&format!("/end_session?{query}"));
    assert_eq!(answer.location(), "https://rp.example/signed-out?state=s");
    assert!(is_signed_out_page(&stranger.get("/end_session")));
    // Alice is still signed in where she is.
    assert!(scene.is_signed_in());
}

#[test]
fn a_post_is_asked_again_by_get_where_the_cookie_comes_too() {
    let scene = Scene::new();
    let parameters = [scene.hint(), ("post_logout_redirect_uri", AFTER), ("state", "a b")];
    // From another site, so without cookies.
    let answer = scene.deployment.send(scene.deployment.post("/end_session").form(&parameters));
    assert_eq!(answer.status, 303);
    let path = answer.location().strip_prefix(support::ISSUER).unwrap();
    assert!(path.starts_with("/end_session?"));
    assert_eq!(scene.browser.get(path).location(), "https://rp.example/signed-out?state=a+b");
    assert!(!scene.is_signed_in());
    let long = scene.deployment.post("/end_session").form(&[("state", &"x".repeat(10_000))]).for_a_page();
    assert_eq!(scene.deployment.send(long).error_page(), (400, "invalid_request"));
}

#[test]
fn nobody_can_make_a_browser_post_the_confirmation() {
    let scene = Scene::new();
    let attacker = Browser::new(&scene.deployment);
    let mallory = scene.deployment.user("mallory");
    let _ = attacker.code(&scene.client.ask(), &mallory);
    let page = Page::of(&attacker.get("/end_session"));
    // The attacker's own confirmation, posted by Alice's browser.
    let answer = scene.browser.submit(&page, &[("answer", "sign-out")]);
    scene.assert_refused(&answer, "another browser's form");
    // And Alice's own without the cookie that it was made for.
    let own = Page::of(&scene.ask(&[]));
    let bare = Browser::new(&scene.deployment).submit(&own, &[("answer", "sign-out")]);
    assert_eq!(bare.error_page(), (400, "invalid_request"));
    assert!(scene.is_signed_in());
}

#[test]
fn a_confirmation_lives_an_hour_and_cannot_be_changed() {
    let scene = Scene::new();
    let page = Page::of(&scene.ask(&[("client_id", &scene.client.id), ("post_logout_redirect_uri", AFTER)]));
    let mut changed = page.clone();
    changed.fields[0].1.replace_range(40..41, if &page.fields[0].1[40..41] == "A" { "B" } else { "A" });
    scene.assert_refused(&scene.browser.submit(&changed, &[("answer", "sign-out")]), "changed");
    let consent = Page::of(&scene.browser.ask(&scene.client.ask().with("prompt", "consent")));
    let mut other = page.clone();
    other.fields = consent.fields;
    scene.assert_refused(&scene.browser.submit(&other, &[("answer", "sign-out")]), "another form's");
    scene.deployment.world.advance(3600);
    scene.assert_refused(&scene.browser.submit(&page, &[("answer", "sign-out")]), "expired");
}

#[test]
fn what_is_wrong_with_a_request_stays_on_a_page() {
    let scene = Scene::new();
    let hint = scene.hint();
    for (what, parameters) in [
        ("state twice", vec![("state", "a"), ("state", "b")]),
        ("hint twice", vec![hint, hint]),
        ("uri twice", vec![hint, ("post_logout_redirect_uri", AFTER), ("post_logout_redirect_uri", AFTER)]),
        ("an unknown client", vec![("client_id", "nobody"), ("post_logout_redirect_uri", AFTER)]),
    ] {
        scene.assert_refused(&scene.ask(&parameters), what);
    }
    scene.assert_refused(&scene.browser.get("/end_session?state=%zz"), "malformed");
    assert_eq!(scene.browser.send(scene.deployment.call(Method::Delete, "/end_session")).status, 405);
}

#[test]
fn a_sign_out_that_could_not_be_written_is_not_said_to_have_happened() {
    let scene = Scene::new();
    for _ in 0..2 {
        scene.deployment.world.break_after(1, Breakage::SqlTimeoutBefore);
    }
    let answer = scene.ask(&[scene.hint(), ("post_logout_redirect_uri", AFTER)]);
    assert_eq!((answer.error_page(), answer.headers("set-cookie").len()), ((503, "temporarily_unavailable"), 0));
    assert!(scene.is_signed_in());
    // The read, then the batch whose answer is lost.
    scene.deployment.world.break_after(1, Breakage::SqlAnswerLost);
    assert_eq!(scene.ask(&[scene.hint(), ("post_logout_redirect_uri", AFTER)]).location(), AFTER);
    assert!(!scene.is_signed_in());
    assert_eq!(scene.deployment.audited("user.signed_out"), 1);
}
