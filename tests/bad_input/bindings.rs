//! Bindings that fail: SQL, KV, keys, the root secret.

use serde_json::json;
use vedette::memory::Breakage;
use vedette::platform::SecretName;

use crate::support::{Call, Deployment};
use crate::{Scene, assert_unavailable};

#[test]
fn a_database_that_fails_anywhere_is_503_and_leaves_nothing_half_written() {
    let scene = Scene::new();
    for (what, call) in scene.good_requests() {
        for breakage in [Breakage::SqlError, Breakage::SqlTimeoutBefore] {
            // Each batch in turn, for good; the last time nothing is left to break.
            for pass in 0.. {
                let before = scene.rows();
                // Our own second attempt fails too.
                scene.deployment.world.break_after(pass, breakage);
                scene.deployment.world.break_after(pass, breakage);
                scene.deployment.world.reset_counts();
                let answer = vedette::memory::block_on(scene.deployment.handle(call.clone()));
                let asked = scene.deployment.world.counts().sql_batches;
                scene.deployment.world.mend();
                scene.deployment.world.forget_deferred();
                if asked <= pass {
                    assert!(answer.status < 500, "{what}");
                    break;
                }
                assert_unavailable(&answer.into(), what);
                assert_eq!(scene.rows(), before, "{what}, batch {pass}");
                let log = scene.deployment.last_log();
                assert!(log["level"] == "error" && log["fault"].as_str().unwrap().starts_with("SQL"), "{what}: {log}");
            }
            if what == "sign out" || what == "confirm signing out" {
                break; // It worked, and Alice is signed out.
            }
        }
    }
}

/// What a request came to.
struct Outcome {
    what: &'static str,
    status: u16,
    has_written: bool,
    /// The events in the audit.
    events: Vec<String>,
}

/// Sends a request and loses the answer to one of its batches; `None` when it asks for fewer.
fn outcome(index: usize, lost: Option<usize>) -> Option<Outcome> {
    let scene = Scene::new();
    let (what, call) = scene.good_requests().swap_remove(index);
    let before = scene.rows();
    scene.deployment.world.reset_counts();
    if let Some(pass) = lost {
        scene.deployment.world.break_after(pass, Breakage::SqlAnswerLost);
    }
    let status = scene.deployment.send(call).status;
    if lost.is_some_and(|pass| scene.deployment.world.counts().sql_batches <= pass) {
        return None;
    }
    let mut events = scene.deployment.world.with_db(|db| {
        let mut events = db.prepare("SELECT event FROM audit_events").unwrap();
        events.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap()
    });
    events.sort_unstable();
    Some(Outcome { what, status, has_written: scene.rows() != before, events })
}

#[test]
fn an_answer_that_is_lost_after_a_write_is_made_good_by_our_own_retry() {
    for index in 0..Scene::new().good_requests().len() {
        let undisturbed = outcome(index, None).unwrap();
        for pass in 0.. {
            let Some(Outcome { what, status, has_written, events }) = outcome(index, Some(pass)) else { break };
            if status == undisturbed.status {
                assert_eq!(events, undisturbed.events, "{what}, batch {pass}");
            } else {
                // Reads, and the counting of attempts, are not repeated: whoever asked tries again.
                assert!(status == 503 && !has_written, "{what}, batch {pass}: {status}");
            }
        }
    }
}

#[test]
fn a_kv_that_fails_does_not_matter() {
    for breakage in [Breakage::KvGetError, Breakage::KvPutError] {
        let scene = Scene::new();
        scene.deployment.world.break_always(breakage);
        for (what, call) in scene.good_requests() {
            if what == "sign out" {
                break;
            }
            let answer = scene.deployment.other_isolate().send(call);
            assert!(answer.status < 500, "{what}: {}", answer.text());
        }
        let health = scene.deployment.send(scene.deployment.get("/health"));
        let expected = if breakage == Breakage::KvGetError { (503, "failing") } else { (200, "ok") };
        assert_eq!((health.status, health.body["kv"].as_str().unwrap()), expected);
    }
}

#[test]
fn a_key_that_cannot_sign_is_503() {
    let scene = Scene::new();
    scene.deployment.world.break_always(Breakage::SignError);
    for (what, call) in scene.good_requests() {
        if ["code", "refresh", "client credentials"].contains(&what) {
            assert_unavailable(&scene.deployment.send(call), what);
            assert_eq!(scene.deployment.last_log()["fault"], "cryptography failed: broken by the test", "{what}");
        }
    }
}

#[test]
fn a_host_that_cannot_verify_says_nothing_about_the_token() {
    let scene = Scene::new();
    scene.deployment.world.break_always(Breakage::VerifyError);
    let mut failing = Vec::new();
    for (what, call) in scene.good_requests() {
        let answer = scene.deployment.send(call);
        if answer.status == 503 {
            assert_unavailable(&answer, what);
            failing.push(what);
        }
    }
    let verifying = [
        "userinfo",
        "introspect",
        "revoke an access token",
        "sign out",
        "list users",
        "create a user",
        "rotate a secret",
    ];
    assert_eq!(failing, verifying);
}

#[test]
fn a_missing_or_malformed_root_secret_is_one_clear_page_and_log_line() {
    let scene = Scene::new();
    let requests = scene.good_requests();
    for secret in [
        None,
        Some(""),
        Some("short"),
        Some("not base64url!"),
        Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        match secret {
            None => scene.deployment.world.remove_secret(SecretName::Root),
            Some(text) => scene.deployment.world.set_secret(SecretName::Root, text),
        }
        let isolate = scene.deployment.other_isolate();
        let clear = if secret.is_none() {
            "the secret ROOT_SECRET is not set"
        } else {
            "the secret ROOT_SECRET is not 32 bytes in base64url"
        };
        for (what, call) in &requests {
            drop(scene.deployment.world.take_log());
            assert_unavailable(&isolate.send(call.clone()), what);
            let log = scene.deployment.world.take_log();
            assert!(log.len() == 1 && log[0].contains(clear), "{what}: {log:?}");
        }
        let setup = isolate.send(isolate.get("/setup?ticket=x").for_a_page());
        assert_unavailable(&setup, "set-up");
        let health = isolate.send(isolate.get("/health"));
        let state = if secret.is_none() { "missing" } else { "malformed" };
        assert_eq!((health.status, health.body["root_secret"].as_str().unwrap()), (503, state));
        assert!(scene.deployment.world.take_log().concat().contains(clear));
    }
}

#[test]
fn a_root_secret_that_is_another_one_opens_nothing_and_says_so() {
    let scene = Scene::new();
    scene.deployment.world.set_secret(SecretName::Root, "Q".repeat(43));
    let isolate = scene.deployment.other_isolate();
    for (what, call) in scene.good_requests() {
        let answer = isolate.send(call);
        assert_eq!(answer.status, 503, "{what}");
        assert!(
            isolate.last_log()["fault"].as_str().unwrap().contains("does not open under this ROOT_SECRET"),
            "{what}"
        );
    }
    let health = isolate.send(isolate.get("/health"));
    assert_eq!((health.status, &health.body["root_secret"]), (503, &json!("wrong")));
}

#[test]
fn a_root_secret_that_comes_later_is_found_without_a_restart() {
    let scene = Scene::new();
    scene.deployment.world.break_next(Breakage::SecretMissing);
    let isolate = scene.deployment.other_isolate();
    assert_eq!(isolate.send(isolate.get("/jwks")).status, 503);
    assert_eq!(isolate.send(isolate.get("/jwks")).status, 200);
}

#[test]
fn a_database_without_a_schema_or_with_an_old_one_says_what_to_do() {
    let empty = Deployment::before_set_up(vedette::memory::World::new(&[]), crate::support::ISSUER);
    let scene = Scene::new();
    scene.deployment.execute("UPDATE schema_version SET version = 0");
    for deployment in [&empty, &scene.deployment.other_isolate()] {
        deployment.world.with_kv(std::collections::BTreeMap::clear);
        let answer = deployment.send(Call::new(vedette::http::Method::Get, "/jwks"));
        assert_unavailable(&answer, "an old schema");
        let fault = deployment.last_log()["fault"].as_str().unwrap().to_owned();
        assert!(fault.contains("npx wrangler d1 migrations apply"), "{fault}");
        let health = deployment.send(deployment.get("/health"));
        assert_eq!(health.status, 503);
        assert_ne!(health.body["schema"], "ok");
    }
}
