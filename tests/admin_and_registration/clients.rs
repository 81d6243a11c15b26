use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::{Breakage, interleave};

use crate::support::{Answer, Deployment, metadata};

fn create(deployment: &Deployment, over: Value) -> Answer {
    deployment.send(deployment.manage(Method::Post, "/clients").json(&metadata(over)))
}

/// A client that may use client credentials: its id and secret.
fn created(deployment: &Deployment) -> (String, String) {
    let made = create(deployment, json!({"grant_types": ["authorization_code", "client_credentials"]})).expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("client_id"), text("client_secret"))
}

fn read(deployment: &Deployment, id: &str) -> Answer {
    deployment.send(deployment.manage(Method::Get, &format!("/clients/{id}")))
}

fn patch(deployment: &Deployment, id: &str, body: Value) -> Answer {
    deployment.send(deployment.manage(Method::Patch, &format!("/clients/{id}")).json(&body))
}

fn rotate(deployment: &Deployment, id: &str) -> Answer {
    deployment.send(deployment.manage(Method::Post, &format!("/clients/{id}/secret")))
}

fn delete(deployment: &Deployment, id: &str) -> Answer {
    deployment.send(deployment.manage(Method::Delete, &format!("/clients/{id}")))
}

#[test]
fn a_client_has_what_was_said_and_shows_its_secret_once() {
    let deployment = Deployment::new();
    let ours = json!({"access_token_lifetime": 3600, "resource_server": true, "demo_redirects": true});
    let mut made = create(&deployment, ours).expect(201);
    let id = made["client_id"].as_str().unwrap().to_owned();
    assert!(made.as_object_mut().unwrap().remove("client_secret").is_some());
    let now = deployment.world.now().0;
    assert_eq!(
        made,
        json!({
            "client_id": id,
            "client_name": "RP",
            "redirect_uris": ["https://rp.example/cb"],
            "post_logout_redirect_uris": [],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
            "application_type": "web",
            "disabled": false,
            "access_token_lifetime": 3600,
            "resource_server": true,
            "demo_redirects": true,
            "operator": false,
            "created_at": now,
            "updated_at": now,
        })
    );
    assert_eq!(read(&deployment, &id).expect(200), made);
    let listed = deployment.send(deployment.manage(Method::Get, "/clients")).expect(200);
    assert!(listed["clients"].as_array().unwrap().contains(&made));
    assert_eq!(deployment.audited("client.created"), 1);
}

#[test]
fn what_a_client_cannot_be_is_refused() {
    let deployment = Deployment::new();
    for (over, error) in [
        (json!({"client_id": "chosen"}), "invalid_request"),
        (json!({"client_secret": "chosen"}), "invalid_request"),
        (json!({"operator": true}), "invalid_request"),
        (json!({"operator": false}), "invalid_request"),
        (json!({"redirect_uri": "https://rp.example/cb"}), "invalid_request"),
        (json!({"access_token_lifetime": 59}), "invalid_request"),
        (json!({"access_token_lifetime": 86_401}), "invalid_request"),
        (json!({"access_token_lifetime": "3600"}), "invalid_request"),
        (json!({"disabled": null}), "invalid_request"),
        (json!({"redirect_uris": ["http://rp.example/cb"]}), "invalid_redirect_uri"),
        (json!({"grant_types": ["password"]}), "invalid_client_metadata"),
        (json!({"dpop_bound_access_tokens": true}), "invalid_client_metadata"),
        (json!({"software_statement": "x.y.z"}), "unapproved_software_statement"),
    ] {
        assert_eq!(create(&deployment, over.clone()).error(), (400, error), "{over}");
    }
    let unknown = deployment.admin(Method::Post, "/tenants/unknown/clients").json(&metadata(json!({})));
    assert_eq!(deployment.send(unknown).error(), (404, "not_found"));
    assert_eq!(deployment.count("clients WHERE ?1 <> '' AND operator = 0"), 0);
}

#[test]
fn a_change_is_merged_and_checked_as_a_whole() {
    let deployment = Deployment::new();
    let (id, secret) = created(&deployment);
    let before = read(&deployment, &id).expect(200);
    deployment.world.advance(60);
    let after = patch(
        &deployment,
        &id,
        json!({"client_name": null, "client_uri": "https://rp.example/", "access_token_lifetime": 60}),
    )
    .expect(200);
    let mut expected = before;
    expected["client_uri"] = json!("https://rp.example/");
    expected["access_token_lifetime"] = json!(60);
    expected["updated_at"] = json!(deployment.world.now().0);
    expected.as_object_mut().unwrap().remove("client_name");
    assert_eq!((&after, read(&deployment, &id).expect(200)), (&expected, expected.clone()));
    assert!(deployment.client_token(&id, &secret).is_some());

    assert_eq!(patch(&deployment, &id, json!({"redirect_uris": null})).error(), (400, "invalid_redirect_uri"));
    assert_eq!(patch(&deployment, &id, json!({"client_naem": "x"})).error(), (400, "invalid_request"));
    assert_eq!(patch(&deployment, &id, json!({"client_secret": "x"})).error(), (400, "invalid_request"));
    assert_eq!(patch(&deployment, "unknown", json!({"client_name": "x"})).error(), (404, "not_found"));
    patch(&deployment, &id, json!({"access_token_lifetime": 60})).expect(200);
    assert_eq!(deployment.audited("client.changed"), 1);
    let default = patch(&deployment, &id, json!({"access_token_lifetime": null})).expect(200);
    assert_eq!(default["access_token_lifetime"], Value::Null);
}

#[test]
fn response_types_follow_grant_types() {
    let deployment = Deployment::new();
    let (id, _) = created(&deployment);
    let machine = patch(&deployment, &id, json!({"grant_types": ["client_credentials"]})).expect(200);
    assert_eq!(machine["response_types"], json!([]));
    let again = patch(&deployment, &id, json!({"grant_types": null})).expect(200);
    assert_eq!((&again["grant_types"], &again["response_types"]), (&json!(["authorization_code"]), &json!(["code"])));
}

#[test]
fn a_rotated_secret_stops_at_once() {
    let deployment = Deployment::new();
    let (id, first) = created(&deployment);
    // Standing, the row; then the batch, whose answer is lost.
    deployment.world.break_after(2, Breakage::SqlAnswerLost);
    let rotated = rotate(&deployment, &id).expect(200);
    let second = rotated["client_secret"].as_str().unwrap();
    assert_eq!(rotated, json!({"client_id": id, "client_secret": second}));
    assert!(deployment.client_token(&id, &first).is_none());
    assert!(deployment.client_token(&id, second).is_some());
    assert_eq!(deployment.audited("client.secret_rotated"), 1);
    assert_eq!(rotate(&deployment, "unknown").error(), (404, "not_found"));
}

#[test]
fn a_secret_comes_and_goes_with_the_kind_of_client() {
    let deployment = Deployment::new();
    let (id, first) = created(&deployment);
    // A public client cannot use client credentials.
    let public = json!({"token_endpoint_auth_method": "none"});
    assert_eq!(patch(&deployment, &id, public).error(), (400, "invalid_client_metadata"));
    let public = json!({"token_endpoint_auth_method": "none", "grant_types": ["authorization_code"]});
    assert!(patch(&deployment, &id, public).expect(200).get("client_secret").is_none());
    assert!(deployment.client_token(&id, &first).is_none());
    assert_eq!(rotate(&deployment, &id).error(), (409, "invalid_request"));

    let confidential = json!({
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "client_credentials"],
    });
    let confidential = patch(&deployment, &id, confidential).expect(200);
    let second = confidential["client_secret"].as_str().unwrap();
    assert!(deployment.client_token(&id, second).is_some());
    assert!(deployment.client_token(&id, &first).is_none());
    assert!(patch(&deployment, &id, json!({"client_name": "x"})).expect(200).get("client_secret").is_none());
}

#[test]
fn a_disabled_client_gets_nothing_until_it_is_enabled() {
    let deployment = Deployment::new();
    let (id, secret) = created(&deployment);
    assert_eq!(patch(&deployment, &id, json!({"disabled": true})).expect(200)["disabled"], true);
    assert!(deployment.client_token(&id, &secret).is_none());
    patch(&deployment, &id, json!({"disabled": false})).expect(200);
    assert!(deployment.client_token(&id, &secret).is_some());
}

#[test]
fn a_deleted_client_is_gone() {
    let deployment = Deployment::new();
    let (id, secret) = created(&deployment);
    // Standing; then the batch, whose answer is lost: the second time there is nothing to delete.
    deployment.world.break_after(1, Breakage::SqlAnswerLost);
    assert_eq!(delete(&deployment, &id).status, 204);
    assert_eq!(delete(&deployment, &id).error(), (404, "not_found"));
    assert_eq!(read(&deployment, &id).error(), (404, "not_found"));
    assert!(deployment.client_token(&id, &secret).is_none());
    assert_eq!(deployment.audited("client.deleted"), 1);
}

#[test]
fn an_operator_client_can_be_renamed_and_rotated_but_not_broken() {
    let deployment = Deployment::new();
    let id = &deployment.client_id;
    for body in [
        json!({"disabled": true}),
        json!({"grant_types": ["authorization_code"]}),
        json!({"token_endpoint_auth_method": "none"}),
        json!({"client_name": "x", "resource_server": true}),
    ] {
        assert_eq!(patch(&deployment, id, body.clone()).error(), (400, "invalid_request"), "{body}");
    }
    assert_eq!(delete(&deployment, id).error(), (409, "invalid_request"));
    let changed = patch(&deployment, id, json!({"client_name": "Ops", "access_token_lifetime": 86_400})).expect(200);
    assert_eq!((&changed["client_name"], &changed["operator"]), (&json!("Ops"), &json!(true)));
    let rotated = rotate(&deployment, id).expect(200);
    assert!(deployment.client_token(id, &deployment.client_secret).is_none());
    assert!(deployment.client_token(id, rotated["client_secret"].as_str().unwrap()).is_some());
}

#[test]
fn of_many_changes_at_the_same_time_each_is_kept_or_refused() {
    let changes = [
        json!({"client_name": "x"}),
        json!({"client_uri": "https://rp.example/"}),
        json!({"logo_uri": "https://rp.example/logo.png"}),
        json!({"policy_uri": "https://rp.example/policy"}),
        json!({"tos_uri": "https://rp.example/tos"}),
        json!({"software_id": "rp"}),
        json!({"access_token_lifetime": 60}),
        json!({"resource_server": true}),
    ];
    let mut refused = 0;
    for seed in 0..10 {
        let deployment = Deployment::new();
        let (id, _) = created(&deployment);
        let calls = changes
            .iter()
            .map(|change| deployment.handle(deployment.manage(Method::Patch, &format!("/clients/{id}")).json(change)));
        let statuses: Vec<u16> = interleave(calls, seed).iter().map(|response| response.status).collect();
        let client = read(&deployment, &id).expect(200);
        for (change, status) in changes.iter().zip(&statuses) {
            let is_there = change.as_object().unwrap().iter().all(|(name, value)| client[name] == *value);
            assert_eq!((is_there, *status), if is_there { (true, 200) } else { (false, 409) }, "seed {seed}: {change}");
        }
        let kept = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(deployment.audited("client.changed"), i64::try_from(kept).unwrap());
        refused += statuses.len() - kept;
    }
    // Otherwise this did not see what it is about.
    assert!(refused > 0);
}

#[test]
fn what_cannot_be_recorded_does_not_happen() {
    let deployment = Deployment::new();
    let (id, secret) = created(&deployment);
    deployment.execute("CREATE TRIGGER mute BEFORE INSERT ON audit_events BEGIN SELECT RAISE(IGNORE); END");
    let before = read(&deployment, &id).expect(200);
    assert_eq!(patch(&deployment, &id, json!({"client_name": "x"})).error(), (409, "invalid_request"));
    assert_eq!(rotate(&deployment, &id).error(), (409, "invalid_request"));
    assert_eq!(delete(&deployment, &id).status, 409);
    assert_eq!(read(&deployment, &id).expect(200), before);
    assert!(deployment.client_token(&id, &secret).is_some());
}
