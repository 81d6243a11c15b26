//! Keys per region: each region signs with its own, one JWKS has all.

use serde_json::json;
use vedette::keys::schedule::PUBLICATION_LEAD;
use vedette::memory::block_on;
use vedette::platform::Variable;

use crate::support::{Deployment, verifies};
use crate::{jwks, keys, signed_by, token};

/// An isolate of a deployment in that region.
fn in_region(deployment: &Deployment, region: &str) -> Deployment {
    let isolate = deployment.other_isolate();
    deployment.world.set_variable(Variable::Region, region);
    // Variables are read once an isolate.
    let _ = token(&isolate);
    deployment.world.remove_variable(Variable::Region);
    isolate
}

#[test]
fn each_region_signs_with_its_own_key_once_all_the_world_can_know_it() {
    let mut deployment = Deployment::new();
    let common = signed_by(&token(&deployment));
    let (weur, enam, mars) =
        (in_region(&deployment, "weur"), in_region(&deployment, "enam"), in_region(&deployment, "mars"));
    assert_eq!(signed_by(&token(&weur)), common, "off by default");
    let shown = deployment.patch("", &json!({"regions": ["weur", "enam"]}));
    assert_eq!(shown["regions"], json!(["weur", "enam"]));
    // The next request has them made.
    let _ = jwks(&deployment);
    assert_eq!(signed_by(&token(&weur)), common);
    let known = jwks(&deployment);
    deployment.world.advance(PUBLICATION_LEAD + 1);
    let tokens = [&weur, &enam, &mars, &deployment].map(token);
    let kids: Vec<String> = tokens.iter().map(|token| signed_by(token)).collect();
    assert!(kids[0] != common && kids[1] != common && kids[0] != kids[1]);
    assert_eq!((&kids[2], &kids[3]), (&common, &common));
    assert!(tokens.iter().all(|token| verifies(token, &known)), "one JWKS, fetched when the keys were made, has all");
    deployment.renew_admin_token();
    let _ = jwks(&deployment);
    let of_weur = keys(&deployment).iter().filter(|key| key["region"] == "weur").count();
    assert_eq!(of_weur, 8, "an active key and a standby of each algorithm");
    // Off again, all sign with the common ones.
    deployment.patch("", &json!({"regions": []}));
    deployment.world.advance(60);
    assert_eq!(signed_by(&token(&weur)), common);
    assert!(tokens.iter().all(|token| verifies(token, &jwks(&deployment))));
}

#[test]
fn a_region_that_nobody_knows_is_said_and_signs_with_the_common_keys() {
    let deployment = Deployment::new();
    deployment.patch("", &json!({"regions": ["weur"]}));
    let mars = in_region(&deployment, "mars");
    deployment.world.advance(60);
    let _ = deployment.world.take_log();
    assert_eq!(signed_by(&token(&mars)), signed_by(&token(&deployment)));
    let log = deployment.world.log().join("\n");
    assert!(log.contains("REGION is mars, which is not one of the tenant's regions (weur)"), "{log}");
    let health = mars.send(mars.get("/health")).expect(200);
    assert_eq!((&health["status"], &health["region"]), (&json!("ok"), &json!("unknown")));
    block_on(deployment.world.run_deferred());
}

#[test]
fn names_of_regions_are_checked() {
    let deployment = Deployment::new();
    for wrong in [json!("weur"), json!([""]), json!(["a b"]), json!(["weur", "weur"]), json!([7]), json!(["W"])] {
        let call = deployment.manage(vedette::http::Method::Patch, "").json(&json!({"regions": wrong}));
        assert_eq!(deployment.send(call).error(), (400, "invalid_request"), "{wrong}");
    }
}
