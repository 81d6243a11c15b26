//! Back-up and restore: everything at one instant, into an empty deployment, all of it or nothing.

#[path = "../support/mod.rs"]
mod support;

mod refused;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::{Breakage, World, block_on, interleave};
use vedette::{setup, store};

use support::{Answer, Browser, Call, Client, Deployment, ISSUER, ROOT_SECRET, Tokens, User, verifies};

const OFFLINE: &str = "openid profile email offline_access";
const OTHER: &str = "https://other.example/t/acme";

fn root() -> String {
    URL_SAFE_NO_PAD.encode(ROOT_SECRET)
}

fn ticket(root: &str, issuer: &str, deployment: &Deployment) -> String {
    setup::mint_restore_ticket(root, issuer, deployment.world.now().0, [8; 16]).unwrap()
}

/// A deployment with two tenants, somebody signed in, and everything that they and their client hold.
struct Scene {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
    tokens: Tokens,
}

impl Scene {
    fn new() -> Self {
        Self::of(Deployment::new())
    }

    fn of(deployment: Deployment) -> Self {
        let client = deployment.client();
        let alice = deployment.user("alice");
        let browser = Browser::new(&deployment);
        let tokens =
            Tokens::of(client.redeem(&deployment, &browser.code(&client.ask().with("scope", OFFLINE), &alice)));
        let other = deployment.another_tenant(OTHER);
        let _ = (other.user("bob"), other.client());
        Self { deployment, client, alice, browser, tokens }
    }

    fn backup(&self) -> Vec<u8> {
        let answer = self.deployment.send(self.deployment.admin(Method::Get, "/backup"));
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(
            (answer.header("content-type"), answer.header("cache-control")),
            ("application/octet-stream", "no-store")
        );
        answer.response.body
    }

    /// An empty deployment elsewhere, a minute later, that this one's clients and operator then ask.
    fn elsewhere(&self) -> Deployment {
        let world = World::with_seed(store::MIGRATIONS, 9);
        world.set_now(self.deployment.world.now().plus(60));
        self.moved_to(world)
    }

    fn moved_to(&self, world: World) -> Deployment {
        let empty = Deployment::before_set_up(world, ISSUER);
        Deployment { world: empty.world, host: empty.host, isolate: empty.isolate, ..self.deployment.clone() }
    }
}

fn restoring(deployment: &Deployment, bundle: &[u8]) -> Call {
    restoring_with(deployment, bundle, &ticket(&root(), ISSUER, deployment))
}

fn restoring_with(deployment: &Deployment, bundle: &[u8], ticket: &str) -> Call {
    let mut call = deployment.post("/setup/restore").bearer(ticket).header("content-type", "application/octet-stream");
    call.0.body = bundle.to_vec();
    call
}

type Tables = BTreeMap<String, Vec<String>>;

/// Every row of every table.
fn tables(deployment: &Deployment) -> Tables {
    deployment.world.with_db(|db| {
        let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        let of = |name: &String| {
            let mut rows = db.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = rows.column_count();
            let row = |row: &rusqlite::Row<'_>| {
                (0..columns).map(|place| row.get::<_, rusqlite::types::Value>(place)).collect::<Result<Vec<_>, _>>()
            };
            let rows = rows.query_map([], row).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
            let mut rows: Vec<String> = rows.into_iter().map(|row| format!("{row:?}")).collect();
            rows.sort();
            rows
        };
        names.iter().map(|name| (name.clone(), of(name))).collect()
    })
}

fn events(deployment: &Deployment, event: &str) -> i64 {
    deployment.count(&format!("audit_events WHERE ?1 = ?1 AND event = '{event}'"))
}

#[test]
fn what_was_issued_before_a_backup_goes_on_after_its_restore() {
    let scene = Scene::new();
    let unredeemed = scene.browser.code(&scene.client.ask().with("scope", OFFLINE), &scene.alice);
    let bundle = scene.backup();
    let elsewhere = scene.elsewhere();
    elsewhere.world.set_now(scene.deployment.world.now().plus(30));
    let answer = elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
    assert_eq!((&answer["issuer"], &answer["tables"]["tenants"]), (&json!(ISSUER), &json!(2)));

    let jwks = elsewhere.send(elsewhere.get("/jwks")).expect(200);
    assert!(verifies(scene.tokens.id_token(), &jwks) && verifies(&scene.tokens.access_token, &jwks));
    assert_eq!(elsewhere.userinfo(&scene.tokens.access_token).expect(200)["sub"], *scene.alice.id);
    assert!(scene.client.sees_active(&elsewhere, &scene.tokens.access_token));
    let refreshed = Tokens::of(scene.client.refresh(&elsewhere, scene.tokens.refresh_token()));
    assert!(verifies(refreshed.id_token(), &jwks));
    scene.client.redeem(&elsewhere, &unredeemed).expect(200);
    // The old session, and then the password.
    let browser = scene.browser.at(&elsewhere);
    let silent = browser.ask(&scene.client.ask().with("prompt", "none"));
    assert!(silent.query().contains_key("code"), "{}", silent.location());
    let _ = scene.client.tokens(&elsewhere, &scene.alice, "openid");
    // The operator's token of before is good, and so is the other tenant.
    let tenants = elsewhere.send(elsewhere.admin(Method::Get, "/tenants")).expect(200);
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 2);
    let other = Deployment { issuer: OTHER.to_owned(), ..elsewhere };
    other.send(other.get("/.well-known/openid-configuration")).expect(200);
}

#[test]
fn every_row_comes_over_and_nothing_else_but_the_record_of_it() {
    let where_numbers_are_doubles = |seed| {
        let world = World::with_seed(store::MIGRATIONS, seed);
        world.numbers_as_real(true);
        world
    };
    for scene in [Scene::new(), Scene::of(Deployment::in_world(where_numbers_are_doubles(5), ISSUER))] {
        let bundle = scene.backup();
        let before = tables(&scene.deployment);
        for elsewhere in [scene.elsewhere(), scene.moved_to(where_numbers_are_doubles(9))] {
            elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
            let mut after = tables(&elsewhere);
            let mut expected = before.clone();
            for apart in ["throttles", "maintenance"] {
                assert!(after.remove(apart).unwrap().is_empty() && expected.remove(apart).is_some());
            }
            assert_eq!(events(&elsewhere, "deployment.restored"), 1);
            after.get_mut("audit_events").unwrap().retain(|row| !row.contains("deployment.restored"));
            let tickets = after.remove("used_tickets").unwrap();
            assert_eq!(tickets.len(), expected.remove("used_tickets").unwrap().len() + 1, "{tickets:?}");
            assert!(!tickets.iter().any(|row| row.contains("restore/")));
            assert_eq!(after, expected);
        }
    }
}

#[test]
fn the_first_two_lines_say_what_it_is_and_nothing_else_is_in_clear() {
    let scene = Scene::new();
    drop(scene.deployment.world.take_log());
    let bundle = scene.backup();
    let lines: Vec<&[u8]> = bundle.splitn(3, |byte| *byte == b'\n').collect();
    assert_eq!(lines[0], b"vedette backup 1");
    let header: Value = serde_json::from_slice(lines[1]).unwrap();
    assert_eq!((&header["schema"], &header["issuer"]), (&json!(store::SCHEMA_VERSION), &json!(ISSUER)));
    assert_eq!(header["created_at"], scene.deployment.world.now().0);
    assert_eq!(header["tables"]["users"], 3);
    let root_id = scene.deployment.send(scene.deployment.admin(Method::Get, "/root-secret")).expect(200);
    assert_eq!(header["root_id"], root_id["seals_with"]);
    let members: Vec<&String> = header.as_object().unwrap().keys().collect();
    assert_eq!(members, ["created_at", "issuer", "root_id", "schema", "tables", "vedette"]);
    let text = String::from_utf8_lossy(&bundle);
    let log = scene.deployment.world.take_log().join("\n");
    let scattered = scene.deployment.world.with_db(|db| {
        let sql = "SELECT claims FROM users UNION SELECT secret FROM credentials \
                   UNION SELECT wrapped_master FROM tenants UNION SELECT wrapped_private FROM signing_keys \
                   UNION SELECT id FROM sessions UNION SELECT id FROM grants UNION SELECT secret_hash FROM clients \
                   WHERE secret_hash IS NOT NULL UNION SELECT address FROM audit_events WHERE address IS NOT NULL";
        let mut texts = db.prepare(sql).unwrap();
        texts.query_map([], |row| row.get::<_, String>(0)).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    });
    for value in scattered.iter().map(String::as_str).chain(["alice", &*root(), &*scene.client.secret.unwrap(), OTHER])
    {
        assert!(!text.contains(value) && !log.contains(value), "{value}");
    }
    assert_eq!(events(&scene.deployment, "deployment.backed_up"), 1);
    assert!(log.contains("admin/api"), "{log}");
}

#[test]
fn only_an_operator_backs_up_and_only_by_get() {
    let scene = Scene::new();
    let persons = scene.deployment.get("/admin/api/backup").bearer(&scene.tokens.access_token);
    assert_eq!(scene.deployment.send(persons).error(), (401, "invalid_token"));
    assert_eq!(scene.deployment.send(scene.deployment.get("/admin/api/backup")).status, 401);
    let head = scene.deployment.send(scene.deployment.admin(Method::Head, "/backup"));
    assert_eq!((head.status, head.header("allow")), (405, "GET"));
    assert_eq!(events(&scene.deployment, "deployment.backed_up"), 0);
}

#[test]
fn of_restores_and_set_ups_at_once_one_wins() {
    let scene = Scene::new();
    let bundle = scene.backup();
    for seed in 0..12 {
        let empty = scene.elsewhere();
        let isolates: Vec<Deployment> = (0..4).map(|_| empty.other_isolate()).collect();
        let call = |place: usize, isolate: &Deployment| match place {
            3 => isolate.set_up(),
            place => {
                let random = [u8::try_from(place).unwrap(); 16];
                let ticket = setup::mint_restore_ticket(&root(), ISSUER, empty.world.now().0, random).unwrap();
                restoring_with(isolate, &bundle, &ticket)
            }
        };
        let calls = isolates.iter().enumerate().map(|(place, isolate)| isolate.handle(call(place, isolate)));
        let answers: Vec<Answer> = interleave(calls, seed).into_iter().map(Answer::from).collect();
        let (done, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status < 300);
        assert_eq!(done.len(), 1, "seed {seed}");
        assert!(refused.iter().all(|answer| answer.error() == (409, "invalid_request")), "seed {seed}");
        block_on(empty.world.run_deferred());
        let is_restored = done[0].status == 200;
        assert_eq!(empty.count("tenants WHERE ?1 = ?1"), if is_restored { 2 } else { 1 }, "seed {seed}");
        assert_eq!(events(&empty, "deployment.restored"), i64::from(is_restored), "seed {seed}");
        assert_eq!(empty.count("used_tickets WHERE ?1 = ?1"), if is_restored { 2 } else { 1 }, "seed {seed}");
    }
}

#[test]
fn a_lost_answer_restores_once_and_a_failure_restores_nothing() {
    let scene = Scene::new();
    let bundle = scene.backup();
    let whole = {
        let elsewhere = scene.elsewhere();
        elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
        tables(&elsewhere).into_iter().map(|(name, rows)| (name, rows.len())).collect::<Vec<_>>()
    };
    for breakage in [Breakage::SqlAnswerLost, Breakage::SqlTimeoutBefore, Breakage::SqlError] {
        let elsewhere = scene.elsewhere();
        // Whether anything is there; then the batch.
        elsewhere.world.break_after(1, breakage);
        elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
        let rows: Vec<_> = tables(&elsewhere).into_iter().map(|(name, rows)| (name, rows.len())).collect();
        assert_eq!(rows, whole, "{breakage:?}");
    }
    for pass in [0, 1] {
        let elsewhere = scene.elsewhere();
        let before = tables(&elsewhere);
        elsewhere.world.break_after(pass, Breakage::SqlError);
        elsewhere.world.break_after(pass, Breakage::SqlError);
        assert_eq!(elsewhere.send(restoring(&elsewhere, &bundle)).status, 503);
        assert_eq!(tables(&elsewhere), before);
        elsewhere.world.mend();
        elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
    }
    // The same for making one; and it is recorded once.
    for breakage in [Breakage::SqlAnswerLost, Breakage::SqlError] {
        let scene = Scene::new();
        // The operator's standing, the sizes; then the batch.
        scene.deployment.world.break_after(2, breakage);
        let bundle = scene.backup();
        assert_eq!(events(&scene.deployment, "deployment.backed_up"), 1);
        let elsewhere = scene.elsewhere();
        elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
    }
}

#[test]
fn a_backup_while_others_write_is_of_one_instant() {
    let mut instants = std::collections::BTreeSet::new();
    for seed in 0..10 {
        let scene = Scene::new();
        let backup = scene.deployment.other_isolate();
        let refreshing = async {
            let mut token = scene.tokens.refresh_token().to_owned();
            for _ in 0..6 {
                let answer =
                    Answer::from(scene.deployment.handle(scene.client.refreshing(&scene.deployment, &token)).await);
                token = answer.expect(200)["refresh_token"].as_str().unwrap().to_owned();
            }
            Vec::new()
        };
        let backing_up = async { backup.handle(backup.admin(Method::Get, "/backup")).await.body };
        let works: Vec<std::pin::Pin<Box<dyn Future<Output = Vec<u8>>>>> =
            vec![Box::pin(refreshing), Box::pin(backing_up)];
        let bundle = interleave(works, seed).pop().unwrap();
        let elsewhere = scene.elsewhere();
        elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
        let generation = elsewhere
            .world
            .with_db(|db| db.query_row("SELECT generation FROM grants", [], |row| row.get::<_, i64>(0)).unwrap());
        // The audit event and the generation are of one batch.
        assert_eq!(events(&elsewhere, "grant.refreshed"), generation, "seed {seed}");
        instants.insert(generation);
    }
    assert!(instants.len() > 2, "{instants:?}");
}

#[test]
fn rows_of_many_megabytes_come_over_and_more_than_a_bundle_holds_is_refused() {
    let scene = Scene::new();
    let fill = |bytes: usize| {
        format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) \
             INSERT INTO audit_events (tenant_id, id, at, event, request_id, detail) \
             SELECT (SELECT min(id) FROM tenants), '{bytes}-' || i, i, 'test', 'ü\"', printf('%.*c', {bytes}, 'x') FROM n"
        )
    };
    scene.deployment.execute(&fill(9_000));
    let bundle = scene.backup();
    assert!(bundle.len() > 9_000_000);
    let elsewhere = scene.elsewhere();
    elsewhere.world.reset_counts();
    elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
    assert!(elsewhere.world.counts().sql_statements > 20, "in several values");
    let sum = "SELECT count(*) || ' ' || sum(length(detail)) || min(request_id) FROM audit_events WHERE event = 'test'";
    let sum = |deployment: &Deployment| {
        deployment.world.with_db(|db| db.query_row(sum, [], |row| row.get::<_, String>(0)).unwrap())
    };
    assert_eq!(sum(&elsewhere), sum(&scene.deployment));

    scene.deployment.execute(&fill(8_000));
    let answer = scene.deployment.send(scene.deployment.admin(Method::Get, "/backup"));
    assert_eq!(answer.error(), (409, "invalid_request"));
    assert!(answer.text().contains("export"), "{}", answer.text());
    assert_eq!(events(&scene.deployment, "deployment.backed_up"), 1);
}

#[test]
fn a_copy_of_before_in_kv_is_replaced_by_what_was_restored() {
    let scene = Scene::new();
    let bundle = scene.backup();
    // The old deployment goes on, and its KV is the new one's as well.
    let rotated = scene.deployment.send(scene.deployment.admin(Method::Post, "/keys/rotate")).expect(200);
    let later = rotated["keys"][0]["kid"].as_str().unwrap().to_owned();
    let stale = scene.deployment.world.with_kv(|kv| kv.clone());
    let elsewhere = scene.elsewhere();
    elsewhere.world.set_now(scene.deployment.world.now());
    elsewhere.world.with_kv(|kv| kv.clone_from(&stale));
    // An isolate that served it already forgets it.
    elsewhere.send(elsewhere.get("/jwks")).expect(200);
    elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
    for deployment in [&elsewhere, &elsewhere.other_isolate()] {
        let jwks = deployment.send(deployment.get("/jwks")).expect(200);
        assert!(!jwks.to_string().contains(&later));
    }
    // Where KV is slow to say so, nobody trusts the old copy for longer than any copy.
    elsewhere.world.with_kv(|kv| kv.clone_from(&stale));
    elsewhere.world.advance(vedette::tenants::COPY_BOUND);
    let slow = elsewhere.other_isolate();
    assert!(!slow.send(slow.get("/jwks")).expect(200).to_string().contains(&later));
}

#[test]
fn a_bookmark_that_this_database_does_not_know_costs_a_read_of_the_primary() {
    let scene = Scene::new();
    scene.deployment.world.break_next(Breakage::SqlError);
    let silent = scene.browser.ask(&scene.client.ask().with("prompt", "none"));
    assert!(silent.query().contains_key("code"), "{}", silent.location());
    scene.deployment.world.break_next(Breakage::SqlError);
    assert!(scene.browser.get("/").text().contains("alice"));
}

#[test]
fn what_happened_after_the_backup_has_not_happened_and_ends_nothing() {
    let scene = Scene::new();
    let bundle = scene.backup();
    let later = Tokens::of(scene.client.refresh(&scene.deployment, scene.tokens.refresh_token()));
    let elsewhere = scene.elsewhere();
    elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
    // A refresh token that this grant has not had yet: no theft, and the one of the backup is still good.
    assert_eq!(scene.client.refresh(&elsewhere, later.refresh_token()).error(), (400, "invalid_grant"));
    scene.client.refresh(&elsewhere, scene.tokens.refresh_token()).expect(200);
    assert_eq!(events(&elsewhere, "refresh_token.reused"), 0);
}

#[test]
fn the_audit_can_be_left_out_and_the_rest_is_restored() {
    let scene = Scene::new();
    let asked = |query: &str| scene.deployment.send(scene.deployment.admin(Method::Get, &format!("/backup{query}")));
    assert_eq!(asked("?audit=perhaps").error(), (400, "invalid_request"));
    let (all, without) = (asked("?audit=1").response.body, asked("?audit=0").response.body);
    assert!(without.len() < all.len());
    let elsewhere = scene.elsewhere();
    elsewhere.send(restoring(&elsewhere, &without)).expect(200);
    assert_eq!(elsewhere.count("audit_events WHERE event <> 'deployment.restored' AND ?1 = ?1"), 0);
    scene.client.refresh(&elsewhere, scene.tokens.refresh_token()).expect(200);
}
