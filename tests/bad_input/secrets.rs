//! Nothing secret reaches a log line, an audit row, a KV value or an error body, nor the database in clear.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use vedette::http::Method;

use crate::support::{Answer, Call, Page, ROOT_SECRET, Tokens, claims_of};
use crate::{Scene, rows_of};

/// Everything secret that a scene has handed out, by name.
struct Planted(Vec<(&'static str, String)>);

impl Planted {
    #[track_caller]
    fn assert_absent(&self, text: &str, whence: &str) {
        for (what, secret) in &self.0 {
            assert!(!secret.is_empty() && !text.contains(secret.as_str()), "{what} in {whence}: {text}");
        }
    }
}

#[test]
fn secrets_stay_where_they_belong() {
    let scene = Scene::new();
    let (deployment, client) = (&scene.deployment, &scene.client);
    let code = scene.code();
    let tokens = Tokens::of(client.redeem(deployment, &code));
    let refreshed = Tokens::of(client.refresh(deployment, tokens.refresh_token()));
    let sealed = Page::of(&scene.browser.ask(&client.ask().with("prompt", "login"))).field("request").to_owned();
    let session_id = claims_of(tokens.id_token())["sid"].as_str().unwrap().to_owned();
    let wrong_password = "a password that somebody mistyped";
    let rotated =
        deployment.send(deployment.manage(Method::Post, &format!("/clients/{}/secret", scene.registration.id)));
    let rotated = rotated.expect(200)["client_secret"].as_str().unwrap().to_owned();
    let mut planted = Planted(vec![
        ("the root secret", URL_SAFE_NO_PAD.encode(ROOT_SECRET)),
        ("the root secret's bytes", String::from_utf8(ROOT_SECRET.to_vec()).unwrap()),
        ("a password", scene.alice.password.clone()),
        ("a mistyped password", wrong_password.to_owned()),
        ("a client secret", client.secret.clone().unwrap()),
        ("the operator's secret", deployment.client_secret.clone()),
        ("a rotated secret", rotated),
        ("a registration access token", scene.registration.token.clone()),
        ("a code", code.clone()),
        ("an access token", tokens.access_token.clone()),
        ("a refreshed access token", refreshed.access_token.clone()),
        ("an ID token", tokens.id_token().to_owned()),
        ("a refresh token", tokens.refresh_token().to_owned()),
        ("a refreshed refresh token", refreshed.refresh_token().to_owned()),
        ("an operator's token", deployment.admin_token.clone()),
        ("a session cookie", scene.browser.cookie("session").1),
        ("a browser cookie", scene.browser.cookie("browser").1),
        ("a sealed form", sealed.clone()),
        ("a set-up ticket", deployment.ticket()),
    ]);

    // All of them used as they should be, and in every wrong place.
    for (_, call) in scene.good_requests() {
        deployment.send(call);
    }
    let page = scene.browser.ask(&client.ask().with("prompt", "login"));
    let wrong = crate::support::User { password: wrong_password.to_owned(), ..scene.alice.clone() };
    scene.browser.sign_in(&page, &wrong);
    let secrets: Vec<String> = planted.0.iter().map(|(_, secret)| secret.clone()).collect();
    for secret in &secrets {
        for answer in misplaced(&scene, secret) {
            assert!(answer.status < 500, "{}", answer.text());
            // The answer may not repeat it, even to who sent it: it may be shown to others.
            let errors = answer.status >= 400 && answer.header("content-type").contains("json");
            if errors {
                planted.assert_absent(answer.text(), "an error body");
            }
            if answer.status >= 400 {
                planted.assert_absent(answer.header("www-authenticate"), "a challenge");
            }
        }
    }

    // In the log and the audit, not even the session's id.
    planted.0.push(("a session id", session_id));
    for line in deployment.world.log() {
        planted.assert_absent(&line, "the log");
    }
    for row in rows_of(deployment, "audit_events") {
        planted.assert_absent(&row, "the audit");
    }
    for (key, value) in deployment.world.with_kv(|kv| kv.clone()) {
        planted.assert_absent(&key, "a key of KV");
        planted.assert_absent(&String::from_utf8_lossy(&value), "KV");
    }
    // Rows know the session by its id, and nothing else in clear.
    planted.0.pop();
    for row in scene.rows() {
        planted.assert_absent(&row, "a row");
    }
}

/// A secret where it does not belong.
fn misplaced(scene: &Scene, secret: &str) -> Vec<Answer> {
    let Scene { deployment, client, browser, .. } = scene;
    let basic = STANDARD.encode(format!("{secret}:{secret}"));
    let by_client = |path: &str, pairs: &[(&str, &str)]| client.post(deployment, path, pairs);
    let form = |path: &str, pairs: &[(&str, &str)]| deployment.post(path).form(pairs);
    let in_path = |path: &str| {
        Call::new(
            Method::Get,
            &format!("{path}{}", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()),
        )
    };
    let calls = vec![
        by_client("/token", &[("grant_type", secret)]),
        by_client("/token", &[("grant_type", "authorization_code"), ("code", secret)]),
        by_client("/token", &[("grant_type", "refresh_token"), ("refresh_token", secret), ("scope", secret)]),
        by_client("/introspect", &[("token", secret)]),
        by_client("/revoke", &[("token", secret)]),
        form("/token", &[("grant_type", "client_credentials"), ("client_id", secret), ("client_secret", secret)]),
        deployment
            .post("/token")
            .form(&[("grant_type", "client_credentials")])
            .header("authorization", &format!("Basic {basic}")),
        deployment.get("/userinfo").bearer(secret),
        deployment.get("/userinfo").header("authorization", secret),
        deployment.get(&format!("/register/{}", scene.registration.id)).bearer(secret),
        deployment.manage(Method::Get, "/users").bearer(secret),
        deployment.manage(Method::Post, "/users").json(&json!({"username": "x", "password": "short", "email": secret})),
        deployment.manage(Method::Patch, &format!("/clients/{}", client.id)).json(&json!({"client_secret": secret})),
        deployment
            .post("/register")
            .json(&json!({"redirect_uris": ["https://rp.example/cb"], "client_secret": secret, "jwks": secret})),
        deployment.post("/register").body("application/json", secret),
        in_path("/"),
        in_path("/register/"),
        in_path("/setup?ticket="),
        in_path("/authorize?client_id="),
        in_path(&format!("/authorize?client_id={}&redirect_uri=", client.id)),
        in_path("/end_session?id_token_hint="),
        browser.dressed(deployment.get("/").header("cookie", secret)),
        deployment.get("/jwks").host(secret),
        form("/sign-in", &[("request", secret), ("username", secret), ("password", secret)]),
    ];
    calls.into_iter().map(|call| deployment.send(call)).collect()
}
