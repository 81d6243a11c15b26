//! Sessions: the cookie, the row, and how long both last.

use serde_json::json;
use vedette::memory::Breakage;

use crate::support::{Browser, Client, Deployment, Page, User};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn signed_in() -> (Deployment, Client, User, Browser) {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    (deployment, client, alice, browser)
}

fn is_signed_in(browser: &Browser, client: &Client) -> bool {
    let query = browser.ask(&client.ask().with("prompt", "none")).query();
    assert!(query.contains_key("code") || query["error"] == "login_required", "{query:?}");
    query.contains_key("code")
}

#[test]
fn cookies_are_host_bound_and_out_of_scripts_reach() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let page = browser.ask(&client.ask());
    let answer = browser.sign_in(&page, &alice);
    let tenant_id = &deployment.tenant_id;
    for (cookie, kind) in [(page.header("set-cookie"), "browser"), (answer.header("set-cookie"), "session")] {
        assert!(cookie.starts_with(&format!("__Host-vedette-{kind}-{tenant_id}=")), "{cookie}");
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

#[test]
fn an_issuer_on_localhost_without_tls_still_has_cookies() {
    let deployment = Deployment::at("http://localhost:8787");
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    assert!(browser.cookie("session").0.starts_with("vedette-session-"));
    assert!(is_signed_in(&browser, &client));
}

#[test]
fn signing_in_begins_a_session_with_a_new_id_and_ends_the_old_one() {
    let (deployment, client, alice, browser) = signed_in();
    let (_, before) = browser.cookie("session");
    let page = browser.ask(&client.ask().with("prompt", "login"));
    browser.sign_in(&page, &alice);
    assert_ne!(browser.cookie("session").1, before);
    assert_eq!(deployment.count("sessions WHERE tenant_id = ?1"), 2);
    assert_eq!(deployment.count("sessions WHERE tenant_id = ?1 AND ended_at IS NULL"), 1);
    let thief = Browser::new(&deployment);
    let (name, _) = browser.cookie("session");
    thief.cookies.borrow_mut().insert(name, before);
    assert!(!is_signed_in(&thief, &client));
}

#[test]
fn a_session_ends_after_a_day_without_use() {
    let (deployment, client, _, browser) = signed_in();
    for _ in 0..3 {
        deployment.world.advance(DAY - 1);
        assert!(is_signed_in(&browser, &client));
    }
    deployment.world.advance(DAY);
    assert!(!is_signed_in(&browser, &client));
}

#[test]
fn a_session_ends_after_two_weeks_used_or_not() {
    let (deployment, client, _, browser) = signed_in();
    for _ in 0..27 {
        deployment.world.advance(DAY / 2);
        assert!(is_signed_in(&browser, &client));
    }
    deployment.world.advance(DAY / 2);
    assert!(!is_signed_in(&browser, &client));
}

#[test]
fn a_session_is_touched_at_most_every_five_minutes_and_behind_the_answer() {
    let (deployment, client, _, browser) = signed_in();
    let seen = || -> i64 {
        deployment.world.with_db(|db| db.query_row("SELECT seen_at FROM sessions", [], |row| row.get(0))).unwrap()
    };
    let began = seen();
    deployment.world.advance(299);
    assert!(is_signed_in(&browser, &client));
    assert_eq!(seen(), began);
    deployment.world.advance(1);
    // The person is answered even if touching fails.
    deployment.world.break_after(1, Breakage::SqlError);
    assert!(is_signed_in(&browser, &client));
    assert_eq!(seen(), began);
    deployment.world.mend();
    assert!(is_signed_in(&browser, &client));
    assert_eq!(seen(), began + 300);
}

#[test]
fn a_changed_cookie_is_no_session() {
    let (_, client, _, browser) = signed_in();
    let (name, value) = browser.cookie("session");
    for changed in
        [String::new(), "x".to_owned(), value[1..].to_owned(), value.replacen('A', "B", 1), format!("{value}.")]
    {
        if changed == value {
            continue;
        }
        browser.cookies.borrow_mut().insert(name.clone(), changed);
        assert!(!is_signed_in(&browser, &client));
    }
    browser.cookies.borrow_mut().insert(name, value);
    assert!(is_signed_in(&browser, &client));
}

#[test]
fn a_disabled_person_is_signed_out_everywhere_and_cannot_sign_in() {
    let (deployment, client, alice, browser) = signed_in();
    deployment.patch(&format!("/users/{}", alice.id), &json!({"disabled": true}));
    assert!(!is_signed_in(&browser, &client));
    let page = browser.ask(&client.ask());
    let answer = browser.sign_in(&page, &alice);
    assert!(answer.status == 422 && Page::of(&answer).is_sign_in());
    deployment.patch(&format!("/users/{}", alice.id), &json!({"disabled": false}));
    // The old session stays ended.
    assert!(!is_signed_in(&browser, &client));
}

#[test]
fn another_isolate_knows_the_session_and_the_form() {
    let (deployment, client, alice, browser) = signed_in();
    assert!(is_signed_in(&browser.at(&deployment.other_isolate()), &client));
    let page = browser.ask(&client.ask().with("prompt", "login"));
    let elsewhere = browser.at(&deployment.other_isolate());
    assert!(elsewhere.sign_in(&page, &alice).query().contains_key("code"));
}

#[test]
fn the_home_page_knows_who_is_signed_in() {
    let (deployment, _, _, browser) = signed_in();
    let home = browser.get("/");
    assert!(home.status == 200 && home.text().contains("alice"), "{}", home.text());
    assert!(!Browser::new(&deployment).get("/").text().contains("alice"));
}

#[test]
fn an_answer_lost_while_signing_in_signs_in_once() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let page = browser.ask(&client.ask());
    // Counting the attempt, then beginning the session.
    deployment.world.break_after(1, Breakage::SqlAnswerLost);
    let page = browser.sign_in(&page, &alice);
    deployment.world.break_after(1, Breakage::SqlAnswerLost);
    assert!(browser.consent(&page, "allow").query().contains_key("code"));
    assert_eq!(deployment.count("sessions WHERE tenant_id = ?1"), 1);
    assert_eq!((deployment.audited("user.signed_in"), deployment.audited("consent.granted")), (1, 1));
}

#[test]
fn a_client_that_was_registered_a_moment_ago_is_known_where_the_replica_does_not_know_it() {
    let deployment = Deployment::new();
    deployment.world.freeze_replica();
    let client = deployment.client();
    assert_eq!(Browser::new(&deployment).ask(&client.ask()).status, 200);
    let nobody = Client { id: "nobody".to_owned(), ..client };
    assert_eq!(Browser::new(&deployment).ask(&nobody.ask()).error_page(), (400, "invalid_client"));
}
