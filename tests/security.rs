//! What a reviewer tried and found possible once: each test is named for what holds now.

#[path = "support/mod.rs"]
mod support;

use serde_json::json;

use support::{Deployment, metadata};

#[test]
fn a_redirect_uri_that_browsers_would_resolve_against_the_issuer_cannot_be_registered() {
    let deployment = Deployment::new();
    for uri in [
        "https:rp.example/cb",
        "https:/rp.example/cb",
        "https:///rp.example/cb",
        "http:localhost/cb",
        "HTTPS:rp.example/cb",
    ] {
        let answer = deployment.send(deployment.post("/register").json(&metadata(json!({"redirect_uris": [uri]}))));
        assert_eq!(answer.error(), (400, "invalid_redirect_uri"), "{uri}");
        let answer =
            deployment.send(deployment.post("/register").json(&metadata(json!({"post_logout_redirect_uris": [uri]}))));
        assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{uri}");
    }
}
