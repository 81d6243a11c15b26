//! Another root secret: in three steps that nobody who holds anything notices, and at once when it has leaked.

mod support;

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::{Breakage, interleave};
use vedette::platform::SecretName;
use vedette::root::Roots;
use vedette::tenants::COPY_BOUND;

use support::{Answer, Browser, Client, Deployment, Page, ROOT_SECRET, Tokens, User, header_of, verifies};

const OFFLINE: &str = "openid offline_access";
const OTHER: &str = "https://other.example";

fn old() -> String {
    URL_SAFE_NO_PAD.encode(ROOT_SECRET)
}

fn new() -> String {
    URL_SAFE_NO_PAD.encode([3; 32])
}

fn id(secret: &str) -> String {
    Roots::parse(secret).unwrap().sealing().id.clone()
}

/// An isolate that was started with this secret and keeps it, whatever others are given later.
fn isolate(deployment: &Deployment, secret: &str) -> Deployment {
    deployment.world.set_secret(SecretName::Root, secret);
    let isolate = Deployment { isolate: Rc::default(), host: deployment.world.instance(), ..deployment.clone() };
    isolate.send(isolate.get("/jwks")).expect(200);
    isolate
}

/// Somebody signed in at a client, in a deployment of two tenants.
struct Scene {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
    tokens: Tokens,
    /// Where something was asked for last.
    last: Deployment,
}

impl Scene {
    fn new() -> Self {
        let deployment = Deployment::new();
        let _ = deployment.another_tenant(OTHER);
        let (client, alice) = (deployment.client(), deployment.user("alice"));
        let browser = Browser::new(&deployment);
        let ask = client.ask().with("scope", OFFLINE);
        let tokens = Tokens::of(client.redeem(&deployment, &browser.code(&ask, &alice)));
        Self { last: deployment.clone(), deployment, client, alice, browser, tokens }
    }

    /// A code of the session that there is.
    #[track_caller]
    fn code(&self, at: &Deployment) -> String {
        let silent = self.browser.at(at).ask(&self.client.ask().with("scope", OFFLINE).with("prompt", "none"));
        silent.query().remove("code").unwrap_or_else(|| panic!("{}", silent.location()))
    }

    /// Everything that is held goes on at this isolate; the tokens are renewed on the way.
    #[track_caller]
    fn assert_goes_on(&mut self, at: &Deployment) {
        let jwks = at.send(at.get("/jwks")).expect(200);
        assert!(verifies(self.tokens.id_token(), &jwks) && verifies(&self.tokens.access_token, &jwks));
        at.userinfo(&self.tokens.access_token).expect(200);
        assert!(self.client.sees_active(at, &self.tokens.access_token));
        let before = header_of(&self.tokens.access_token)["kid"].clone();
        self.tokens = Tokens::of(self.client.refresh(at, self.tokens.refresh_token()));
        assert_eq!(header_of(&self.tokens.access_token)["kid"], before, "the same key signs");
        let last = std::mem::replace(&mut self.last, at.clone());
        let code = self.code(&last);
        self.client.redeem(at, &code).expect(200);
        let _ = self.client.tokens(at, &self.alice, "openid");
        let other = Deployment { issuer: OTHER.to_owned(), ..at.clone() };
        other.send(other.get("/jwks")).expect(200);
    }
}

fn status(deployment: &Deployment) -> Value {
    deployment.send(deployment.admin(Method::Get, "/root-secret")).expect(200)
}

fn post(deployment: &Deployment, path: &str, root_id: &str) -> Answer {
    deployment.send(deployment.admin(Method::Post, path).json(&json!({ "root_id": root_id })))
}

#[test]
fn a_new_root_comes_in_three_steps_and_nobody_who_holds_anything_notices() {
    let mut scene = Scene::new();
    let (old_id, new_id) = (id(&old()), id(&new()));
    let before = isolate(&scene.deployment, &old());
    assert_eq!(status(&before), json!({"seals_with": old_id, "accepts": [old_id], "masters": {&old_id: 2}}));

    // 1 Accept. Isolates of both kinds serve side by side, each with copies in KV that the other made.
    let accepting = isolate(&scene.deployment, &format!("{},{}", old(), new()));
    assert_eq!(status(&accepting)["accepts"], json!([old_id, new_id]));
    for at in [&before, &accepting, &before] {
        scene.deployment.world.advance(COPY_BOUND);
        scene.assert_goes_on(at);
    }
    // Nothing is wrapped anew where the old one seals.
    assert_eq!(post(&accepting, "/root-secret/rewrap", &new_id).error(), (409, "invalid_request"));
    assert_eq!(post(&accepting, "/root-secret/rewrap", &old_id).expect(200), json!({"rewrapped": 0, "unknown": 0}));

    // 2 Seal with it.
    let sealing = isolate(&scene.deployment, &format!("{},{}", new(), old()));
    let now = status(&sealing);
    assert_eq!((&now["seals_with"], &now["masters"]), (&json!(new_id), &json!({&old_id: 2, &new_id: 0})));
    for at in [&accepting, &sealing, &accepting] {
        scene.deployment.world.advance(COPY_BOUND);
        scene.assert_goes_on(at);
    }
    assert_eq!(post(&sealing, "/root-secret/rewrap", &new_id).expect(200), json!({"rewrapped": 2, "unknown": 0}));
    assert_eq!(post(&sealing, "/root-secret/rewrap", &new_id).expect(200), json!({"rewrapped": 0, "unknown": 0}));
    assert_eq!(status(&sealing)["masters"], json!({&old_id: 0, &new_id: 2}));
    assert_eq!(scene.deployment.audited("master.rewrapped"), 1);
    for at in [&accepting, &sealing, &accepting] {
        scene.deployment.world.advance(COPY_BOUND);
        scene.assert_goes_on(at);
    }

    // 3 Drop the old one.
    let dropped = isolate(&scene.deployment, &new());
    assert_eq!(status(&dropped), json!({"seals_with": new_id, "accepts": [new_id], "masters": {&new_id: 2}}));
    for at in [&sealing, &dropped, &sealing] {
        scene.deployment.world.advance(COPY_BOUND);
        scene.assert_goes_on(at);
    }
    scene.assert_goes_on(&dropped.other_isolate());
}

#[test]
fn a_step_left_out_is_named_and_putting_the_old_secret_back_heals_it() {
    let mut scene = Scene::new();
    scene.deployment.world.set_secret(SecretName::Root, new());
    scene.deployment.world.with_kv(std::collections::BTreeMap::clear);
    let wrong = scene.deployment.other_isolate();
    let health = wrong.send(wrong.get("/health"));
    assert_eq!((health.status, &health.body["root_secret"]), (503, &json!("wrong")));
    assert_eq!(wrong.send(wrong.get("/jwks")).status, 503);
    let healed = isolate(&scene.deployment, &format!("{},{}", new(), old()));
    scene.assert_goes_on(&healed);
}

#[test]
fn rewrapping_twice_at_once_or_with_lost_answers_wraps_each_master_once() {
    for seed in 0..6 {
        let mut scene = Scene::new();
        let sealing = isolate(&scene.deployment, &format!("{},{}", new(), old()));
        let isolates = [sealing.other_isolate(), sealing.other_isolate()];
        let call =
            |at: &Deployment| at.admin(Method::Post, "/root-secret/rewrap").json(&json!({"root_id": id(&new())}));
        let answers = interleave(isolates.iter().map(|at| at.handle(call(at))), seed);
        let bodies: Vec<Value> = answers.into_iter().map(|answer| Answer::from(answer).expect(200)).collect();
        scene.last = sealing;
        let sum: i64 = bodies.iter().map(|body| body["rewrapped"].as_i64().unwrap()).sum();
        assert_eq!(sum, 2, "seed {seed}");
        scene.deployment.world.advance(COPY_BOUND);
        scene.assert_goes_on(&isolate(&scene.deployment, &new()));
    }
    // The operator's standing, the tenants, nothing more; then a batch for each tenant.
    for pass in [2, 3] {
        let mut scene = Scene::new();
        let sealing = isolate(&scene.deployment, &format!("{},{}", new(), old()));
        scene.deployment.world.break_after(pass, Breakage::SqlAnswerLost);
        assert!(post(&sealing, "/root-secret/rewrap", &id(&new())).status < 600);
        scene.deployment.world.mend();
        post(&sealing, "/root-secret/rewrap", &id(&new())).expect(200);
        scene.last = sealing;
        assert_eq!(scene.deployment.audited("master.rewrapped"), 1);
        scene.deployment.world.advance(COPY_BOUND);
        scene.assert_goes_on(&isolate(&scene.deployment, &new()));
    }
}

#[test]
fn a_leaked_root_costs_everybody_a_sign_in_and_nobody_a_password_or_client_secret() {
    let scene = Scene::new();
    let code = scene.code(&scene.deployment);
    let sealing = isolate(&scene.deployment, &format!("{},{}", new(), old()));
    let set = sealing.send(sealing.get("/jwks")).expect(200);
    let page = scene.browser.at(&sealing).ask(&scene.client.ask().with("prompt", "login"));
    assert_eq!(post(&sealing, "/root-secret/replace-masters", &id(&old())).error(), (409, "invalid_request"));
    assert_eq!(
        post(&sealing, "/root-secret/replace-masters", &id(&new())).expect(200),
        json!({"replaced": 2, "unknown": 0, "failed": [], "next": null})
    );
    // The old secret is dropped at once; whoever has it opens nothing that is there.
    let mut after = isolate(&scene.deployment, &new());
    for at in [&sealing, &after] {
        assert_eq!(scene.client.redeem(at, &code).error(), (400, "invalid_grant"));
        assert_eq!(scene.client.refresh(at, scene.tokens.refresh_token()).error(), (400, "invalid_grant"));
        assert_eq!(at.userinfo(&scene.tokens.access_token).error(), (401, "invalid_token"));
        assert!(!scene.client.sees_active(at, &scene.tokens.access_token));
        assert!(!scene.client.sees_active(at, scene.tokens.refresh_token()));
        let silent = scene.browser.at(at).ask(&scene.client.ask().with("prompt", "none"));
        assert_eq!(silent.query()["error"], "login_required");
        assert_eq!(
            at.send(at.admin(Method::Get, "/tenants")).error(),
            (401, "invalid_token"),
            "nor the operator's token"
        );
        let jwks = at.send(at.get("/jwks")).expect(200);
        assert!(!verifies(scene.tokens.id_token(), &jwks));
        let kids = |set: &Value| -> Vec<String> {
            set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        assert!(kids(&jwks).iter().all(|kid| !kids(&set).contains(kid)));
    }
    // A page that was open belongs to nobody now.
    let typed = [("username", scene.alice.username.as_str()), ("password", scene.alice.password.as_str())];
    assert_eq!(scene.browser.at(&after).submit(&Page::of(&page), &typed).status, 400);
    // The password, the client's secret and the operator's still count.
    let tokens = scene.client.tokens(&after, &scene.alice, OFFLINE);
    let jwks = after.send(after.get("/jwks")).expect(200);
    assert!(verifies(tokens.id_token(), &jwks));
    scene.client.refresh(&after, tokens.refresh_token()).expect(200);
    after.renew_admin_token();
    assert_eq!(status(&after)["masters"], json!({id(&new()): 2}));
    assert_eq!(scene.deployment.audited("master.replaced"), 1);
    // A password that is set now is checked later, by another isolate.
    let carol = after.user("carol");
    let _ = scene.client.tokens(&after.other_isolate(), &carol, "openid");
    assert!(scene.deployment.count("grants WHERE tenant_id = ?1 AND revoked_at IS NULL") > 0);
}

#[test]
fn replacing_masters_again_or_after_a_lost_answer_leaves_a_deployment_that_signs() {
    for pass in 0..8 {
        let scene = Scene::new();
        let sealing = isolate(&scene.deployment, &format!("{},{}", new(), old()));
        scene.deployment.world.break_after(pass, Breakage::SqlAnswerLost);
        let first = post(&sealing, "/root-secret/replace-masters", &id(&new()));
        scene.deployment.world.mend();
        let mut after = sealing.other_isolate();
        after.renew_admin_token();
        if first.status != 200 {
            let second = post(&after, "/root-secret/replace-masters", &id(&new()));
            assert_eq!(second.status, 200, "batch {pass}: {:?} {}", first.text(), scene.deployment.last_log());
        }
        let mut dropped = isolate(&scene.deployment, &new());
        dropped.renew_admin_token();
        assert_eq!(status(&dropped)["masters"], json!({id(&new()): 2}), "batch {pass}");
        let code = scene.client.code(&dropped, &scene.alice, OFFLINE);
        let answer = scene.client.redeem(&dropped, &code);
        assert_eq!(answer.status, 200, "batch {pass}: {}", scene.deployment.last_log());
        let tokens = Tokens::of(answer);
        assert!(verifies(tokens.id_token(), &dropped.send(dropped.get("/jwks")).expect(200)), "batch {pass}");
        assert_eq!(scene.client.refresh(&dropped, scene.tokens.refresh_token()).status, 400, "batch {pass}");
    }
}

#[test]
fn masters_are_replaced_some_tenants_at_a_time_and_a_damaged_one_keeps_none_of_the_others() {
    let scene = Scene::new();
    for number in 0..7 {
        let _ = scene.deployment.another_tenant(&format!("https://more-{number}.example"));
    }
    let sealing = isolate(&scene.deployment, &format!("{},{}", new(), old()));
    let damaged: String = sealing.world.with_db(|db| {
        let one = "SELECT id FROM tenants WHERE issuer LIKE '%more-3%'";
        let id = db.query_row(one, [], |row| row.get(0)).unwrap();
        db.execute("UPDATE tenants SET wrapped_pepper = 'x' WHERE id = ?1", [&id]).unwrap();
        id
    });
    let unreadable: String = sealing.world.with_db(|db| {
        let one = "SELECT id FROM tenants WHERE issuer LIKE '%more-5%'";
        let id = db.query_row(one, [], |row| row.get(0)).unwrap();
        db.execute("UPDATE tenants SET regions = 'x' WHERE id = ?1", [&id]).unwrap();
        id
    });
    assert_eq!(status(&sealing)["masters"]["unknown"], 1);
    let (mut replaced, mut failed, mut requests, mut cursor) = (0, Vec::new(), 0, String::new());
    loop {
        let body = json!({"root_id": id(&new()), "cursor": cursor});
        let call = sealing.admin(Method::Post, "/root-secret/replace-masters").json(&body);
        let answer = sealing.send(call).expect(200);
        replaced += answer["replaced"].as_i64().unwrap();
        failed.extend(answer["failed"].as_array().unwrap().clone());
        requests += 1;
        let Some(next) = answer["next"].as_str() else { break };
        cursor = next.to_owned();
    }
    assert_eq!((replaced, requests), (7, 2));
    let mut expected = [json!(damaged), json!(unreadable)];
    expected.sort_by_key(Value::to_string);
    failed.sort_by_key(Value::to_string);
    assert_eq!(failed, expected);
    let old_masters =
        "tenants WHERE ?1 <> '' AND id NOT IN (SELECT tenant_id FROM audit_events WHERE event = 'master.replaced')";
    assert_eq!(scene.deployment.count(old_masters), 2);
    // The operator's token went with the last of them.
    assert_eq!(sealing.send(sealing.admin(Method::Get, "/root-secret")).error(), (401, "invalid_token"));
}

#[test]
fn only_an_operator_who_names_the_root_changes_anything() {
    let scene = Scene::new();
    let deployment = isolate(&scene.deployment, &old());
    for path in ["/root-secret/rewrap", "/root-secret/replace-masters"] {
        let call = || deployment.admin(Method::Post, path);
        assert_eq!(deployment.send(call().json(&json!({}))).error(), (400, "invalid_request"));
        assert_eq!(deployment.send(call().json(&json!({"root_id": 1}))).error(), (400, "invalid_request"));
        assert_eq!(deployment.send(call()).status, 415);
        assert_eq!(post(&deployment, path, &id(&new())).error(), (409, "invalid_request"));
        let persons = call().bearer(&scene.tokens.access_token).json(&json!({"root_id": id(&old())}));
        assert_eq!(deployment.send(persons).status, 401);
        assert_eq!(deployment.send(deployment.admin(Method::Get, path)).status, 405);
    }
    assert_eq!(scene.deployment.audited("master.rewrapped") + scene.deployment.audited("master.replaced"), 0);
}
