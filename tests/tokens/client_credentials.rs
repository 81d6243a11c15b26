//! Tokens for clients themselves, RFC 6749 §4.4.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Deployment, ISSUER, claims_of};

fn ask(deployment: &Deployment, client: &Client, scope: &str) -> Answer {
    let pairs = [("grant_type", "client_credentials"), ("scope", scope)];
    deployment.send(client.post(deployment, "/token", &pairs))
}

#[test]
fn a_client_gets_an_access_token_of_its_own_and_nothing_else() {
    let deployment = Deployment::new();
    let client = deployment.client_with(json!({"grant_types": ["client_credentials"], "scope": "read write"}));
    let body = ask(&deployment, &client, "read").expect(200);
    let claims = claims_of(body["access_token"].as_str().unwrap());
    assert_eq!(
        (&claims["sub"], &claims["client_id"], &claims["aud"]),
        (&json!(client.id), &json!(client.id), &json!(ISSUER))
    );
    assert_eq!((&claims["scope"], &body["scope"]), (&json!("read"), &json!("read")));
    for absent in ["auth_time", "acr", "amr", "grant_id"] {
        assert_eq!(claims.get(absent), None);
    }
    for absent in ["refresh_token", "id_token"] {
        assert_eq!(body.get(absent), None);
    }
    // It is nobody's.
    let userinfo = deployment.userinfo(body["access_token"].as_str().unwrap());
    assert_eq!(userinfo.error(), (403, "insufficient_scope"));
}

#[test]
fn a_client_gets_only_scopes_that_it_is_registered_for_and_that_need_no_person() {
    let deployment = Deployment::new();
    let registered = deployment.client_with(json!({"grant_types": ["client_credentials"], "scope": "openid read"}));
    let unlimited = deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    for (client, scope) in [
        (&registered, "write"),
        (&registered, "read write"),
        (&registered, "openid"),
        (&registered, "read offline_access"),
        (&registered, "\"read\""),
        (&unlimited, "read"),
    ] {
        assert_eq!(ask(&deployment, client, scope).error(), (400, "invalid_scope"), "{scope}");
    }
    let body = ask(&deployment, &unlimited, "").expect(200);
    assert_eq!(body.get("scope"), None);
}

#[test]
fn a_client_that_is_not_for_it_gets_nothing() {
    let deployment = Deployment::new();
    for client in [deployment.client(), deployment.public_client()] {
        assert_eq!(ask(&deployment, &client, "").error(), (400, "unauthorized_client"));
    }
    let client = deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    deployment.patch(&format!("/clients/{}", client.id), &json!({"disabled": true}));
    assert_eq!(ask(&deployment, &client, "").error(), (400, "unauthorized_client"));
}

#[test]
fn a_lifetime_can_be_a_clients_own() {
    let deployment = Deployment::new();
    let client = deployment.client_with(json!({"grant_types": ["client_credentials"], "access_token_lifetime": 60}));
    let body = ask(&deployment, &client, "").expect(200);
    let claims = claims_of(body["access_token"].as_str().unwrap());
    assert_eq!(
        (&body["expires_in"], claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()),
        (&json!(60), 60)
    );
}

#[test]
fn only_an_operator_client_gets_the_audience_of_management_whatever_is_asked() {
    let deployment = Deployment::new();
    let client = deployment.client_with(json!({"grant_types": ["client_credentials"], "scope": "admin"}));
    let audience = |token: &str| claims_of(token)["aud"].clone();
    let asked = deployment.send(client.post(
        &deployment,
        "/token",
        &[
            ("grant_type", "client_credentials"),
            ("scope", "admin"),
            ("audience", "https://id.example.com/admin/api"),
            ("resource", "https://id.example.com/admin/api"),
        ],
    ));
    assert_eq!(audience(asked.expect(200)["access_token"].as_str().unwrap()), ISSUER);
    assert_eq!(audience(&deployment.admin_token), "https://id.example.com/admin/api");
    // Nor does that audience open anything else.
    let userinfo: Value = deployment.userinfo(&deployment.admin_token).expect(401);
    assert_eq!(userinfo["error"], "invalid_token");
}
