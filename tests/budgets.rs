//! What each endpoint may cost (design.md §4), and that copies are trusted no longer than their bound.

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::{Breakage, Counts, block_on};
use vedette::tenants::{COPY_BOUND, kv_key};

use support::{Answer, Ask, Browser, Call, Client, Deployment, Page, Tokens, User};

const OFFLINE: &str = "openid offline_access";
const KEY: &str = "tenant/id.example.com";

struct Scene {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
    tokens: Tokens,
}

impl Scene {
    /// Alice has signed in and allowed everything.
    fn new() -> Self {
        let deployment = Deployment::new();
        let client = deployment.client();
        let alice = deployment.user("alice");
        let browser = Browser::new(&deployment);
        let code = browser.code(&client.ask().with("scope", OFFLINE), &alice);
        let tokens = Tokens::of(client.redeem(&deployment, &code));
        Self { deployment, client, alice, browser, tokens }
    }

    fn ask(&self) -> Ask {
        self.client.ask().with("scope", OFFLINE)
    }

    fn code(&self) -> String {
        self.browser.code(&self.ask(), &self.alice)
    }

    /// What answering a call costs, and with `deferred` what it puts off.
    #[track_caller]
    fn cost(&self, call: Call, status: u16) -> Cost {
        cost(&self.deployment, call, status)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    sql_reads: usize,
    sql_writes: usize,
    kv_gets: usize,
    /// What is done behind the answer.
    deferred_sql: usize,
    deferred_kv: usize,
}

const NOTHING: Cost = Cost { sql_reads: 0, sql_writes: 0, kv_gets: 0, deferred_sql: 0, deferred_kv: 0 };
const ONE_READ: Cost = Cost { sql_reads: 1, ..NOTHING };
const ONE_BATCH: Cost = Cost { sql_writes: 1, ..NOTHING };

#[track_caller]
fn cost(deployment: &Deployment, call: Call, status: u16) -> Cost {
    deployment.world.reset_counts();
    let answer = Answer::from(block_on(deployment.handle(call)));
    let now = deployment.world.counts();
    assert_eq!(answer.status, status, "{}", answer.text());
    // The log says the same.
    let log = deployment.last_log();
    assert_eq!((&log["sql"], &log["kv"]), (&json!(now.sql_batches), &json!(now.kv_gets)));
    assert_eq!(now.kv_puts, 0, "puts are for behind the answer");
    deployment.world.reset_counts();
    block_on(deployment.world.run_deferred());
    let Counts { sql_batches, kv_puts, kv_gets, .. } = deployment.world.counts();
    assert_eq!(kv_gets, 0);
    Cost {
        sql_reads: now.sql_reads,
        sql_writes: now.sql_writes(),
        kv_gets: now.kv_gets,
        deferred_sql: sql_batches,
        deferred_kv: kv_puts,
    }
}

#[test]
fn discovery_and_keys_cost_nothing_while_the_copy_is_fresh() {
    let scene = Scene::new();
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks"] {
        assert_eq!(scene.cost(scene.deployment.get(path), 200), NOTHING, "{path}");
    }
}

#[test]
fn authorizing_a_person_who_is_signed_in_is_one_read() {
    let scene = Scene::new();
    let signed_in = scene.browser.dressed(scene.deployment.get(&scene.ask().path()));
    assert_eq!(scene.cost(signed_in.clone(), 303), ONE_READ);
    let asked = scene.browser.dressed(scene.deployment.get(&scene.ask().with("scope", "openid email").path()));
    assert_eq!(scene.cost(asked, 200), ONE_READ, "the consent page");
    assert_eq!(scene.cost(scene.deployment.get(&scene.ask().path()), 200), ONE_READ, "the sign-in page");
    // At most every five minutes the session is touched behind the answer.
    scene.deployment.world.advance(300);
    scene.deployment.send(scene.deployment.get("/jwks"));
    assert_eq!(scene.cost(signed_in.clone(), 303), Cost { deferred_sql: 1, ..ONE_READ });
    assert_eq!(scene.cost(signed_in, 303), ONE_READ);
}

#[test]
fn authorizing_reads_from_a_replica() {
    let scene = Scene::new();
    scene.deployment.world.freeze_replica();
    // A replica does not know what happened since.
    scene.deployment.execute("DELETE FROM consents");
    assert_eq!(scene.browser.ask(&scene.ask()).status, 303);
    // What this browser has done itself, a replica has to know.
    let page = scene.browser.ask(&scene.ask().with("scope", "openid phone"));
    scene.browser.consent(&page, "allow");
    assert_eq!(scene.browser.ask(&scene.ask().with("scope", "openid phone")).status, 303);
}

#[test]
fn signing_in_and_consenting_are_two_batches_each() {
    let scene = Scene::new();
    let browser = Browser::new(&scene.deployment);
    let page = browser.ask(&scene.ask());
    let fields = [("username", "alice"), ("password", support::PASSWORD)];
    let sign_in = browser.dressed(browser.submission(&Page::of(&page), &fields));
    assert_eq!(scene.cost(sign_in, 303), Cost { sql_writes: 2, ..NOTHING });
    let page = scene.browser.ask(&scene.ask().with("prompt", "consent"));
    let allow = scene.browser.dressed(scene.browser.submission(&Page::of(&page), &[("answer", "allow")]));
    assert_eq!(scene.cost(allow, 303), Cost { sql_reads: 1, sql_writes: 1, ..NOTHING });
}

#[test]
fn redeeming_and_refreshing_are_one_batch_also_when_refused() {
    let scene = Scene::new();
    let (deployment, client) = (&scene.deployment, &scene.client);
    let code = scene.code();
    assert_eq!(scene.cost(client.redemption(deployment, &code), 200), ONE_BATCH);
    assert_eq!(scene.cost(client.redemption(deployment, &code), 400), ONE_BATCH, "a replay");
    assert_eq!(scene.cost(client.refreshing(deployment, scene.tokens.refresh_token()), 200), ONE_BATCH);
    assert_eq!(scene.cost(client.refreshing(deployment, scene.tokens.refresh_token()), 200), ONE_BATCH, "a retry");
    // What is refused before SQL is asked costs the read that says who the client is.
    assert_eq!(scene.cost(client.redemption(deployment, "x"), 400), ONE_READ);
    assert_eq!(scene.cost(client.refreshing(deployment, "x"), 400), ONE_READ);
}

#[test]
fn client_credentials_are_one_read() {
    let scene = Scene::new();
    let machine = scene.deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    let call = machine.post(&scene.deployment, "/token", &[("grant_type", "client_credentials")]);
    assert_eq!(scene.cost(call, 200), ONE_READ);
}

#[test]
fn userinfo_and_introspection_are_one_read_on_the_primary() {
    let scene = Scene::new();
    let token = &scene.tokens.access_token;
    scene.deployment.world.freeze_replica();
    scene.deployment.patch(&format!("/users/{}", scene.alice.id), &json!({"name": "Alice B"}));
    assert_eq!(scene.cost(scene.deployment.get("/userinfo").bearer(token), 200), ONE_READ);
    assert_eq!(scene.cost(scene.client.post(&scene.deployment, "/introspect", &[("token", token)]), 200), ONE_READ);
    scene.deployment.execute("UPDATE grants SET revoked_at = 1");
    assert_eq!(scene.cost(scene.deployment.get("/userinfo").bearer(token), 401), ONE_READ);
    assert!(!scene.client.sees_active(&scene.deployment, token));
    // A token that is not ours costs nothing.
    assert_eq!(scene.cost(scene.deployment.get("/userinfo").bearer("x"), 401), NOTHING);
}

#[test]
fn pages_and_refusals_that_need_no_tenant_cost_nothing() {
    let scene = Scene::new();
    assert_eq!(scene.cost(scene.deployment.get("/token"), 405), NOTHING);
    assert_eq!(scene.cost(scene.deployment.call(Method::Options, "/token"), 204), NOTHING);
    assert_eq!(scene.cost(scene.deployment.get("/.well-known/nothing"), 404), NOTHING);
    let large = scene.deployment.post("/token").body("application/x-www-form-urlencoded", &"x".repeat(65_537));
    assert_eq!(scene.cost(large, 413), NOTHING);
}

#[test]
fn a_new_isolate_reads_kv_once_and_sql_only_when_kv_has_nothing() {
    let scene = Scene::new();
    let jwks = || scene.deployment.get("/jwks");
    let isolate = scene.deployment.other_isolate();
    assert_eq!(cost(&isolate, jwks(), 200), Cost { kv_gets: 1, ..NOTHING });
    assert_eq!(cost(&isolate, jwks(), 200), NOTHING);
    let userinfo = scene.deployment.get("/userinfo").bearer(&scene.tokens.access_token);
    let fresh = scene.deployment.other_isolate();
    assert_eq!(cost(&fresh, userinfo.clone(), 200), Cost { kv_gets: 1, ..ONE_READ });
    assert_eq!(cost(&fresh, userinfo, 200), ONE_READ);
    scene.deployment.world.with_kv(BTreeMap::clear);
    let isolate = scene.deployment.other_isolate();
    assert_eq!(cost(&isolate, jwks(), 200), Cost { kv_gets: 1, deferred_kv: 1, ..ONE_READ });
    assert_eq!(cost(&isolate, jwks(), 200), NOTHING);
}

#[test]
fn a_copy_is_trusted_for_a_minute_and_not_a_second_longer() {
    assert_eq!(COPY_BOUND, 60);
    let scene = Scene::new();
    let document = |deployment: &Deployment| deployment.send(deployment.get("/.well-known/openid-configuration"));
    let is_open = |answer: Answer| answer.expect(200).get("registration_endpoint").is_some();
    scene.deployment.world.advance(COPY_BOUND);
    document(&scene.deployment);
    let elsewhere = scene.deployment.other_isolate();
    assert!(is_open(document(&elsewhere)));
    // Behind every copy's back.
    scene.deployment.execute("UPDATE tenants SET registration = 'closed', version = version + 1");
    scene.deployment.world.advance(COPY_BOUND - 1);
    assert!(is_open(document(&elsewhere)));
    // One that begins now reads KV's copy, which is as old.
    assert!(is_open(document(&scene.deployment.other_isolate())));
    scene.deployment.world.advance(1);
    let jwks = scene.deployment.get("/jwks");
    assert_eq!(cost(&elsewhere, jwks, 200), Cost { kv_gets: 1, deferred_kv: 1, ..ONE_READ });
    assert!(!is_open(document(&elsewhere)));
    assert!(!is_open(document(&scene.deployment.other_isolate())));
}

#[test]
fn a_copy_that_an_isolate_ahead_of_time_wrote_is_not_trusted_longer() {
    let scene = Scene::new();
    let ahead = Deployment { host: scene.deployment.world.instance_with_skew(5), ..scene.deployment.other_isolate() };
    scene.deployment.world.with_kv(BTreeMap::clear);
    ahead.send(ahead.get("/jwks")).expect(200);
    scene.deployment.world.advance(COPY_BOUND + 5);
    let isolate = scene.deployment.other_isolate();
    assert_eq!(cost(&isolate, isolate.get("/jwks"), 200), Cost { kv_gets: 1, deferred_kv: 1, ..ONE_READ });
    // From far in the future it is nobody's copy.
    scene.deployment.world.with_kv(|kv| {
        let mut copy: Value = serde_json::from_slice(&kv[KEY]).unwrap();
        copy["read_at"] = json!(copy["read_at"].as_i64().unwrap() + 86_400);
        kv.insert(KEY.to_owned(), copy.to_string().into_bytes());
    });
    let isolate = scene.deployment.other_isolate();
    assert_eq!(cost(&isolate, isolate.get("/jwks"), 200), Cost { kv_gets: 1, deferred_kv: 1, ..ONE_READ });
}

/// Everything of a sign-in and its tokens, from an isolate that begins anew at each step.
fn everything_works(scene: &Scene, what: &str) {
    let browser = Browser::new(&scene.deployment);
    let at = || browser.at(&scene.deployment.other_isolate());
    let page = at();
    let answer = page.ask(&scene.ask());
    assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    let next = page.at(&scene.deployment.other_isolate());
    let answer = next.sign_in(&answer, &scene.alice);
    assert_eq!(answer.status, 303, "{what}: {}", answer.text());
    let tokens = Tokens::of(scene.client.redeem(&scene.deployment.other_isolate(), &answer.query()["code"]));
    let jwks = scene.deployment.other_isolate();
    let jwks = jwks.send(jwks.get("/jwks")).expect(200);
    assert!(support::verifies(tokens.id_token(), &jwks) && support::verifies(&tokens.access_token, &jwks), "{what}");
    scene.deployment.other_isolate().userinfo(&tokens.access_token).expect(200);
}

#[test]
fn a_kv_that_fails_misses_or_forgets_changes_nothing_but_speed() {
    let scene = Scene::new();
    for breakage in [Breakage::KvGetError, Breakage::KvGetMissed, Breakage::KvPutError, Breakage::KvPutDropped] {
        scene.deployment.world.with_kv(BTreeMap::clear);
        scene.deployment.world.break_always(breakage);
        everything_works(&scene, &format!("{breakage:?}"));
        scene.deployment.world.mend();
    }
}

#[test]
fn a_kv_value_that_is_not_what_it_should_be_changes_nothing_but_speed() {
    let scene = Scene::new();
    let other = scene.deployment.another_tenant("https://other.example");
    other.send(other.get("/jwks")).expect(200);
    let good = scene.deployment.world.with_kv(|kv| kv[KEY].clone());
    let foreign = scene.deployment.world.with_kv(|kv| kv[&kv_key("other.example")].clone());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&good).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    };
    let values: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("noise", vec![0xff; 1000]),
        ("JSON of something else", b"{\"format\":1}".to_vec()),
        ("half of it", good[..good.len() / 2].to_vec()),
        ("another tenant's", foreign.clone()),
        ("another tenant's under this locator", {
            let mut value: Value = serde_json::from_slice(&foreign).unwrap();
            value["tenant"]["locator"] = json!("id.example.com");
            // It would open, so only its issuer tells.
            value.to_string().into_bytes()
        }),
        ("another format", changed(&|value| value["format"] = json!(2))),
        ("another master", changed(&|value| value["tenant"]["wrapped_master"] = json!("AAAA"))),
        ("another tenant's id", changed(&|value| value["tenant"]["id"] = json!(other.tenant_id))),
        ("no issuer", changed(&|value| value["tenant"]["issuer"] = json!("nonsense"))),
        ("an old copy", changed(&|value| value["read_at"] = json!(0))),
    ];
    for (what, value) in values {
        scene.deployment.world.with_kv(|kv| kv.insert(KEY.to_owned(), value));
        everything_works(&scene, what);
    }
}

#[test]
fn a_kv_that_stands_still_is_only_as_stale_as_the_bound() {
    let scene = Scene::new();
    scene.deployment.world.break_always(Breakage::KvPutDropped);
    scene.deployment.world.advance(COPY_BOUND);
    everything_works(&scene, "a frozen KV");
}

#[test]
fn unknown_hosts_and_paths_cost_one_look_each_and_endless_ones_none() {
    let scene = Scene::new();
    let unknown = Call::new(Method::Get, "/jwks").host("nobody.example");
    assert_eq!(scene.cost(unknown, 404), Cost { kv_gets: 1, ..ONE_READ });
    // No issuer is as long, and KV would refuse the key.
    let endless = Call::new(Method::Get, &format!("/{}/jwks", "x".repeat(10_000)));
    assert_eq!(scene.cost(endless, 404), NOTHING);
    let endless = Call::new(Method::Get, "/jwks").host(&"x".repeat(10_000));
    assert_eq!(scene.cost(endless, 404), NOTHING);
}
