//! The forms of the sign-in and consent pages: whose they are, how long they live, and that posting one again proves nothing.

use crate::support::{Answer, Browser, Client, Deployment, PASSWORD, Page, User};

fn all() -> (Deployment, Client, User) {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    (deployment, client, alice)
}

const NAME_AND_PASSWORD: [(&str, &str); 2] = [("username", "alice"), ("password", PASSWORD)];

#[track_caller]
fn assert_refused(deployment: &Deployment, answer: &Answer, reason: &str) {
    assert_eq!(answer.error_page(), (400, "invalid_request"));
    assert_eq!(deployment.last_log()["refusal"], reason);
    assert_eq!(deployment.count("sessions WHERE tenant_id = ?1"), 0);
    assert_eq!(deployment.count("throttles WHERE tenant_id = ?1"), 0);
}

#[test]
fn a_sign_in_form_without_its_cookie_is_refused() {
    let (deployment, client, _) = all();
    let page = Page::of(&Browser::new(&deployment).ask(&client.ask()));
    let answer = Browser::new(&deployment).submit(&page, &NAME_AND_PASSWORD);
    assert_refused(&deployment, &answer, "cookies_missing");
}

#[test]
fn a_sign_in_form_of_another_browser_is_refused() {
    let (deployment, client, _) = all();
    let page = Page::of(&Browser::new(&deployment).ask(&client.ask()));
    let other = Browser::new(&deployment);
    other.ask(&client.ask());
    assert_refused(&deployment, &other.submit(&page, &NAME_AND_PASSWORD), "form_not_ours");
}

#[test]
fn a_form_that_is_not_ours_is_refused() {
    let (deployment, client, _) = all();
    let browser = Browser::new(&deployment);
    let page = Page::of(&browser.ask(&client.ask()));
    let sealed = page.field("request").to_owned();
    let other_tenant = deployment.another_tenant("https://other.example");
    let other_client = other_tenant.client();
    let foreign = Page::of(&browser.at(&other_tenant).ask(&other_client.ask())).field("request").to_owned();
    for request in ["", "x", &sealed[1..], &sealed[..sealed.len() - 1], &format!("{sealed}A"), &foreign] {
        let mut page = page.clone();
        page.fields = vec![("request".to_owned(), request.to_owned())];
        assert_refused(&deployment, &browser.submit(&page, &NAME_AND_PASSWORD), "form_not_ours");
    }
    let mut bare = page.clone();
    bare.fields.clear();
    assert_refused(&deployment, &browser.submit(&bare, &NAME_AND_PASSWORD), "form_not_ours");
}

#[test]
fn a_code_or_a_cookie_is_no_form() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let page = Page::of(&browser.ask(&client.ask()));
    let code = browser.code(&client.ask(), &alice);
    for other in [code, browser.cookie("session").1] {
        let mut page = page.clone();
        page.fields = vec![("request".to_owned(), other)];
        assert_eq!(browser.submit(&page, &NAME_AND_PASSWORD).error_page(), (400, "invalid_request"));
    }
}

#[test]
fn a_form_lives_an_hour() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let page = browser.ask(&client.ask());
    deployment.world.advance(3600);
    assert_refused(&deployment, &browser.submit(&Page::of(&page), &NAME_AND_PASSWORD), "form_expired");
    let page = browser.ask(&client.ask());
    deployment.world.advance(3599);
    assert!(Page::of(&browser.sign_in(&page, &alice)).is_consent());
}

#[test]
fn two_tabs_of_one_browser_do_not_disturb_each_other() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let first = browser.ask(&client.ask().with("state", "first"));
    let second = browser.ask(&client.ask().with("state", "second"));
    let first = browser.sign_in(&first, &alice);
    assert_eq!(browser.consent(&first, "allow").query()["state"], "first");
    // The person signs in there too, since that page is still open.
    assert_eq!(browser.sign_in(&second, &alice).query()["state"], "second");
}

#[test]
fn a_consent_form_of_an_old_sign_in_never_counts_as_a_fresh_one() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    for name_and_value in [("prompt", "login"), ("prompt", "select_account"), ("max_age", "0")] {
        let page = Page::of(&browser.ask(&client.ask().with(name_and_value.0, name_and_value.1)));
        assert!(page.is_sign_in());
        // Straight to consent, past the sign-in that was asked for.
        let mut skipping = page.clone();
        skipping.action = "/consent".to_owned();
        let answer = browser.submit(&skipping, &[("answer", "allow")]);
        assert!(answer.status == 200 && Page::of(&answer).is_sign_in(), "{name_and_value:?}: {}", answer.text());
    }
}

#[test]
fn the_back_button_after_a_fresh_sign_in_asks_for_another() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let ask = client.ask().with("prompt", "login");
    let _ = browser.code(&ask, &alice);
    deployment.world.advance(5);
    let again = browser.ask(&ask);
    assert!(Page::of(&again).is_sign_in());
    // The sign-in for an earlier request is none for this one.
    let mut skipping = Page::of(&again);
    skipping.action = "/consent".to_owned();
    assert!(Page::of(&browser.submit(&skipping, &[("answer", "allow")])).is_sign_in());
}

#[test]
fn a_consent_form_sent_again_is_no_fresh_sign_in() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let page = browser.ask(&client.ask().with("prompt", "login consent"));
    let consent = browser.sign_in(&page, &alice);
    assert!(browser.consent(&consent, "allow").query().contains_key("code"));
    deployment.world.advance(600);
    assert!(Page::of(&browser.consent(&consent, "allow")).is_sign_in());
}

#[test]
fn a_consent_form_needs_the_session_that_it_was_shown_in() {
    let (deployment, client, alice) = all();
    let browser = Browser::new(&deployment);
    let consent = browser.sign_in(&browser.ask(&client.ask()), &alice);
    let (name, _) = browser.cookie("session");
    browser.cookies.borrow_mut().remove(&name);
    assert!(Page::of(&browser.consent(&consent, "allow")).is_sign_in());
    assert_eq!(deployment.count("consents WHERE tenant_id = ?1"), 0);
}

#[test]
fn forms_have_to_be_forms_and_name_everything_once() {
    let (deployment, client, _) = all();
    let browser = Browser::new(&deployment);
    let page = Page::of(&browser.ask(&client.ask()));
    let twice = [("username", "alice"), ("username", "bob"), ("password", PASSWORD)];
    assert_eq!(browser.submit(&page, &twice).error_page(), (400, "invalid_request"));
    for path in ["/sign-in", "/consent"] {
        let json = browser.send(deployment.post(path).body("application/json", "{}"));
        assert_eq!(json.error_page(), (415, "invalid_request"), "{path}");
        assert_eq!(browser.get(path).status, 405, "{path}");
    }
}
