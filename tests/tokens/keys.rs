//! The keys behind the signatures: one set for all isolates, over restarts, and on schedule.

use serde_json::Value;
use vedette::keys::schedule::ROTATION_PERIOD;
use vedette::memory::{block_on, interleave};

use crate::support::{Answer, Deployment, header_of, verifies};
use crate::{OFFLINE, Scene};

fn jwks(deployment: &Deployment) -> Value {
    deployment.send(deployment.get("/jwks")).expect(200)
}

#[test]
fn another_isolate_and_a_restarted_one_sign_with_the_same_keys() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let set = jwks(&scene.deployment);
    scene.deployment.world.with_kv(std::collections::BTreeMap::clear);
    let restarted = scene.deployment.other_isolate();
    let again = scene.client.refresh(&restarted, tokens.refresh_token()).expect(200);
    let id_token = again["id_token"].as_str().unwrap();
    let access_token = again["access_token"].as_str().unwrap();
    assert_eq!(header_of(id_token)["kid"], header_of(tokens.id_token())["kid"]);
    assert_eq!(header_of(access_token)["kid"], header_of(&tokens.access_token)["kid"]);
    assert!(verifies(id_token, &set) && verifies(access_token, &set));
    assert_eq!(jwks(&restarted), set);
    // One that signs and one that stands by, of each of four algorithms.
    assert_eq!(scene.deployment.count("signing_keys WHERE tenant_id = ?1"), 8);
}

#[test]
fn missing_first_keys_are_made_once_however_many_need_them() {
    for seed in 0..8 {
        let deployment = Deployment::new();
        deployment.execute("DELETE FROM signing_keys; DELETE FROM maintenance");
        deployment.world.with_kv(std::collections::BTreeMap::clear);
        let isolates: Vec<Deployment> = (0..4).map(|_| deployment.other_isolate()).collect();
        let responses = interleave(isolates.iter().map(|isolate| isolate.handle(isolate.get("/jwks"))), seed);
        let sets: Vec<Value> = responses.into_iter().map(|response| Answer::from(response).expect(200)).collect();
        // What takes long to make comes behind the answers.
        assert!(sets.iter().all(|set| *set == sets[0] && set["keys"].as_array().unwrap().len() == 1), "seed {seed}");
        block_on(deployment.world.run_deferred());
        // Of RS256 and ES256 one that signs at once and a standby; the others wait until all the world can know them.
        assert_eq!(deployment.count("signing_keys WHERE tenant_id = ?1"), 6, "seed {seed}");
        assert_eq!(deployment.count("signing_keys WHERE tenant_id = ?1 AND ordinal = 1"), 4, "seed {seed}");
    }
}

#[test]
fn the_standby_takes_over_on_schedule_and_was_published_all_along() {
    let mut scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let early = jwks(&scene.deployment);
    let kids: Vec<Value> =
        [tokens.id_token(), &tokens.access_token].map(|token| header_of(token)["kid"].clone()).into();
    scene.deployment.world.advance(ROTATION_PERIOD - 60);
    scene.deployment.renew_admin_token();
    // An hour before the grant ends.
    let before = scene.client.refresh(&scene.deployment, tokens.refresh_token()).expect(200);
    assert_eq!(header_of(before["id_token"].as_str().unwrap())["kid"], kids[0]);
    scene.deployment.world.advance(60);
    let fresh = scene.client.tokens(&scene.deployment, &scene.alice, "openid");
    for (token, old) in [fresh.id_token(), &fresh.access_token].into_iter().zip(&kids) {
        assert_ne!(header_of(token)["kid"], *old);
        assert!(verifies(token, &early), "whoever fetched the keys at the very beginning knows it");
    }
    // What the old key signed can still be verified.
    assert!(verifies(tokens.id_token(), &jwks(&scene.deployment)));
}

#[test]
fn a_revoked_key_neither_signs_nor_counts() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let kid = header_of(&tokens.access_token)["kid"].as_str().unwrap().to_owned();
    let now = scene.deployment.world.now().0;
    scene.deployment.execute(&format!("UPDATE signing_keys SET revoked_at = {now} WHERE kid = '{kid}'"));
    // The standby signs only from its time on, so bring it forward as an operator would.
    scene.deployment.execute(&format!("UPDATE signing_keys SET activates_at = {now} WHERE alg = 'ES256'"));
    scene.deployment.world.advance(60);
    assert_eq!(scene.deployment.userinfo(&tokens.access_token).error(), (401, "invalid_token"));
    assert!(!jwks(&scene.deployment).to_string().contains(&kid));
    let again = scene.client.refresh(&scene.deployment, tokens.refresh_token()).expect(200);
    assert_ne!(header_of(again["access_token"].as_str().unwrap())["kid"], kid.as_str());
}
