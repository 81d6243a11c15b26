//! Key sets that are damaged, or of another build: said clearly, nothing overwritten, and signing goes on if it can.

use serde_json::Value;
use vedette::http::Method;

use crate::support::{Deployment, verifies};
use crate::{jwks, keys, kid, publishes, signed_by, token};

/// What the management API says of them.
fn problems(deployment: &Deployment) -> String {
    let listed = deployment.send(deployment.admin(Method::Get, "/keys")).expect(200);
    listed["problems"].as_array().unwrap().iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

/// Another isolate after this happened to the rows, with nothing in KV.
fn after(deployment: &Deployment, sql: &str) -> Deployment {
    deployment.execute(sql);
    deployment.world.with_kv(std::collections::BTreeMap::clear);
    let _ = deployment.world.take_log();
    deployment.other_isolate()
}

#[test]
fn a_key_of_an_algorithm_that_this_build_does_not_know_is_left_alone() {
    let deployment = Deployment::new();
    let isolate = after(
        &deployment,
        "INSERT INTO signing_keys SELECT tenant_id, 'ML-DSA-44', region, 9, 'future', \
        public_jwk, wrapped_private, published_at, activates_at, NULL FROM signing_keys WHERE alg = 'ES256' AND ordinal = 1",
    );
    assert_eq!(jwks(&isolate)["keys"].as_array().unwrap().len(), 8);
    assert!(isolate.world.log().join("\n").contains("the ML-DSA-44 key of ordinal 9 cannot be read by this build"));
    assert!(problems(&isolate).contains("ML-DSA-44"));
    assert_eq!(isolate.count("signing_keys WHERE tenant_id = ?1 AND kid = 'future'"), 1);
}

#[test]
fn an_active_key_that_does_not_open_gives_way_and_is_still_published() {
    let mut deployment = Deployment::new();
    let first = kid(&deployment, "ES256", "active");
    deployment.world.advance(vedette::keys::schedule::ROTATION_PERIOD + 3600);
    deployment.renew_admin_token();
    let second = kid(&deployment, "ES256", "active");
    let signed = token(&deployment);
    let isolate =
        after(&deployment, &format!("UPDATE signing_keys SET wrapped_private = 'AAAA' WHERE kid = '{second}'"));
    assert_eq!(signed_by(&token(&isolate)), first, "the key before it signs on");
    let set = jwks(&isolate);
    assert!(publishes(&set, &first) && verifies(&signed, &set));
    let problems = problems(&isolate);
    assert!(problems.contains("the private half of the ES256 key of ordinal 2 does not open"), "{problems}");
    let stored: String = isolate.world.with_db(|db| {
        db.query_row("SELECT wrapped_private FROM signing_keys WHERE kid = ?1", [&second], |row| row.get(0)).unwrap()
    });
    assert_eq!(stored, "AAAA", "nothing is overwritten");
    // The key that signs again stays published for as long as it does.
    isolate.world.advance(3 * 24 * 3600);
    assert!(verifies(&token(&isolate), &jwks(&isolate)));
}

#[test]
fn a_public_half_that_is_of_another_key_is_not_published() {
    let deployment = Deployment::new();
    let standby = kid(&deployment, "ES256", "standby");
    let isolate = after(
        &deployment,
        &format!(
            "UPDATE signing_keys SET public_jwk = (SELECT public_jwk FROM signing_keys WHERE alg = 'ES256' AND ordinal = 1) \
             WHERE kid = '{standby}'"
        ),
    );
    assert!(problems(&isolate).contains("the public half of the ES256 key of ordinal 2 does not decode"));
    assert!(!publishes(&jwks(&isolate), &standby));
}

#[test]
fn times_that_cannot_be_right_are_said_and_signing_goes_on() {
    let deployment = Deployment::new();
    let (active, standby) = (kid(&deployment, "ES256", "active"), kid(&deployment, "ES256", "standby"));
    let isolate = after(
        &deployment,
        &format!("UPDATE signing_keys SET activates_at = published_at - 3600 WHERE kid = '{standby}'"),
    );
    assert_eq!(signed_by(&token(&isolate)), active);
    assert!(problems(&isolate).contains(&format!("{standby} (ordinal 2) activates before it was published")));
    let logged = isolate.world.log().join("\n");
    assert!(logged.contains("activates before it was published"), "{logged}");
}

#[test]
fn when_every_key_is_damaged_new_ones_are_appended_beside_them() {
    let deployment = Deployment::new();
    let before = keys(&deployment).len();
    let isolate = after(&deployment, "UPDATE signing_keys SET wrapped_private = 'AAAA'; DELETE FROM maintenance");
    let signed = token(&isolate);
    assert!(verifies(&signed, &jwks(&isolate)));
    assert_eq!(isolate.count("signing_keys WHERE tenant_id = ?1 AND wrapped_private = 'AAAA'"), before as i64);
}
