//! The `claims` parameter and `acr_values` (OpenID Connect Core §5.5, §3.1.2.1).

use serde_json::{Value, json};

use crate::support::{Browser, Deployment, Page, Tokens, claims_of};

const ACR: &str = "urn:vedette:acr:password";

#[test]
fn a_claim_asked_for_by_name_comes_where_it_was_asked_for_and_nowhere_else() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let claims = json!({"userinfo": {"name": {"essential": true}}, "id_token": {"email": null, "nonsense": null}});
    let code = Browser::new(&deployment).code(&client.ask().with("claims", &claims.to_string()), &alice);
    let tokens = Tokens::of(client.redeem(&deployment, &code));
    let id_token = claims_of(tokens.id_token());
    assert_eq!((&id_token["email"], id_token.get("name")), (&json!("alice@example.com"), None));
    let userinfo = deployment.userinfo(&tokens.access_token).expect(200);
    assert_eq!(userinfo, json!({"sub": alice.id, "name": "Alice Adams"}));
}

#[test]
fn a_claim_outside_the_scopes_needs_consent_of_its_own() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask().with("scope", "openid email"), &alice);
    let asking =
        |claims: Value| browser.ask(&client.ask().with("scope", "openid email").with("claims", &claims.to_string()));
    assert_eq!(asking(json!({"userinfo": {"email": null}})).status, 303);
    let page = asking(json!({"userinfo": {"birthdate": null}}));
    assert!(Page::of(&page).is_consent() && page.text().contains("date of birth"), "{}", page.text());
    browser.consent(&page, "allow");
    assert_eq!(asking(json!({"userinfo": {"birthdate": null}})).status, 303);
}

#[test]
fn a_claim_that_we_do_not_have_is_left_out_essential_or_not() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    deployment.patch(&format!("/users/{}", alice.id), &json!({"website": null}));
    let claims = json!({"userinfo": {"website": {"essential": true}}});
    let code = Browser::new(&deployment).code(&client.ask().with("claims", &claims.to_string()), &alice);
    let tokens = Tokens::of(client.redeem(&deployment, &code));
    assert_eq!(deployment.userinfo(&tokens.access_token).expect(200), json!({"sub": alice.id}));
}

#[test]
fn acr_is_ours_whatever_was_wished_for() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    for acr_values in [ACR, "1 2"] {
        let code = Browser::new(&deployment).code(&client.ask().with("acr_values", acr_values), &alice);
        let tokens = Tokens::of(client.redeem(&deployment, &code));
        assert_eq!(claims_of(tokens.id_token())["acr"], ACR);
    }
}

#[test]
fn an_essential_acr_that_we_cannot_give_is_refused() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    let asking = |acr: Value| browser.ask(&client.ask().with("claims", &json!({"id_token": {"acr": acr}}).to_string()));
    let refused = asking(json!({"essential": true, "values": ["1", "2"]}));
    assert_eq!(refused.query()["error"], "unmet_authentication_requirements");
    for met in [
        json!({"essential": true, "values": ["1", ACR]}),
        json!({"essential": true, "value": ACR}),
        json!({"essential": true}),
        json!({"value": "1"}),
        json!(null),
    ] {
        assert!(asking(met.clone()).query().contains_key("code"), "{met}");
    }
}

#[test]
fn claims_that_are_no_claims_request_are_refused() {
    let deployment = Deployment::new();
    let client = deployment.client();
    for claims in ["{", "[]", "7", r#"{"userinfo":[]}"#, r#"{"id_token":{"acr":{"essential":"yes"}}}"#] {
        let answer = Browser::new(&deployment).ask(&client.ask().with("claims", claims));
        assert_eq!(answer.query()["error"], "invalid_request", "{claims}");
    }
}
