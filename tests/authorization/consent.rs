//! What a person is asked to allow, and what is remembered of the answer.

use serde_json::json;
use vedette::memory::interleave;

use crate::support::{Browser, Client, Deployment, Page, Tokens, User, claims_of};

fn all() -> (Deployment, Client, User, Browser) {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    (deployment, client, alice, browser)
}

#[test]
fn who_declines_sends_the_client_away() {
    let (deployment, client, alice, browser) = all();
    let page = browser.sign_in(&browser.ask(&client.ask()), &alice);
    let query = browser.consent(&page, "deny").query();
    assert_eq!((query["error"].as_str(), query["state"].as_str()), ("access_denied", "af0ifjsldkj"));
    assert!(!query.contains_key("code"));
    assert_eq!((deployment.count("consents WHERE tenant_id = ?1"), deployment.audited("consent.denied")), (0, 1));
    // Nothing is remembered of it.
    assert!(Page::of(&browser.ask(&client.ask())).is_consent());
}

#[test]
fn a_consent_is_remembered_for_what_was_allowed() {
    let (deployment, client, alice, browser) = all();
    let ask = |scope: &str| browser.ask(&client.ask().with("scope", scope));
    let _ = browser.code(&client.ask().with("scope", "openid email"), &alice);
    assert_eq!(ask("openid email").status, 303);
    assert_eq!(ask("openid").status, 303);
    let page = ask("openid phone");
    assert!(Page::of(&page).is_consent());
    browser.consent(&page, "allow");
    // What was allowed before stays allowed.
    assert_eq!(ask("openid email phone").status, 303);
    assert_eq!(deployment.audited("consent.granted"), 2);
}

#[test]
fn two_devices_that_are_asked_at_once_are_both_remembered() {
    let (deployment, _, alice, browser) = all();
    let other = Browser::new(&deployment);
    for seed in 0..8 {
        let client = deployment.client();
        let allowed = [(&browser, "openid email"), (&other, "openid phone")].map(|(browser, scope)| {
            let mut page = browser.ask(&client.ask().with("scope", scope));
            if Page::of(&page).is_sign_in() {
                page = browser.sign_in(&page, &alice);
            }
            browser.dressed(browser.submission(&Page::of(&page), &[("answer", "allow")]))
        });
        let answers = interleave(allowed.map(|call| deployment.handle(call)), seed);
        assert!(answers.iter().all(|answer| answer.status == 303), "seed {seed}");
        assert_eq!(browser.ask(&client.ask().with("scope", "openid email phone")).status, 303, "seed {seed}");
    }
}

#[test]
fn a_consent_is_one_persons_and_for_one_client() {
    let (deployment, client, alice, browser) = all();
    let _ = browser.code(&client.ask(), &alice);
    assert!(Page::of(&browser.ask(&deployment.client().ask())).is_consent());
    let bob = deployment.user("bob");
    let others = Browser::new(&deployment);
    assert!(Page::of(&others.sign_in(&others.ask(&client.ask()), &bob)).is_consent());
}

#[test]
fn who_wants_another_account_can_sign_in_with_it() {
    let (deployment, client, alice, browser) = all();
    let bob = deployment.user("bob");
    let page = browser.sign_in(&browser.ask(&client.ask()), &alice);
    let page = browser.consent(&page, "switch");
    let page = browser.sign_in(&page, &bob);
    assert!(page.text().contains("bob") && !page.text().contains("alice"), "{}", page.text());
    let code = browser.consent(&page, "allow").query()["code"].clone();
    let tokens = Tokens::of(client.redeem(&deployment, &code));
    assert_eq!(claims_of(tokens.id_token())["sub"], bob.id);
    assert_eq!(deployment.count(&format!("consents WHERE tenant_id = ?1 AND user_id = '{}'", alice.id)), 0);
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let (deployment, client, alice, browser) = all();
    let page = browser.sign_in(&browser.ask(&client.ask()), &alice);
    assert_eq!(browser.consent(&page, "perhaps").error_page(), (400, "invalid_request"));
    assert_eq!(browser.submit(&Page::of(&page), &[]).error_page(), (400, "invalid_request"));
    assert_eq!(deployment.count("consents WHERE tenant_id = ?1"), 0);
}

#[test]
fn the_page_says_who_asks_for_what_and_where_it_goes() {
    let (deployment, _, alice, browser) = all();
    let client = deployment.client_with(json!({
        "client_name": "Field <Notes>",
        "logo_uri": "https://cdn.example/logo.png",
        "policy_uri": "https://rp.example/policy",
        "tos_uri": "https://rp.example/terms",
    }));
    let ask = client.ask().with("scope", "openid profile email address phone offline_access");
    let sign_in = browser.ask(&ask);
    let consent = browser.sign_in(&sign_in, &alice);
    for page in [&sign_in, &consent] {
        for text in [
            "Field &#60;Notes&#62;",
            "https://cdn.example/logo.png",
            "https://rp.example/policy",
            "https://rp.example/terms",
        ] {
            assert!(page.text().contains(text), "{text}: {}", page.text());
        }
        assert!(page.header("content-security-policy").contains("img-src 'self' https://cdn.example;"));
    }
    for text in ["alice", "rp.example", "while you are away", "email", "phone", "address"] {
        assert!(consent.text().contains(text), "{text}: {}", consent.text());
    }
}

#[test]
fn offline_access_is_for_clients_that_may_refresh() {
    let (deployment, client, alice, _) = all();
    let may_not = deployment.client_with(json!({"grant_types": ["authorization_code"]}));
    let page = {
        let browser = Browser::new(&deployment);
        browser.sign_in(&browser.ask(&may_not.ask().with("scope", "openid offline_access")), &alice)
    };
    assert!(!page.text().contains("while you are away"));
    assert_eq!(may_not.tokens(&deployment, &alice, "openid offline_access").refresh_token, None);
    assert!(client.tokens(&deployment, &alice, "openid offline_access").refresh_token.is_some());
    assert_eq!(client.tokens(&deployment, &alice, "openid").refresh_token, None);
}

#[test]
fn a_consent_given_twice_is_one_and_gives_two_codes() {
    let (deployment, client, alice, browser) = all();
    let page = browser.sign_in(&browser.ask(&client.ask()), &alice);
    let first = browser.consent(&page, "allow").query()["code"].clone();
    let second = browser.consent(&page, "allow").query()["code"].clone();
    assert_ne!(first, second);
    client.redeem(&deployment, &first).expect(200);
    client.redeem(&deployment, &second).expect(200);
    assert_eq!(deployment.count("consents WHERE tenant_id = ?1"), 1);
}

#[test]
fn a_client_disabled_while_its_consent_page_is_open_gets_nothing() {
    let (deployment, client, alice, browser) = all();
    let sign_in = browser.ask(&client.ask());
    let page = browser.sign_in(&sign_in, &alice);
    deployment.patch(&format!("/clients/{}", client.id), &json!({"disabled": true}));
    assert_eq!(browser.consent(&page, "allow").error_page(), (400, "unauthorized_client"));
    assert_eq!(browser.sign_in(&sign_in, &alice).error_page(), (400, "unauthorized_client"));
    assert_eq!(deployment.count("consents WHERE tenant_id = ?1"), 0);
}
