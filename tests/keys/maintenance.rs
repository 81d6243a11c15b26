//! Maintenance: by a scheduler, by whoever has its secret, and behind the answers of ordinary requests.

use serde_json::json;
use vedette::http::Method;
use vedette::keys::schedule::ROTATION_PERIOD;
use vedette::memory::{Breakage, block_on, interleave};
use vedette::platform::SecretName;

use crate::support::{Call, Deployment, ISSUER};
use crate::{keys, token};

const SECRET: &str = "a secret of at least 16 characters";

fn maintain(deployment: &Deployment, secret: &str) -> Call {
    deployment.post("/maintenance").host("anything.example").bearer(secret)
}

#[test]
fn a_scheduled_run_appends_what_is_due_for_every_tenant_and_a_second_one_nothing() {
    let mut deployment = Deployment::new();
    let _ = deployment.another_tenant("https://other.example");
    deployment.world.advance(ROTATION_PERIOD);
    let host = deployment.other_isolate();
    assert!(block_on(vedette::maintenance::scheduled(&host.host, &host.isolate)));
    let line = deployment.last_log();
    assert_eq!(line["maintenance"], json!({"tenants": 2, "keys_made": 8, "cleaned_up": 2, "failed": 0}));
    assert!(block_on(vedette::maintenance::scheduled(&host.host, &host.isolate)));
    assert_eq!(
        deployment.last_log()["maintenance"],
        json!({"tenants": 2, "keys_made": 0, "cleaned_up": 0, "failed": 0})
    );
    deployment.renew_admin_token();
    assert_eq!(keys(&deployment).len(), 12);
}

#[test]
fn two_regions_at_once_make_one_next_key() {
    for seed in 0..6 {
        let deployment = Deployment::new();
        deployment.world.advance(ROTATION_PERIOD);
        let isolates: Vec<Deployment> = (0..3).map(|_| deployment.other_isolate()).collect();
        let runs = isolates.iter().map(|isolate| vedette::maintenance::scheduled(&isolate.host, &isolate.isolate));
        assert!(interleave(runs, seed).into_iter().all(|is_fine| is_fine));
        assert_eq!(deployment.count("signing_keys WHERE tenant_id = ?1"), 12, "seed {seed}");
    }
}

#[test]
fn the_route_wants_its_own_secret() {
    let deployment = Deployment::new();
    assert_eq!(deployment.send(maintain(&deployment, SECRET)).status, 404, "nobody configured it");
    deployment.world.set_secret(SecretName::Maintenance, "short");
    assert_eq!(deployment.send(maintain(&deployment, "short")).status, 503);
    assert!(deployment.last_log()["fault"].as_str().unwrap().contains("MAINTENANCE_SECRET"));
    deployment.world.set_secret(SecretName::Maintenance, SECRET);
    assert_eq!(deployment.send(maintain(&deployment, "another secret of that length")).status, 401);
    assert_eq!(deployment.send(maintain(&deployment, &deployment.admin_token)).status, 401);
    assert_eq!(deployment.send(deployment.post("/maintenance")).status, 401);
    assert_eq!(deployment.send(deployment.get("/maintenance")).status, 405);
    let report = deployment.send(maintain(&deployment, SECRET)).expect(200);
    assert_eq!((&report["tenants"], &report["failed"]), (&json!(1), &json!(0)));
    assert!(!deployment.world.log().join("\n").contains(SECRET));
}

#[test]
fn dead_rows_go_and_living_ones_stay() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let tokens = client.tokens(&deployment, &alice, "openid offline_access");
    let revoked = client.revoke(&deployment, &client.tokens(&deployment, &alice, "openid").access_token);
    assert_eq!(revoked.status, 200);
    let rows = |deployment: &Deployment| {
        ["sessions", "grants", "revoked_tokens", "throttles"]
            .map(|table| deployment.count(&format!("{table} WHERE tenant_id = ?1")))
    };
    let before = rows(&deployment);
    assert!(before.iter().all(|count| *count > 0), "{before:?}");
    let run = |deployment: &Deployment| {
        assert!(block_on(vedette::maintenance::scheduled(&deployment.host, &deployment.isolate)));
    };
    run(&deployment);
    assert_eq!(rows(&deployment), before);
    deployment.world.advance(15 * 24 * 3600 + 60);
    run(&deployment);
    let [sessions, grants, revoked, throttles] = rows(&deployment);
    assert_eq!((sessions, grants, revoked, throttles), (0, before[1], 0, 0));
    client.refresh(&deployment, tokens.refresh_token()).expect(200);
    deployment.world.advance(92 * 24 * 3600);
    run(&deployment);
    assert_eq!(rows(&deployment)[1], 0);
    assert_eq!(client.refresh(&deployment, tokens.refresh_token()).error(), (400, "invalid_grant"));
}

#[test]
fn one_tenants_trouble_is_not_anothers() {
    let mut deployment = Deployment::new();
    let other = deployment.another_tenant("https://other.example");
    deployment.world.advance(ROTATION_PERIOD);
    deployment.execute(&format!("UPDATE tenants SET wrapped_master = 'AAAA' WHERE id = '{}'", other.tenant_id));
    assert!(!block_on(vedette::maintenance::scheduled(&deployment.host, &deployment.isolate)));
    let line = deployment.last_log();
    assert_eq!((&line["level"], &line["maintenance"]["failed"]), (&json!("error"), &json!(1)));
    deployment.renew_admin_token();
    assert_eq!(keys(&deployment).len(), 12);
}

#[test]
fn an_ordinary_request_has_the_standby_made_behind_its_answer_and_rsa_keys_never_before_it() {
    let deployment = Deployment::new();
    deployment.world.advance(ROTATION_PERIOD);
    deployment.world.reset_counts();
    let answer = block_on(deployment.handle(deployment.get("/jwks")));
    assert_eq!((answer.status, deployment.world.counts().keys_generated), (200, 0));
    block_on(deployment.world.run_deferred());
    assert_eq!(deployment.world.counts().keys_generated, 4);
    assert_eq!(deployment.count("signing_keys WHERE tenant_id = ?1"), 12);
    // Where it fails, another request tries again, but not every one.
    deployment.world.advance(ROTATION_PERIOD);
    deployment.world.break_next(Breakage::GenerateKeyError);
    let _ = deployment.send(deployment.get("/jwks"));
    assert!(deployment.world.log().join("\n").contains("maintenance_of"));
    let made = |deployment: &Deployment| deployment.count("signing_keys WHERE tenant_id = ?1");
    let after_failure = made(&deployment);
    let _ = deployment.send(deployment.get("/jwks"));
    assert_eq!(made(&deployment), after_failure);
    deployment.world.advance(121);
    let _ = deployment.send(deployment.get("/jwks"));
    assert_eq!(made(&deployment), 16);
    let _ = token(&deployment);
    assert_eq!(deployment.send(Call::new(Method::Get, "/health").host(ISSUER)).status, 200);
}
