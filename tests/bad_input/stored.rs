//! Rows that do not decode: 503 without detail, and the log has it.

use vedette::memory::World;

use crate::support::{Deployment, ISSUER};
use crate::{Scene, assert_unavailable};

/// What is spoiled, who notices, and what the log says.
const SPOILED: [(&str, &[&str], &str); 8] = [
    (
        "UPDATE clients SET metadata = 'nonsense'",
        &["authorize", "sign-in", "allow", "code", "refresh", "introspect", "userinfo"],
        "does not decode",
    ),
    ("UPDATE clients SET metadata = '{}'", &["authorize", "code", "client credentials"], "does not decode"),
    ("UPDATE users SET claims = '['", &["code", "refresh", "userinfo", "list users"], "does not decode"),
    ("UPDATE users SET claims = '7'", &["userinfo"], "does not decode"),
    ("UPDATE tenants SET issuer = 'nonsense'", &["discovery", "authorize", "code"], "tenants.issuer"),
    (
        "UPDATE tenants SET locator = 'id.example.com', issuer = 'https://other.example'",
        &["discovery"],
        "tenants.locator",
    ),
    ("UPDATE tenants SET wrapped_master = 'AAAA'", &["jwks", "code"], "master key"),
    (
        "UPDATE signing_keys SET wrapped_private = 'AAAA' WHERE alg = 'RS256'",
        &["code"],
        "no active signing key for RS256",
    ),
];

#[test]
fn a_row_that_does_not_decode_is_the_servers_trouble_and_in_the_log() {
    for (sql, noticed_by, logged) in SPOILED {
        let scene = Scene::new();
        let requests = scene.good_requests();
        scene.deployment.execute(sql);
        scene.deployment.world.with_kv(std::collections::BTreeMap::clear);
        let isolate = scene.deployment.other_isolate();
        for (what, call) in requests.into_iter().filter(|(what, _)| noticed_by.contains(what)) {
            assert_unavailable(&isolate.send(call), &format!("{sql}: {what}"));
            let log = isolate.world.take_log().join("\n");
            assert!(log.contains(logged), "{sql}: {what}: {log}");
        }
    }
}

#[test]
fn a_password_hash_that_is_none_lets_nobody_in() {
    let scene = Scene::new();
    scene.deployment.execute("UPDATE credentials SET secret = 'nonsense'");
    let page = scene.browser.ask(&scene.client.ask().with("prompt", "login"));
    assert_eq!(scene.browser.sign_in(&page, &scene.alice).status, 422);
}

#[test]
fn a_key_that_does_not_decode_is_not_published_as_one() {
    let scene = Scene::new();
    scene.deployment.execute("UPDATE signing_keys SET public_jwk = 'nonsense' WHERE ordinal = 2");
    scene.deployment.world.with_kv(std::collections::BTreeMap::clear);
    let isolate = scene.deployment.other_isolate();
    let set = isolate.send(isolate.get("/jwks")).expect(200);
    assert_eq!(set["keys"].as_array().unwrap().len(), 4);
    isolate.userinfo(&scene.tokens.access_token).expect(200);
}

#[test]
fn bytes_that_are_no_text_and_numbers_that_are_too_large_are_noticed() {
    let scene = Scene::new();
    let requests = scene.good_requests();
    scene.deployment.execute("UPDATE clients SET access_token_lifetime = 9223372036854775807");
    for (what, call) in &requests {
        if ["code", "refresh", "client credentials"].contains(what) {
            let answer = scene.deployment.send(call.clone());
            assert!(answer.status == 200, "{what}: {}", answer.text());
        }
    }
    let world = World::new(vedette::store::MIGRATIONS);
    world.numbers_as_real(true);
    let deployment = Deployment::in_world(world, ISSUER);
    deployment.execute("UPDATE clients SET access_token_lifetime = 9223372036854775807");
    // A double cannot say which number that was.
    assert_eq!(deployment.client_token(&deployment.client_id, &deployment.client_secret), None);
    assert!(deployment.last_log()["fault"].as_str().unwrap().contains("is not an integer"));
}
