//! What every page has: its headers, and nothing that its policy forbids.

use vedette::ui;

use crate::support::{Answer, Browser, Deployment};

#[track_caller]
fn assert_sound(page: &Answer, form_action: &str, what: &str) {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{form_action}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("content-security-policy", &policy),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("strict-transport-security", "max-age=31536000"),
    ] {
        assert_eq!(page.headers(name), [value], "{what}: {name}");
    }
    let html = page.text();
    for forbidden in ["<script", "style=\"", " onclick", " onload", "javascript:"] {
        assert!(!html.contains(forbidden), "{what}: {forbidden}");
    }
    assert!(html.starts_with("<!doctype html>") && html.contains("name=\"viewport\""), "{what}");
}

#[test]
fn every_page_has_strict_headers_and_no_script() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let sign_in = browser.ask(&client.ask());
    assert_sound(&sign_in, " https:", "sign-in");
    let wrong = crate::support::User { password: "wrong".to_owned(), ..alice.clone() };
    assert_sound(&browser.sign_in(&sign_in, &wrong), " https:", "sign-in again");
    let consent = browser.sign_in(&sign_in, &alice);
    assert_sound(&consent, " https:", "consent");
    browser.consent(&consent, "allow");
    for (path, what) in [
        ("/", "home"),
        ("/nothing/here", "not found"),
        ("/authorize", "error"),
        ("/end_session", "sign out?"),
        ("/end_session?id_token_hint=x", "sign-out error"),
        ("/setup?ticket=x", "set-up error"),
    ] {
        assert_sound(&browser.get(path), "", what);
    }
}

#[test]
fn what_pages_refer_to_is_there() {
    let deployment = Deployment::new();
    let client = deployment.client();
    let page = Browser::new(&deployment).ask(&client.ask().with("response_mode", "form_post"));
    let refused =
        Browser::new(&deployment).ask(&client.ask().with("response_mode", "form_post").with("prompt", "none"));
    let mut found = 0;
    for html in [page.text(), refused.text()] {
        for reference in html.split(['"']).filter(|text| text.starts_with("/assets/")) {
            let asset = deployment.send(deployment.get(reference));
            assert_eq!((asset.status, asset.header("x-content-type-options")), (200, "nosniff"), "{reference}");
            assert!(asset.header("cache-control").contains("immutable"), "{reference}");
            assert!(ui::asset(reference.trim_start_matches("/assets/")).is_some());
            found += 1;
        }
    }
    assert!(found >= 5, "{found} references");
}

#[test]
fn fields_and_buttons_have_their_names() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let sign_in = browser.ask(&client.ask());
    for name in ["name=\"username\"", "name=\"password\"", "id=\"sign-in\""] {
        assert!(sign_in.text().contains(name), "{name}");
    }
    let consent = browser.sign_in(&sign_in, &alice);
    for name in ["id=\"allow\"", "id=\"deny\""] {
        assert!(consent.text().contains(name), "{name}");
    }
    assert!(browser.get("/end_session").text().contains("id=\"sign-out\""));
}

#[test]
fn an_error_page_names_the_request_for_the_log() {
    let deployment = Deployment::new();
    let page = Browser::new(&deployment).get("/authorize?client_id=nobody");
    let id = page.header("x-request-id").to_owned();
    assert!(page.text().contains(&id), "{}", page.text());
    assert_eq!(
        (deployment.last_log()["request_id"].as_str(), &deployment.last_log()["refusal"]),
        (Some(&*id), &"unknown_client".into())
    );
}
