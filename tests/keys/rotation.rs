//! Rotation appends: however often, late, and by however many.

use serde_json::{Value, json};
use vedette::http::Method;
use vedette::keys::schedule::{PUBLICATION_LEAD, RETIREMENT, ROTATION_PERIOD};
use vedette::memory::{block_on, interleave};

use crate::support::{Answer, Deployment, verifies};
use crate::{jwks, keys, kid, publishes, rotate, signed_by, token};

#[test]
fn a_tenant_begins_with_an_active_key_and_a_standby_of_each_algorithm() {
    let deployment = Deployment::new();
    let mut shown: Vec<(String, String)> = keys(&deployment)
        .iter()
        .map(|key| (key["alg"].as_str().unwrap().to_owned(), key["state"].as_str().unwrap().to_owned()))
        .collect();
    shown.sort();
    let of = |alg: &str| [(alg.to_owned(), "active".to_owned()), (alg.to_owned(), "standby".to_owned())];
    assert_eq!(shown, [of("ES256"), of("EdDSA"), of("PS256"), of("RS256")].concat());
    assert_eq!(deployment.audited("key.published"), 2, "the RSA standbys were made behind an answer");
}

#[test]
fn a_rotation_on_demand_takes_over_when_everybody_can_know_it() {
    let mut deployment = Deployment::new();
    let (before, standby) = (kid(&deployment, "ES256", "active"), kid(&deployment, "ES256", "standby"));
    let early = jwks(&deployment);
    let next = rotate(&deployment, json!({"alg": "ES256"})).expect(200)["keys"].as_array().unwrap().clone();
    let [next] = next.as_slice() else { panic!("{next:?}") };
    let (kid, now) = (next["kid"].as_str().unwrap(), deployment.world.now().0);
    assert_eq!(
        (next["state"].as_str(), next["activates_at"].as_i64()),
        (Some("standby"), Some(now + PUBLICATION_LEAD))
    );
    assert!(publishes(&jwks(&deployment), kid) && !publishes(&early, kid));
    deployment.world.advance(PUBLICATION_LEAD - 1);
    assert_eq!(signed_by(&token(&deployment)), before);
    deployment.world.advance(1);
    assert_eq!(signed_by(&token(&deployment)), kid);
    deployment.renew_admin_token();
    // What it took over from can be verified for as long as anything that it signed lives, and the standby is still one.
    let old = keys(&deployment).into_iter().find(|key| key["kid"] == before).unwrap();
    assert_eq!(
        (old["state"].as_str(), old["leaves_jwks_at"].as_i64()),
        (Some("retired"), Some(now + PUBLICATION_LEAD + RETIREMENT))
    );
    assert_eq!(crate::kid(&deployment, "ES256", "standby"), standby);
    deployment.world.advance(RETIREMENT - 1);
    assert!(publishes(&jwks(&deployment), &before));
    deployment.world.advance(1);
    assert!(!publishes(&jwks(&deployment), &before));
}

#[test]
fn asked_again_and_by_several_at_once_it_is_one_next_key() {
    for seed in 0..6 {
        let deployment = Deployment::new();
        let isolates: Vec<Deployment> = (0..4).map(|_| deployment.other_isolate()).collect();
        let calls = isolates
            .iter()
            .map(|isolate| isolate.handle(isolate.admin(Method::Post, "/keys/rotate").json(&json!({"alg": "EdDSA"}))));
        let named: Vec<Value> = interleave(calls, seed)
            .into_iter()
            .map(|response| Answer::from(response).expect(200)["keys"].clone())
            .collect();
        assert!(
            named.iter().all(|keys| keys == &named[0] && keys.as_array().unwrap().len() == 1),
            "seed {seed}: {named:?}"
        );
        block_on(deployment.world.run_deferred());
        assert_eq!(rotate(&deployment, json!({"alg": "EdDSA"})).expect(200)["keys"], named[0]);
        assert_eq!(deployment.count("signing_keys WHERE tenant_id = ?1 AND alg = 'EdDSA'"), 3, "seed {seed}");
    }
}

#[test]
fn without_an_algorithm_all_of_them_rotate() {
    let deployment = Deployment::new();
    let call = deployment.admin(Method::Post, "/keys/rotate");
    let next = deployment.send(call).expect(200)["keys"].as_array().unwrap().clone();
    assert_eq!(next.len(), 4);
    for (body, status) in [
        (json!({"alg": "HS256"}), 400),
        (json!({"region": "weur"}), 400),
        (json!({"kid": "x"}), 400),
        (json!({"alg": 7}), 400),
    ] {
        assert_eq!(rotate(&deployment, body.clone()).status, status, "{body}");
    }
    assert_eq!(deployment.send(deployment.admin(Method::Get, "/keys/rotate")).status, 405);
}

#[test]
fn after_years_there_was_never_a_token_that_an_early_key_set_could_not_verify() {
    let deployment = Deployment::new();
    let mut known = jwks(&deployment);
    for _ in 0..12 {
        for _ in 0..3 {
            let signed = token(&deployment);
            assert!(verifies(&signed, &known) && verifies(&signed, &jwks(&deployment)));
            deployment.world.advance(30 * 24 * 3600);
        }
        deployment.world.advance(17 * 3600);
        // Fetched just before the next takes over, as late as a cache may be.
        known = jwks(&deployment);
        deployment.world.advance(300);
        assert!(verifies(&token(&deployment), &known));
    }
    // One each 90 days and as many standbys, and nothing was made twice.
    let of = |alg: &str| deployment.count(&format!("signing_keys WHERE tenant_id = ?1 AND alg = '{alg}'"));
    assert_eq!((of("ES256"), of("RS256")), (14, 14));
}

#[test]
fn a_tenant_that_slept_for_years_wakes_with_the_keys_it_has() {
    let deployment = Deployment::new();
    let early = jwks(&deployment);
    deployment.world.advance(5 * ROTATION_PERIOD);
    let signed = token(&deployment);
    assert!(verifies(&signed, &early), "the standby was published all along");
    deployment.world.advance(PUBLICATION_LEAD + 3600);
    assert_ne!(signed_by(&token(&deployment)), signed_by(&signed), "the one that was due meanwhile took over");
}
