use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::Breakage;

use crate::support::{Answer, Deployment, ISSUER, get};

const ACME: &str = "https://login.acme.example/t/acme";

fn create(deployment: &Deployment, body: Value) -> Answer {
    deployment.send(deployment.admin(Method::Post, "/tenants").json(&body))
}

fn patch(deployment: &Deployment, id: &str, body: Value) -> Answer {
    deployment.send(deployment.admin(Method::Patch, &format!("/tenants/{id}")).json(&body))
}

fn discovery(deployment: &Deployment) -> Answer {
    deployment.send(get("/t/acme/.well-known/openid-configuration").host("login.acme.example:8443"))
}

#[test]
fn a_new_tenant_is_an_issuer_at_once() {
    let deployment = Deployment::new();
    assert_eq!(discovery(&deployment).status, 404);
    let made = create(&deployment, json!({"issuer": ACME, "name": "Acme"})).expect(201);
    assert_eq!((&made["registration"], &made["disabled"]), (&json!("closed"), &json!(false)));
    assert_eq!(discovery(&deployment).expect(200)["issuer"], ACME);

    let id = made["id"].as_str().unwrap();
    assert_eq!(deployment.send(deployment.admin(Method::Get, &format!("/tenants/{id}"))).expect(200), made);
    let listed = deployment.send(deployment.admin(Method::Get, "/tenants")).expect(200);
    let mut issuers: Vec<&str> =
        listed["tenants"].as_array().unwrap().iter().map(|tenant| tenant["issuer"].as_str().unwrap()).collect();
    issuers.sort_unstable();
    assert_eq!((issuers, &listed["next"]), (vec![ISSUER, ACME], &Value::Null));
    assert_eq!(
        deployment.count(&format!("audit_events WHERE ?1 <> '' AND tenant_id = '{id}' AND event = 'tenant.created'")),
        1
    );
}

#[test]
fn a_lost_answer_makes_one_tenant_and_says_so() {
    let deployment = Deployment::new();
    // The operator's standing is read first.
    deployment.world.break_after(1, Breakage::SqlAnswerLost);
    create(&deployment, json!({"issuer": ACME, "name": "Acme"})).expect(201);
    assert_eq!(deployment.count("tenants WHERE id <> ?1"), 1);
    assert_eq!(deployment.count("audit_events WHERE tenant_id <> ?1"), 1);
    discovery(&deployment).expect(200);
}

#[test]
fn an_issuer_belongs_to_one_tenant() {
    let deployment = Deployment::new();
    create(&deployment, json!({"issuer": ACME, "name": "Acme"})).expect(201);
    for taken in [ACME, ISSUER, "https://login.acme.example:444/t/acme"] {
        let answer = create(&deployment, json!({"issuer": taken, "name": "Again"}));
        assert_eq!(answer.error(), (409, "invalid_request"), "{taken}");
    }
    assert_eq!(deployment.count("tenants WHERE id <> ?1"), 1);
    assert_eq!(deployment.count("signing_keys WHERE tenant_id <> ?1"), 6);
}

#[test]
fn what_a_tenant_cannot_be_is_refused_by_name() {
    let deployment = Deployment::new();
    for (over, named) in [
        (json!({"issuer": "http://acme.example"}), "issuer"),
        (json!({"issuer": "https://acme.example/token"}), "issuer"),
        (json!({"issuer": 7}), "issuer"),
        (json!({"issuer": null}), "issuer"),
        (json!({"name": ""}), "name"),
        (json!({"name": " Acme"}), "name"),
        (json!({"name": "x".repeat(201)}), "name"),
        (json!({"registration": "perhaps"}), "registration"),
        (json!({"regsitration": "open"}), "regsitration"),
        (json!({"id": "chosen"}), "id"),
        (json!({"disabled": true}), "disabled"),
    ] {
        let mut body = json!({"issuer": ACME, "name": "Acme"});
        body.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        let answer = create(&deployment, body);
        assert_eq!(answer.error(), (400, "invalid_request"), "{over}");
        let text = answer.body["error_description"].as_str().unwrap();
        assert!(text.starts_with(&format!("The member {named} ")), "{text}");
    }
    assert_eq!(deployment.count("tenants WHERE id <> ?1"), 0);
}

#[test]
fn a_change_is_seen_at_once_and_by_other_isolates_through_kv() {
    let deployment = Deployment::new();
    let made = create(&deployment, json!({"issuer": ACME, "name": "Acme"})).expect(201);
    let id = made["id"].as_str().unwrap();
    assert!(discovery(&deployment).expect(200).get("registration_endpoint").is_none());
    let changed = patch(&deployment, id, json!({"registration": "open", "name": "Acme 2"})).expect(200);
    assert_eq!((&changed["registration"], &changed["name"]), (&json!("open"), &json!("Acme 2")));
    assert!(discovery(&deployment).expect(200).get("registration_endpoint").is_some());
    deployment.world.with_kv(|kv| {
        let copy: Value = serde_json::from_slice(&kv["tenant/login.acme.example/t/acme"]).unwrap();
        assert_eq!((&copy["tenant"]["name"], &copy["tenant"]["version"]), (&json!("Acme 2"), &json!(2)));
    });
    assert_eq!(patch(&deployment, id, json!({"issuer": ISSUER})).error(), (400, "invalid_request"));
    assert_eq!(patch(&deployment, "unknown", json!({"name": "x"})).error(), (404, "not_found"));
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    let deployment = Deployment::new();
    let name = deployment.send(deployment.manage(Method::Get, "")).expect(200)["name"].clone();
    patch(&deployment, &deployment.tenant_id, json!({"name": name})).expect(200);
    patch(&deployment, &deployment.tenant_id, json!({})).expect(200);
    assert_eq!(deployment.audited("tenant.changed"), 0);
}

#[test]
fn a_disabled_tenant_is_no_issuer_until_it_is_enabled() {
    let deployment = Deployment::new();
    let made = create(&deployment, json!({"issuer": ACME, "name": "Acme"})).expect(201);
    let id = made["id"].as_str().unwrap();
    patch(&deployment, id, json!({"disabled": true})).expect(200);
    assert_eq!(discovery(&deployment).status, 404);
    patch(&deployment, id, json!({"disabled": false})).expect(200);
    discovery(&deployment).expect(200);
}

#[test]
fn operators_do_not_lock_themselves_out() {
    let deployment = Deployment::new();
    let own = patch(&deployment, &deployment.tenant_id, json!({"disabled": true}));
    assert_eq!(own.error(), (400, "invalid_request"));
    deployment.send(deployment.admin(Method::Get, "/tenants")).expect(200);
}

#[test]
fn a_change_is_made_even_if_the_copies_cannot_follow() {
    let deployment = Deployment::new();
    // Standing, the row, the batch; then the copy.
    deployment.world.break_after(3, Breakage::SqlError);
    patch(&deployment, &deployment.tenant_id, json!({"name": "New"})).expect(200);
    assert_eq!(deployment.send(deployment.manage(Method::Get, "")).expect(200)["name"], "New");
    assert!(deployment.world.log().iter().any(|line| line.contains("copy_not_refreshed")));
}
