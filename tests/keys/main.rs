//! The life of signing keys, as operators, relying parties and our own endpoints see it.

#[path = "../support/mod.rs"]
mod support;

mod maintenance;
mod regions;
mod revocation;
mod rotation;
mod trouble;

use serde_json::{Value, json};
use vedette::http::Method;

use support::{Answer, Deployment, header_of};

/// The keys of the tenant as the management API shows them.
fn keys(deployment: &Deployment) -> Vec<Value> {
    let listed = deployment.send(deployment.admin(Method::Get, "/keys")).expect(200);
    listed["keys"].as_array().unwrap().clone()
}

/// `kid` of the one key of this algorithm and state, of the common ones.
#[track_caller]
fn kid(deployment: &Deployment, alg: &str, state: &str) -> String {
    let keys = keys(deployment);
    let mut found = keys.iter().filter(|key| key["alg"] == alg && key["state"] == state && key["region"] == "");
    let (Some(key), None) = (found.next(), found.next()) else { panic!("not one {state} {alg} key: {keys:#?}") };
    key["kid"].as_str().unwrap().to_owned()
}

fn rotate(deployment: &Deployment, what: Value) -> Answer {
    deployment.send(deployment.admin(Method::Post, "/keys/rotate").json(&what))
}

fn revoke(deployment: &Deployment, kid: &str) -> Answer {
    deployment.send(deployment.admin(Method::Post, &format!("/keys/{kid}/revoke")).json(&json!({})))
}

fn jwks(deployment: &Deployment) -> Value {
    deployment.send(deployment.get("/jwks")).expect(200)
}

fn publishes(jwks: &Value, kid: &str) -> bool {
    jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == kid)
}

fn signed_by(token: &str) -> String {
    header_of(token)["kid"].as_str().unwrap().to_owned()
}

/// The operator's access token, which is signed with ES256 here and now.
fn token(deployment: &Deployment) -> String {
    deployment.client_token(&deployment.client_id, &deployment.client_secret).expect("an access token")
}
