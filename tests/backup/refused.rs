//! What is not restored: refused by name, and nothing changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use vedette::backup::{LARGEST_BUNDLE, Refused};
use vedette::http::{BODY_LIMIT, Method};
use vedette::memory::block_on;
use vedette::platform::SecretName;
use vedette::store::backup::TABLES;
use vedette::{service, store};

use crate::support::{Browser, Call, Deployment, ISSUER};
use crate::{Scene, restoring, restoring_with, root, tables, ticket};

/// The answer, after which everything is as it was.
#[track_caller]
fn refusal(deployment: &Deployment, call: Call) -> (u16, String) {
    let before = (tables(deployment), deployment.world.with_kv(|kv| kv.clone()));
    let answer = deployment.send(call);
    assert_eq!((tables(deployment), deployment.world.with_kv(|kv| kv.clone())), before);
    assert!(answer.body["error"].is_string() && answer.body["error_description"].is_string(), "{}", answer.text());
    (answer.status, deployment.last_log()["refusal"].as_str().unwrap_or_default().to_owned())
}

fn wipe(deployment: &Deployment) {
    let names: Vec<&str> = TABLES.iter().rev().map(|table| table.name).collect();
    for name in names {
        deployment.execute(&format!("DELETE FROM {name}"));
    }
}

#[test]
fn what_cannot_be_restored_is_refused_by_name_and_changes_nothing() {
    let scene = Scene::new();
    let bundle = scene.backup();
    let refused = |refused: Refused| {
        let (status, reason) = refused.reason();
        (status, reason.to_owned())
    };
    // Over data: its own, and another deployment's.
    assert_eq!(refusal(&scene.deployment, restoring(&scene.deployment, &bundle)), refused(Refused::OverData));
    let another = Deployment::new();
    assert_eq!(refusal(&another, restoring(&another, &bundle)), refused(Refused::OverData));

    let elsewhere = scene.elsewhere();
    let body_at = bundle.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
    for place in [body_at, body_at + 24, (body_at + bundle.len()) / 2, bundle.len() - 1] {
        let mut damaged = bundle.clone();
        damaged[place] ^= 1;
        assert_eq!(refusal(&elsewhere, restoring(&elsewhere, &damaged)), refused(Refused::Damaged), "{place}");
    }
    for length in [body_at, body_at + 30, bundle.len() / 2, bundle.len() - 1] {
        let truncated = &bundle[..length];
        assert_eq!(refusal(&elsewhere, restoring(&elsewhere, truncated)), refused(Refused::Damaged), "{length}");
    }
    let changed = |from: &str, to: &str| {
        let start = String::from_utf8(bundle[..body_at].to_vec()).unwrap();
        assert!(start.contains(from), "{start}");
        [start.replacen(from, to, 1).as_bytes(), &bundle[body_at..]].concat()
    };
    let (version, schema) = (store::SCHEMA_VERSION, |version: i64| format!("\"schema\":{version},"));
    let newer = Refused::NewerSchema { found: version + 1, needed: version };
    let older = Refused::OlderSchema { found: version - 1, needed: version };
    for (body, why) in [
        (Vec::new(), Refused::NotABundle),
        (b"SQLite format 3\0\n".to_vec(), Refused::NotABundle),
        (vec![b'x'; 100_000], Refused::NotABundle),
        (changed("vedette backup 1", "vedette backup 2"), Refused::OtherFormat),
        (changed("vedette backup 1", "vedette backup 11"), Refused::OtherFormat),
        (changed(&schema(version), &schema(version + 1)), newer),
        (changed(&schema(version), &schema(version - 1)), older),
        (changed("\"users\":3", "\"users\":4"), Refused::Damaged),
        (changed(ISSUER, "https://evil.example"), Refused::Damaged),
        (vec![b'x'; LARGEST_BUNDLE + 1], Refused::TooLarge),
    ] {
        assert_eq!(refusal(&elsewhere, restoring(&elsewhere, &body)), refused(why.clone()), "{why:?}");
    }
    let for_another = ticket(&root(), "https://nobody.example", &elsewhere);
    assert_eq!(refusal(&elsewhere, restoring_with(&elsewhere, &bundle, &for_another)), refused(Refused::OtherIssuer));
    // It was the same deployment all along.
    elsewhere.send(restoring(&elsewhere, &bundle)).expect(200);
}

#[test]
fn a_root_secret_that_does_not_open_the_bundle_is_said() {
    let scene = Scene::new();
    let bundle = scene.backup();
    let (old, new) = (root(), URL_SAFE_NO_PAD.encode([3; 32]));
    let with_root = |secret: &str, minted_by: &str| {
        let elsewhere = scene.elsewhere();
        elsewhere.world.set_secret(SecretName::Root, secret);
        let call = restoring_with(&elsewhere, &bundle, &ticket(minted_by, ISSUER, &elsewhere));
        (elsewhere, call)
    };
    let (elsewhere, call) = with_root(&new, &new);
    assert_eq!(refusal(&elsewhere, call), (400, "bundle_of_another_root".to_owned()));
    let (elsewhere, call) = with_root(&format!("{new},{old}"), &new);
    elsewhere.send(call).expect(200);
    assert!(scene.client.sees_active(&elsewhere, &scene.tokens.access_token));
}

#[test]
fn a_bundle_of_the_middle_of_a_root_rotation_needs_both_secrets() {
    let scene = Scene::new();
    let (old, new) = (root(), URL_SAFE_NO_PAD.encode([3; 32]));
    scene.deployment.world.set_secret(SecretName::Root, format!("{new},{old}"));
    let bundle = Scene { deployment: scene.deployment.other_isolate(), ..scene }.backup();
    let scene = Scene::new();
    let elsewhere = scene.elsewhere();
    elsewhere.world.set_secret(SecretName::Root, new.as_str());
    let call = restoring_with(&elsewhere, &bundle, &ticket(&new, ISSUER, &elsewhere));
    assert_eq!(refusal(&elsewhere, call.clone()), (400, "bundle_with_a_master_of_another_root".to_owned()));
    elsewhere.world.set_secret(SecretName::Root, format!("{new},{old}"));
    elsewhere.other_isolate().send(call).expect(200);
}

#[test]
fn only_a_restores_own_ticket_counts_once_and_for_an_hour() {
    let scene = Scene::new();
    let bundle = scene.backup();
    let elsewhere = scene.elsewhere();
    let good = ticket(&root(), ISSUER, &elsewhere);
    let foreign = ticket(&URL_SAFE_NO_PAD.encode([3; 32]), ISSUER, &elsewhere);
    for wrong in ["x", &good[1..], &foreign, &elsewhere.ticket(), &scene.deployment.admin_token] {
        let call = restoring_with(&elsewhere, &bundle, wrong);
        assert_eq!(refusal(&elsewhere, call), (403, "restore_ticket_invalid".to_owned()), "{wrong}");
    }
    let mut without = restoring(&elsewhere, &bundle);
    without.0.headers.retain(|(name, _)| name != "authorization");
    let answer = elsewhere.send(without);
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"vedette\""));
    let page = Browser::new(&elsewhere).get(&format!("/setup?ticket={good}"));
    assert_eq!(page.error_page(), (403, "access_denied"), "nor does it set up");
    elsewhere.world.advance(3600);
    let late = restoring_with(&elsewhere, &bundle, &good);
    assert_eq!(refusal(&elsewhere, late), (403, "restore_ticket_expired".to_owned()));

    let good = ticket(&root(), ISSUER, &elsewhere);
    elsewhere.send(restoring_with(&elsewhere, &bundle, &good)).expect(200);
    assert!(!elsewhere.world.log().join("\n").contains(&good));
    // Not even when somebody empties the deployment again.
    elsewhere.execute("CREATE TEMP TABLE kept AS SELECT * FROM used_tickets");
    wipe(&elsewhere);
    elsewhere.execute("INSERT INTO used_tickets SELECT * FROM kept");
    let again = restoring_with(&elsewhere, &bundle, &good);
    assert_eq!(refusal(&elsewhere, again), (409, "restore_over_data".to_owned()));
}

#[test]
fn nobody_without_a_ticket_has_a_host_read_a_large_body() {
    let scene = Scene::new();
    let elsewhere = scene.elsewhere();
    let limit = |call: Call| block_on(service::body_limit(&elsewhere.host, &elsewhere.isolate, &call.0));
    let mut without = restoring(&elsewhere, b"");
    without.0.headers.retain(|(name, _)| name != "authorization");
    assert_eq!(limit(restoring(&elsewhere, b"")), LARGEST_BUNDLE);
    assert_eq!(limit(without), BODY_LIMIT);
    assert_eq!(limit(restoring_with(&elsewhere, b"", "x")), BODY_LIMIT);
    let good = ticket(&root(), ISSUER, &elsewhere);
    assert_eq!(limit(elsewhere.post("/token").bearer(&good)), BODY_LIMIT);
    // What a host hands over of a body that it did not read is refused for the ticket, not for its length.
    let call = restoring_with(&elsewhere, &vec![0; BODY_LIMIT + 1], "x");
    assert_eq!(refusal(&elsewhere, call), (403, "restore_ticket_invalid".to_owned()));
}

#[test]
fn a_database_that_is_newer_than_the_build_is_not_backed_up_without_its_columns() {
    let scene = Scene::new();
    scene.deployment.execute("UPDATE schema_version SET version = version + 1");
    let answer = scene.deployment.send(scene.deployment.admin(Method::Get, "/backup"));
    assert_eq!((answer.status, scene.deployment.last_log()["refusal"].as_str()), (409, Some("newer_database")));
    let elsewhere = scene.elsewhere();
    elsewhere.execute("UPDATE schema_version SET version = version + 1");
    assert_eq!(refusal(&elsewhere, restoring(&elsewhere, b"")), (409, "newer_database".to_owned()));
}
