//! How clients authenticate (RFC 6749 §2.3), and what they are told when they do not.

use serde_json::json;

use crate::support::{Client, Deployment, REDIRECT_URI, VERIFIER};
use crate::{OFFLINE, Scene};

const ENDPOINTS: [&str; 3] = ["/token", "/revoke", "/introspect"];

/// Parameters that make a request to any of them complete.
const COMPLETE: [(&str, &str); 4] =
    [("grant_type", "refresh_token"), ("refresh_token", "x"), ("token", "x"), ("token_type_hint", "access_token")];

fn machine(deployment: &Deployment) -> (Client, String) {
    let client = deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    let secret = client.secret.clone().unwrap();
    (client, secret)
}

#[test]
fn a_secret_may_come_in_the_header_or_in_the_body() {
    let deployment = Deployment::new();
    let (client, secret) = machine(&deployment);
    let grant = ("grant_type", "client_credentials");
    let (id, secret) = (client.id.as_str(), secret.as_str());
    let body = [grant, ("client_id", id), ("client_secret", secret)];
    deployment.send(deployment.post("/token").form(&body)).expect(200);
    deployment.send(deployment.post("/token").form(&[grant]).basic(id, secret)).expect(200);
    // Naming itself twice is no second authentication.
    deployment.send(deployment.post("/token").form(&[grant, ("client_id", id)]).basic(id, secret)).expect(200);
    let lower = deployment.post("/token").form(&[grant]).basic(id, secret);
    let credentials = lower.0.header("authorization").unwrap().replace("Basic", "bAsIc");
    deployment.send(lower.header("authorization", &credentials)).expect(200);
}

#[test]
fn who_does_not_authenticate_is_told_how() {
    let deployment = Deployment::new();
    let (client, secret) = machine(&deployment);
    let (id, secret) = (client.id.as_str(), secret.as_str());
    for path in ENDPOINTS {
        let form = |more: &[(&str, &str)]| deployment.post(path).form(&[&COMPLETE, more].concat());
        let wrong = "x".repeat(43);
        let basic = |credentials: &str| form(&[]).header("authorization", credentials);
        for (what, call) in [
            ("no client at all", form(&[])),
            ("no secret", form(&[("client_id", id)])),
            ("an empty secret", form(&[("client_id", id), ("client_secret", "")])),
            ("a wrong secret", form(&[("client_id", id), ("client_secret", &wrong)])),
            ("an unknown client", form(&[("client_id", "nobody"), ("client_secret", secret)])),
            ("a client of 10,000 characters", form(&[("client_id", &"x".repeat(10_000)), ("client_secret", secret)])),
            ("a wrong secret in the header", form(&[]).basic(id, &wrong)),
            ("an empty secret in the header", form(&[]).basic(id, "")),
            ("an unknown client in the header", form(&[]).basic("nobody", secret)),
            ("another client in the body", form(&[("client_id", "other")]).basic(id, secret)),
            ("no base64", basic("Basic !")),
            ("no colon", basic("Basic eA==")),
            ("no UTF-8", basic("Basic /zr/")),
            ("broken escapes", basic("Basic JTolOg==")),
            ("no credentials", basic("Basic")),
            ("another scheme", basic("Bearer x")),
            (
                "an assertion",
                form(&[
                    ("client_assertion", "x.y.z"),
                    ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ]),
            ),
        ] {
            let answer = deployment.send(call);
            assert_eq!(answer.error(), (401, "invalid_client"), "{path}: {what}");
            let challenge = answer.header("www-authenticate");
            assert!(challenge.starts_with("Basic realm="), "{path}: {what}: {challenge}");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        let both = form(&[("client_id", id), ("client_secret", secret)]).basic(id, secret);
        assert_eq!(deployment.send(both).error(), (400, "invalid_request"), "{path}");
    }
}

#[test]
fn the_hash_of_a_secret_is_no_secret() {
    let deployment = Deployment::new();
    let (client, secret) = machine(&deployment);
    let hash = vedette::oauth::secret::hash(&secret);
    assert_eq!(deployment.client_token(&client.id, &hash), None);
    assert!(deployment.client_token(&client.id, &secret).is_some());
}

#[test]
fn a_public_client_has_no_secret_to_present() {
    let scene = Scene::new();
    let deployment = &scene.deployment;
    let public = deployment.public_client();
    let code = scene.browser.code(&public.ask(), &scene.alice);
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
        ("client_id", public.id.as_str()),
    ];
    let with_secret = [&pairs[..], &[("client_secret", "x")]].concat();
    assert_eq!(deployment.send(deployment.post("/token").form(&with_secret)).error(), (401, "invalid_client"));
    deployment.send(deployment.post("/token").form(&pairs)).expect(200);
}

#[test]
fn a_rotated_secret_stops_at_once_everywhere() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let code = scene.code(OFFLINE);
    let elsewhere = scene.deployment.other_isolate();
    assert!(scene.client.sees_active(&elsewhere, &tokens.access_token));
    scene.deployment.world.freeze_replica();
    let path = format!("/clients/{}/secret", scene.client.id);
    let rotated = scene.deployment.send(scene.deployment.manage(vedette::http::Method::Post, &path)).expect(200);
    for deployment in [&scene.deployment, &elsewhere] {
        let old = &scene.client;
        for answer in [
            old.redeem(deployment, &code),
            old.refresh(deployment, tokens.refresh_token()),
            old.introspect(deployment, &tokens.access_token),
            old.revoke(deployment, &tokens.access_token),
        ] {
            assert_eq!(answer.error(), (401, "invalid_client"));
        }
    }
    let new = Client { secret: rotated["client_secret"].as_str().map(str::to_owned), ..scene.client.clone() };
    new.redeem(&elsewhere, &code).expect(200);
    new.refresh(&elsewhere, tokens.refresh_token()).expect(200);
}

#[test]
fn the_endpoints_take_forms_and_name_everything_once() {
    let scene = Scene::new();
    let (deployment, client) = (&scene.deployment, &scene.client);
    let secret = client.secret.as_deref().unwrap();
    for path in ENDPOINTS {
        for content_type in ["application/json", "text/plain", "", "multipart/form-data; boundary=x"] {
            let call = deployment.post(path).basic(&client.id, secret).body(content_type, "grant_type=refresh_token");
            assert_eq!(deployment.send(call).error(), (415, "invalid_request"), "{path} {content_type}");
        }
        let twice = client.post(deployment, path, &[&COMPLETE[..], &[("token", "y")]].concat());
        assert_eq!(deployment.send(twice).error(), (400, "invalid_request"), "{path}");
        let broken = deployment
            .post(path)
            .basic(&client.id, secret)
            .body("application/x-www-form-urlencoded; charset=utf-8", "token=%zz&grant_type=%");
        assert_eq!(deployment.send(broken).error(), (400, "invalid_request"), "{path}");
    }
}

#[test]
fn a_grant_type_that_is_missing_or_unknown_is_named() {
    let scene = Scene::new();
    let ask = |pairs: &[(&str, &str)]| scene.deployment.send(scene.client.post(&scene.deployment, "/token", pairs));
    assert_eq!(ask(&[]).error(), (400, "invalid_request"));
    for unknown in ["password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", &"x".repeat(10_000)] {
        assert_eq!(ask(&[("grant_type", unknown)]).error(), (400, "unsupported_grant_type"));
    }
}
