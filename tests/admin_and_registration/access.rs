use serde_json::json;
use vedette::http::Method;
use vedette::memory::Breakage;
use vedette::platform::Variable;

use crate::support::{Call, Deployment, metadata};

#[test]
fn nobody_but_an_operator_client_gets_in() {
    let deployment = Deployment::new();
    let without = deployment.send(Call::new(Method::Get, "/admin/api/tenants"));
    assert_eq!((without.status, without.header("www-authenticate")), (401, "Bearer realm=\"https://id.example.com\""));
    let made = deployment
        .send(deployment.manage(Method::Post, "/clients").json(&metadata(
            json!({"grant_types": ["authorization_code", "client_credentials"], "resource_server": true}),
        )))
        .expect(201);
    let token =
        deployment.client_token(made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap()).unwrap();
    let ordinary = deployment.send(Call::new(Method::Get, "/admin/api/tenants").bearer(&token));
    assert_eq!(ordinary.error(), (401, "invalid_token"));
    // An address that does not exist says so to operators only.
    assert_eq!(deployment.send(Call::new(Method::Get, "/admin/api/nothing")).status, 401);
}

#[test]
fn a_token_stops_with_the_right() {
    let deployment = Deployment::new();
    let call = || deployment.admin(Method::Get, "/tenants");
    deployment.send(call()).expect(200);
    deployment.world.with_db(|db| db.execute("UPDATE clients SET operator = 0", []).unwrap());
    assert_eq!(deployment.send(call()).error(), (403, "insufficient_scope"));
}

#[test]
fn addresses_and_methods_that_are_not_there_are_named() {
    let deployment = Deployment::new();
    for path in ["/", "/users", "/tenants/x", "/tenants/x/users", "/tenants/x/clients/y"] {
        assert_eq!(deployment.send(deployment.admin(Method::Get, path)).error(), (404, "not_found"), "{path}");
    }
    for (method, path, allow) in [
        (Method::Delete, "", "GET, HEAD, PATCH"),
        (Method::Patch, "/users", "GET, HEAD, POST"),
        (Method::Post, "/users/x", "GET, HEAD, PATCH, DELETE"),
        (Method::Get, "/clients/x/secret", "POST"),
    ] {
        let answer = deployment.send(deployment.manage(method, path));
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{path}");
    }
}

#[test]
fn the_public_surface_has_no_management() {
    let deployment = Deployment::new();
    deployment.world.remove_variable(Variable::Surface);
    let public = deployment.other_isolate();
    assert_eq!(public.send(public.admin(Method::Get, "/tenants")).status, 404);
}

#[test]
fn a_broken_database_is_answered_503_and_changes_nothing() {
    let deployment = Deployment::new();
    deployment.world.break_always(Breakage::SqlError);
    let create = deployment.manage(Method::Post, "/users").json(&json!({"username": "alice"}));
    assert_eq!(deployment.send(create).error(), (503, "temporarily_unavailable"));
    deployment.world.mend();
    assert_eq!(deployment.count("users WHERE tenant_id = ?1"), 1);
}

#[test]
fn changes_are_recognised_where_every_number_is_a_double() {
    let deployment = Deployment::new();
    deployment.world.numbers_as_real(true);
    let alice = deployment.manage(Method::Post, "/users").json(&json!({"username": "alice"}));
    let alice = deployment.send(alice).expect(201);
    deployment.patch(&format!("/users/{}", alice["id"].as_str().unwrap()), &json!({"name": "Alice"}));
    deployment.patch(&format!("/clients/{}", deployment.client_id), &json!({"access_token_lifetime": 60}));
    deployment.patch("", &json!({"name": "New"}));
    for event in ["user.created", "user.changed", "client.changed", "tenant.changed"] {
        assert_eq!(deployment.audited(event), 1, "{event}");
    }
}
