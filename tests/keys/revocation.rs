//! Revoking a key: the standby takes over, and what the key signed is refused here at once and elsewhere within the bound.

use serde_json::json;
use vedette::http::Method;
use vedette::keys::schedule::JWKS_MAX_AGE;
use vedette::memory::{Breakage, block_on, interleave};
use vedette::tenants::COPY_BOUND;

use crate::support::{Answer, Browser, Deployment, claims_of, verifies};
use crate::{jwks, keys, kid, publishes, revoke, signed_by, token};

#[test]
fn the_standby_takes_over_at_once_and_relying_parties_know_it_already() {
    let mut deployment = Deployment::new();
    let early = jwks(&deployment);
    deployment.world.advance(500);
    let (active, standby) = (kid(&deployment, "ES256", "active"), kid(&deployment, "ES256", "standby"));
    let old_token = token(&deployment);
    let answer = revoke(&deployment, &active).expect(200);
    let now = deployment.world.now().0;
    assert_eq!((answer["kid"].as_str(), answer["revoked_at"].as_i64()), (Some(active.as_str()), Some(now)));
    assert_eq!(answer["signs_now"]["kid"], standby);
    assert_eq!(answer["signs_now"]["known_to_relying_parties"], true);
    assert_eq!(answer["stops_verifying"]["kinds"], json!(["access_token", "id_token", "userinfo"]));
    assert_eq!(answer["stops_verifying"]["signed_until"], now + COPY_BOUND);
    assert_eq!(answer["refused_by_relying_parties_after"], COPY_BOUND + JWKS_MAX_AGE);
    // The operator's own token was signed by it.
    assert_eq!(deployment.send(deployment.admin(Method::Get, "/keys")).status, 401);
    let fresh = token(&deployment);
    assert_eq!(signed_by(&fresh), standby);
    assert!(verifies(&fresh, &early));
    assert!(!publishes(&jwks(&deployment), &active) && !verifies(&old_token, &jwks(&deployment)));
    deployment.renew_admin_token();
    // A new standby was made behind the answer.
    assert_ne!(kid(&deployment, "ES256", "standby"), standby);
    assert_eq!(deployment.audited("key.revoked"), 1);
}

#[test]
fn our_endpoints_refuse_what_it_signed_at_once_in_isolates_that_do_not_know_yet() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let tokens = crate::support::Tokens::of(
        client.redeem(&deployment, &browser.code(&client.ask().with("scope", "openid email"), &alice)),
    );
    let elsewhere = deployment.other_isolate();
    elsewhere.userinfo(&tokens.access_token).expect(200);
    let with_hint = client.ask().with("prompt", "none").with("id_token_hint", tokens.id_token());
    assert!(browser.at(&elsewhere).ask(&with_hint).query().contains_key("code"));
    revoke(&deployment, &kid(&deployment, "RS256", "active")).expect(200);
    revoke(&deployment, &signed_by(&tokens.access_token)).expect(200);
    // The copy that the other isolate has is fresh, and has the keys as they were.
    for place in [&deployment, &elsewhere] {
        assert_eq!(place.userinfo(&tokens.access_token).error(), (401, "invalid_token"));
        assert!(!client.sees_active(place, &tokens.access_token));
        assert_eq!(browser.at(place).ask(&with_hint).query()["error"], "invalid_request");
        let out = format!("/end_session?id_token_hint={}", tokens.id_token());
        assert_eq!(browser.at(place).get(&out).error_page(), (400, "invalid_request"));
    }
    assert_eq!(elsewhere.send(elsewhere.admin(Method::Get, "/keys")).status, 401);
}

#[test]
fn elsewhere_it_signs_and_is_published_for_no_longer_than_a_copy_lives() {
    let deployment = Deployment::new();
    let elsewhere = deployment.other_isolate();
    let active = signed_by(&token(&elsewhere));
    revoke(&deployment, &active).expect(200);
    assert_eq!(signed_by(&token(&elsewhere)), active, "its copy is fresh");
    deployment.world.advance(COPY_BOUND);
    assert_ne!(signed_by(&token(&elsewhere)), active);
    assert!(!publishes(&jwks(&elsewhere), &active));
}

#[test]
fn a_standby_or_a_retired_key_can_be_revoked_and_what_signs_goes_on() {
    let deployment = Deployment::new();
    let (active, standby) = (kid(&deployment, "ES256", "active"), kid(&deployment, "ES256", "standby"));
    let answer = revoke(&deployment, &standby).expect(200);
    assert_eq!((&answer["stops_verifying"], &answer["signs_now"]["kid"]), (&json!(null), &json!(active)));
    assert_eq!(signed_by(&token(&deployment)), active);
    assert_ne!(kid(&deployment, "ES256", "standby"), standby, "there is another one");
    // Again it says the same and does nothing.
    assert_eq!(revoke(&deployment, &standby).expect(200)["revoked_at"], answer["revoked_at"]);
    assert_eq!(deployment.audited("key.revoked"), 1);
    assert_eq!(revoke(&deployment, "no-such-key").status, 404);
}

#[test]
fn without_a_standby_a_new_key_signs_at_once() {
    let deployment = Deployment::new();
    let (active, standby) = (kid(&deployment, "EdDSA", "active"), kid(&deployment, "EdDSA", "standby"));
    deployment.execute(&format!("UPDATE signing_keys SET revoked_at = 1 WHERE kid = '{standby}'"));
    let answer = revoke(&deployment, &active).expect(200);
    let heir = answer["signs_now"]["kid"].as_str().unwrap().to_owned();
    assert!(heir != active && heir != standby);
    assert_eq!(answer["signs_now"]["known_to_relying_parties"], false);
    assert_eq!(kid(&deployment, "EdDSA", "active"), heir);
}

#[test]
fn revoked_by_two_at_once_it_is_revoked_once_and_a_lost_answer_changes_nothing() {
    for seed in 0..4 {
        let deployment = Deployment::new();
        let active = kid(&deployment, "PS256", "active");
        let isolates = [deployment.other_isolate(), deployment.other_isolate()];
        let call =
            |isolate: &Deployment| isolate.admin(Method::Post, &format!("/keys/{active}/revoke")).json(&json!({}));
        let answers = interleave(isolates.iter().map(|isolate| isolate.handle(call(isolate))), seed);
        for answer in answers.into_iter().map(Answer::from) {
            assert_eq!(answer.expect(200)["kid"], active);
        }
        block_on(deployment.world.run_deferred());
        assert_eq!(deployment.audited("key.revoked"), 1);
        assert_eq!(
            deployment.count("signing_keys WHERE tenant_id = ?1 AND alg = 'PS256' AND revoked_at IS NOT NULL"),
            1
        );
    }
    let deployment = Deployment::new();
    let active = kid(&deployment, "PS256", "active");
    // Whoever asks is looked up, and the keys are read; then comes the batch.
    deployment.world.break_after(2, Breakage::SqlAnswerLost);
    revoke(&deployment, &active).expect(200);
    assert_eq!(deployment.audited("key.revoked"), 1);
}

#[test]
fn nobody_but_an_operator_sees_or_touches_keys() {
    let deployment = Deployment::new();
    let client = deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    let token = deployment.client_token(&client.id, client.secret.as_deref().unwrap()).unwrap();
    assert_ne!(claims_of(&token)["aud"], claims_of(&deployment.admin_token)["aud"]);
    let active = kid(&deployment, "ES256", "active");
    for (method, path) in [
        (Method::Get, "/keys".to_owned()),
        (Method::Post, "/keys/rotate".to_owned()),
        (Method::Post, format!("/keys/{active}/revoke")),
        (Method::Get, "/root-secret".to_owned()),
    ] {
        let call = |bearer: &str| deployment.admin(method, &path).bearer(bearer);
        assert_eq!(deployment.send(call(&token)).status, 401, "{path}");
    }
    assert_eq!(keys(&deployment).len(), 8);
}

#[test]
fn the_keys_of_one_tenant_are_not_those_of_another() {
    let deployment = Deployment::new();
    let other = deployment.another_tenant("https://other.example");
    let theirs = other.send(other.manage(Method::Get, "/keys")).expect(200)["keys"].clone();
    let ours = keys(&deployment);
    assert!(theirs.as_array().unwrap().iter().all(|key| ours.iter().all(|our| our["kid"] != key["kid"])));
    let kid = theirs[0]["kid"].as_str().unwrap();
    assert_eq!(revoke(&deployment, kid).status, 404, "it is not one of the operator's own tenant");
    let call = other.manage(Method::Post, &format!("/keys/{kid}/revoke")).json(&json!({}));
    assert_eq!(other.send(call).expect(200)["kid"], kid);
}

#[test]
fn an_heir_that_is_revoked_meanwhile_is_not_relied_on() {
    for seed in 0..12 {
        let deployment = Deployment::new();
        let (active, standby) = (kid(&deployment, "ES256", "active"), kid(&deployment, "ES256", "standby"));
        let isolates = [deployment.other_isolate(), deployment.other_isolate()];
        let calls = isolates.iter().zip([&active, &standby]).map(|(isolate, kid)| {
            isolate.handle(isolate.admin(Method::Post, &format!("/keys/{kid}/revoke")).json(&json!({})))
        });
        let statuses: Vec<u16> = interleave(calls, seed).iter().map(|response| response.status).collect();
        block_on(deployment.world.run_deferred());
        // Whoever came second may have asked with a token of the key that was gone.
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "seed {seed}: {statuses:?}");
        deployment.world.advance(COPY_BOUND);
        let fresh = token(&deployment);
        assert!(signed_by(&fresh) != active && verifies(&fresh, &jwks(&deployment)), "seed {seed}");
        if statuses == [200, 200] {
            assert_ne!(signed_by(&fresh), standby, "seed {seed}");
        }
    }
}
