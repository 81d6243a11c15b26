use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::Breakage;

use crate::support::{Answer, Call, Deployment, ISSUER, metadata, post};

fn register(deployment: &Deployment, over: Value) -> Answer {
    deployment.send(post("/register").json(&metadata(over)))
}

/// A registered client: its id, its registration access token, and all that it was answered.
struct Registered {
    id: String,
    token: String,
    answer: Value,
}

fn registered(deployment: &Deployment, over: Value) -> Registered {
    let answer = register(deployment, over).expect(201);
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    Registered { id: text("client_id"), token: text("registration_access_token"), answer }
}

impl Registered {
    fn call(&self, method: Method) -> Call {
        Call::new(method, &format!("/register/{}", self.id)).bearer(&self.token)
    }

    /// An update with these members besides `client_id` and those of [`metadata`].
    fn update(&self, over: Value) -> Call {
        let mut members = metadata(over);
        members["client_id"] = json!(self.id);
        self.call(Method::Put).json(&members)
    }
}

#[test]
fn a_client_gets_what_it_registered_and_its_secrets_once() {
    let deployment = Deployment::new();
    let answer = register(
        &deployment,
        json!({"contacts": ["rp@rp.example"], "grant_types": ["authorization_code", "client_credentials"]}),
    );
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let client = answer.expect(201);
    assert_eq!(client["client_name"], "RP");
    assert_eq!(client["contacts"], json!(["rp@rp.example"]));
    assert_eq!(client["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(client["client_id_issued_at"], deployment.world.now().0);
    assert_eq!(client["client_secret_expires_at"], 0);
    let (id, secret) = (client["client_id"].as_str().unwrap(), client["client_secret"].as_str().unwrap());
    assert_eq!(client["registration_client_uri"], format!("{ISSUER}/register/{id}"));
    assert!(deployment.client_token(id, secret).is_some());
    assert_eq!(deployment.audited("client.registered"), 1);
}

#[test]
fn a_public_client_gets_no_secret() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({"token_endpoint_auth_method": "none"})).answer;
    assert!(client.get("client_secret").is_none() && client.get("client_secret_expires_at").is_none());
}

#[test]
fn a_body_that_is_not_metadata_in_json_is_refused() {
    let deployment = Deployment::new();
    let form = deployment.send(post("/register").form(&[("redirect_uris", "https://rp.example/cb")]));
    assert_eq!(form.error(), (415, "invalid_request"));
    for (body, error) in [
        ("", "invalid_request"),
        ("[]", "invalid_request"),
        (r#"{"redirect_uris":["https://rp.example/cb"],"redirect_uris":[]}"#, "invalid_request"),
        ("{}", "invalid_redirect_uri"),
        (r#"{"redirect_uris":["https://rp.example/cb#x"]}"#, "invalid_redirect_uri"),
        (r#"{"redirect_uris":["https://rp.example/cb"],"response_types":["token"]}"#, "invalid_client_metadata"),
    ] {
        let answer = deployment.send(post("/register").body("application/json", body));
        assert_eq!(answer.error(), (400, error), "{body}");
    }
    assert_eq!(deployment.count("clients WHERE tenant_id = ?1 AND operator = 0"), 0);
}

#[test]
fn registration_that_was_just_closed_is_closed_everywhere() {
    let deployment = Deployment::new();
    // The isolate's copy still says open.
    deployment.world.with_db(|db| db.execute("UPDATE tenants SET registration = 'closed'", []).unwrap());
    assert_eq!(register(&deployment, json!({})).error(), (403, "access_denied"));
    assert_eq!(deployment.count("clients WHERE tenant_id = ?1 AND operator = 0"), 0);
    assert_eq!(deployment.audited("client.registered"), 0);
}

#[test]
fn a_lost_answer_registers_one_client_and_says_so() {
    let deployment = Deployment::new();
    deployment.world.break_next(Breakage::SqlAnswerLost);
    let client = registered(&deployment, json!({}));
    assert_eq!(deployment.count("clients WHERE tenant_id = ?1 AND operator = 0"), 1);
    assert_eq!(deployment.audited("client.registered"), 1);
    deployment.send(client.call(Method::Get)).expect(200);
}

#[test]
fn nothing_of_trust_can_be_registered() {
    let deployment = Deployment::new();
    let trust = json!({"operator": true, "resource_server": true, "demo_redirects": true, "access_token_lifetime": 9});
    let client = registered(&deployment, trust.clone());
    deployment.send(client.update(trust)).expect(200);
    let shown = deployment.send(deployment.manage(Method::Get, &format!("/clients/{}", client.id))).expect(200);
    assert_eq!(
        [&shown["operator"], &shown["resource_server"], &shown["demo_redirects"], &shown["access_token_lifetime"]],
        [&json!(false), &json!(false), &json!(false), &Value::Null]
    );
}

#[test]
fn a_client_reads_its_registration_without_its_secret() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    let mut expected = client.answer.clone();
    expected.as_object_mut().unwrap().retain(|name, _| !name.starts_with("client_secret"));
    assert_eq!(deployment.send(client.call(Method::Get)).expect(200), expected);
}

#[test]
fn only_its_own_token_opens_a_registration() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    let other = registered(&deployment, json!({}));
    let path = format!("/register/{}", client.id);
    let calls = [
        client.call(Method::Get).bearer("x"),
        client.call(Method::Get).bearer(&other.token),
        client.call(Method::Put).bearer(&other.token).json(&metadata(json!({"client_id": client.id}))),
        client.call(Method::Delete).bearer(&other.token),
        Call::new(Method::Get, "/register/unknown").bearer(&client.token),
        // Made by set-up, so without a registration.
        Call::new(Method::Get, &format!("/register/{}", deployment.client_id)).bearer(&client.token),
    ];
    for call in calls {
        let what = format!("{:?}", call.0);
        let answer = deployment.send(call);
        assert_eq!(answer.error(), (401, "invalid_token"), "{what}");
        assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{what}");
    }
    let secret = client.answer["client_secret"].as_str().unwrap();
    for call in [Call::new(Method::Get, &path), client.call(Method::Get).basic(&client.id, secret)] {
        let without = deployment.send(call);
        let challenge = without.header("www-authenticate");
        assert_eq!((without.status, challenge), (401, "Bearer realm=\"https://id.example.com\""));
    }
    assert_eq!(deployment.send(client.call(Method::Post)).status, 405);
}

#[test]
fn an_update_replaces_everything() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({"contacts": ["rp@rp.example"]}));
    let updated = deployment.send(client.update(json!({"client_name": "New", "client_uri": null}))).expect(200);
    assert_eq!(updated["client_name"], "New");
    assert!(updated.get("contacts").is_none());
    assert_eq!(updated["registration_access_token"], client.token);
    assert_eq!(deployment.send(client.call(Method::Get)).expect(200), updated);
    let id = &client.id;
    assert_eq!(
        deployment
            .count(&format!("audit_events WHERE tenant_id = ?1 AND event = 'client.changed' AND client_id = '{id}'")),
        1
    );
}

#[test]
fn an_update_has_to_be_the_clients_own_and_leave_ours_alone() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    for (over, error) in [
        (json!({"registration_access_token": client.token}), "invalid_client_metadata"),
        (json!({"registration_client_uri": "https://id.example.com/register/x"}), "invalid_client_metadata"),
        (json!({"client_secret_expires_at": 0}), "invalid_client_metadata"),
        (json!({"client_id_issued_at": 0}), "invalid_client_metadata"),
        (json!({"client_secret": "chosen by the client"}), "invalid_client_metadata"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
    ] {
        let answer = deployment.send(client.update(over.clone()));
        assert_eq!(answer.error(), (400, error), "{over}");
    }
    for wrong in [metadata(json!({})), metadata(json!({"client_id": "other"}))] {
        assert_eq!(deployment.send(client.call(Method::Put).json(&wrong)).error(), (400, "invalid_client_metadata"));
    }
    // Nothing is said by a null (RFC 7591 §2).
    deployment.send(client.update(json!({"client_secret_expires_at": null, "client_id_issued_at": null}))).expect(200);
    let secret = client.answer["client_secret"].clone();
    deployment.send(client.update(json!({"client_secret": secret}))).expect(200);
}

#[test]
fn a_secret_comes_and_goes_with_the_kind_of_client() {
    let deployment = Deployment::new();
    let grant_types = json!(["authorization_code", "client_credentials"]);
    let client = registered(&deployment, json!({"grant_types": grant_types}));
    let first = client.answer["client_secret"].as_str().unwrap();
    assert!(deployment.client_token(&client.id, first).is_some());

    let public = deployment.send(client.update(json!({"token_endpoint_auth_method": "none"}))).expect(200);
    assert!(public.get("client_secret").is_none());
    assert!(deployment.client_token(&client.id, first).is_none());

    let confidential = deployment.send(client.update(json!({"grant_types": grant_types}))).expect(200);
    assert_eq!(confidential["client_secret_expires_at"], 0);
    assert!(deployment.client_token(&client.id, first).is_none());
    assert!(deployment.client_token(&client.id, confidential["client_secret"].as_str().unwrap()).is_some());
}

#[test]
fn a_deleted_client_is_gone_with_its_token() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    let answer = deployment.send(client.call(Method::Delete));
    assert_eq!((answer.status, answer.response.body.len()), (204, 0));
    assert_eq!(deployment.send(client.call(Method::Get)).error(), (401, "invalid_token"));
    assert_eq!(deployment.count("clients WHERE tenant_id = ?1 AND operator = 0"), 0);
    assert_eq!(deployment.audited("client.deleted"), 1);
}

#[test]
fn a_client_that_an_operator_disabled_may_not_touch_its_registration() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    let disable = deployment.manage(Method::Patch, &format!("/clients/{}", client.id)).json(&json!({"disabled": true}));
    deployment.send(disable).expect(200);
    for call in [client.call(Method::Get), client.update(json!({})), client.call(Method::Delete)] {
        assert_eq!(deployment.send(call).error(), (403, "access_denied"));
    }
    assert_eq!(deployment.send(client.call(Method::Get).bearer("x")).error(), (401, "invalid_token"));
}

#[test]
fn secrets_are_stored_as_hashes_and_logged_nowhere() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    deployment.send(client.call(Method::Get)).expect(200);
    let secrets = [client.token.as_str(), client.answer["client_secret"].as_str().unwrap()];
    let rows = "SELECT id || ifnull(secret_hash, '') || ifnull(registration_token_hash, '') || metadata FROM clients \
        UNION ALL SELECT ifnull(detail, '') || event FROM audit_events";
    let mut kept: Vec<String> = deployment
        .world
        .with_db(|db| db.prepare(rows).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect());
    kept.extend(deployment.world.log());
    assert!(kept.len() > 3);
    for secret in secrets {
        assert!(kept.iter().all(|text| !text.contains(secret)), "{kept:?}");
    }
}

#[test]
fn a_rotated_secret_takes_the_registration_access_token_with_it() {
    let deployment = Deployment::new();
    let client = registered(&deployment, json!({}));
    let rotated =
        deployment.send(deployment.manage(Method::Post, &format!("/clients/{}/secret", client.id))).expect(200);
    // Whoever stole both could make himself a secret again.
    assert_eq!(deployment.send(client.call(Method::Get)).error(), (401, "invalid_token"));
    let token = rotated["registration_access_token"].as_str().unwrap();
    deployment.send(client.call(Method::Get).bearer(token)).expect(200);
}

#[test]
fn metadata_that_fills_the_database_is_refused() {
    let deployment = Deployment::new();
    let register = |over: Value| deployment.send(deployment.post("/register").json(&metadata(over)));
    let of_length = |length: usize| json!({"jwks": {"keys": ["x".repeat(length)]}});
    assert_eq!(register(of_length(9000)).error(), (400, "invalid_client_metadata"));
    register(of_length(7000)).expect(201);
    register(json!({"policy_uri": "https://rp.example/#/privacy", "client_uri": "https://rp.example/#top"}))
        .expect(201);
    assert_eq!(register(json!({"logo_uri": "https://rp.example/#logo"})).error(), (400, "invalid_client_metadata"));
}
