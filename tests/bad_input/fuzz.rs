//! Anything at all: with bindings that work, no request makes the server fail.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use vedette::http::{Method, Request};

use crate::Scene;
use crate::support::Page;

const PATHS: [&str; 24] = [
    "/",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/jwks",
    "/authorize",
    "/sign-in",
    "/consent",
    "/token",
    "/userinfo",
    "/revoke",
    "/introspect",
    "/end_session",
    "/register",
    "/register/x",
    "/health",
    "/setup",
    "/assets/x",
    "/admin/api/tenants",
    "/admin/api/tenants/x/users",
    "/admin/api/tenants/x/clients/y/secret",
    "/t/acme/token",
    "/.well-known/openid-configuration/t/acme",
    "//",
    "/%zz",
];

const NAMES: [&str; 34] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "response_mode",
    "prompt",
    "max_age",
    "claims",
    "id_token_hint",
    "login_hint",
    "acr_values",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "display",
    "grant_type",
    "code",
    "code_verifier",
    "refresh_token",
    "client_secret",
    "token",
    "access_token",
    "client_assertion",
    "post_logout_redirect_uri",
    "answer",
    "username",
    "password",
    "ticket",
    "limit",
    "cursor",
    "x",
];

const WORDS: [&str; 26] = [
    "",
    "code",
    "openid",
    "openid offline_access email",
    "none",
    "login",
    "consent",
    "form_post",
    "fragment",
    "S256",
    "plain",
    "0",
    "-1",
    "99999999999999999999",
    "authorization_code",
    "refresh_token",
    "client_credentials",
    "https://rp.example/cb",
    "https://evil.example/",
    "{}",
    "{\"userinfo\":{\"name\":null}}",
    "[[[[",
    "allow",
    "sign-out",
    "alice",
    "\u{0}\u{7f}\u{1f600}",
];

/// Where a word comes from: ours by chance, the list, or nowhere.
#[derive(Clone, Debug)]
enum Text {
    Ours(usize),
    Spoiled(usize, usize),
    Word(usize),
    Any(String),
    Long(usize),
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        4 => (0..64_usize).prop_map(Text::Ours),
        2 => (0..64_usize, 0..2000_usize).prop_map(|(which, place)| Text::Spoiled(which, place)),
        4 => (0..WORDS.len()).prop_map(Text::Word),
        2 => ".{0,40}".prop_map(Text::Any),
        1 => (0..12_000_usize).prop_map(Text::Long),
    ]
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Form(Vec<(usize, Text)>),
    Json(Vec<(usize, Text)>),
    Raw(Vec<u8>),
}

fn body() -> impl Strategy<Value = Body> {
    let pairs = || prop::collection::vec((0..NAMES.len(), text()), 0..8);
    prop_oneof![
        2 => Just(Body::None),
        4 => pairs().prop_map(Body::Form),
        2 => pairs().prop_map(Body::Json),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Body::Raw),
    ]
}

#[derive(Clone, Debug)]
struct Anything {
    method: Method,
    path: Result<usize, String>,
    query: Option<Result<Vec<(usize, Text)>, String>>,
    headers: Vec<(usize, Text)>,
    as_alice: bool,
    body: Body,
}

const HEADERS: [&str; 7] = ["authorization", "content-type", "cookie", "accept", "host", "origin", "sec-fetch-site"];

fn anything() -> impl Strategy<Value = Anything> {
    let method = prop_oneof![
        4 => Just(Method::Get), 6 => Just(Method::Post), 1 => Just(Method::Put), 1 => Just(Method::Patch),
        1 => Just(Method::Delete), 1 => Just(Method::Head), 1 => Just(Method::Options), 1 => Just(Method::Other),
    ];
    let path = prop_oneof![9 => (0..PATHS.len()).prop_map(Ok), 1 => "/.{0,30}".prop_map(Err)];
    let pairs = prop::collection::vec((0..NAMES.len(), text()), 0..8);
    let query = prop::option::of(prop_oneof![6 => pairs.prop_map(Ok), 1 => "[ -~]{0,60}".prop_map(Err)]);
    let headers = prop::collection::vec((0..HEADERS.len(), text()), 0..3);
    (method, path, query, headers, any::<bool>(), body()).prop_map(|(method, path, query, headers, as_alice, body)| {
        Anything { method, path, query, headers, as_alice, body }
    })
}

/// Things that mean something to the deployment.
fn ours(scene: &Scene) -> Vec<String> {
    let tokens = &scene.tokens;
    let pages = [scene.browser.ask(&scene.client.ask().with("prompt", "consent")), scene.browser.get("/end_session")];
    let mut ours = vec![
        scene.client.id.clone(),
        scene.client.secret.clone().unwrap(),
        scene.alice.password.clone(),
        scene.code(),
        tokens.access_token.clone(),
        tokens.refresh_token().to_owned(),
        tokens.id_token().to_owned(),
        scene.browser.cookie("session").1,
        scene.registration.token.clone(),
        scene.deployment.admin_token.clone(),
        scene.deployment.ticket(),
        format!("Bearer {}", tokens.access_token),
        format!("Bearer {}", scene.deployment.admin_token),
        "application/json".to_owned(),
        "application/x-www-form-urlencoded".to_owned(),
        "text/html".to_owned(),
    ];
    ours.extend(pages.iter().map(|page| Page::of(page).field("request").to_owned()));
    ours
}

fn word(ours: &[String], text: &Text) -> String {
    match text {
        Text::Ours(which) => ours[which % ours.len()].clone(),
        Text::Spoiled(which, place) => {
            let mut bytes = ours[which % ours.len()].clone().into_bytes();
            let place = place % bytes.len();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).unwrap()
        }
        Text::Word(which) => WORDS[*which].to_owned(),
        Text::Any(text) => text.clone(),
        Text::Long(length) => "x".repeat(*length),
    }
}

fn encoded(ours: &[String], pairs: &[(usize, Text)]) -> String {
    let pairs: Vec<(&str, String)> = pairs.iter().map(|(name, text)| (NAMES[*name], word(ours, text))).collect();
    vedette::oauth::form::encode(pairs.iter().map(|(name, value)| (*name, value.as_str())))
}

fn request(scene: &Scene, ours: &[String], anything: &Anything) -> Request {
    let path = match &anything.path {
        Ok(which) => PATHS[*which].replace("/x/", &format!("/{}/", scene.deployment.tenant_id)),
        Err(path) => path.clone(),
    };
    let mut call = scene.deployment.call(anything.method, "/");
    call.0.path = path;
    call.0.query = anything.query.as_ref().map(|query| match query {
        Ok(pairs) => encoded(ours, pairs),
        Err(raw) => raw.clone(),
    });
    call = match &anything.body {
        Body::None => call,
        Body::Form(pairs) => call.body("application/x-www-form-urlencoded", &encoded(ours, pairs)),
        Body::Json(pairs) => {
            let members = pairs.iter().map(|(name, text)| (NAMES[*name].to_owned(), word(ours, text).into()));
            call.json(&serde_json::Value::Object(members.collect()))
        }
        Body::Raw(bytes) => {
            let mut call = call.body("application/x-www-form-urlencoded", "");
            call.0.body.clone_from(bytes);
            call
        }
    };
    if anything.as_alice {
        call = scene.browser.dressed(call);
    }
    for (name, text) in &anything.headers {
        call = call.header(HEADERS[*name], &word(ours, text));
    }
    call.0
}

#[test]
fn no_request_makes_the_server_fail() {
    let scene = Scene::new();
    let ours = ours(&scene);
    let config = Config { cases: 1500, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&anything(), |anything| {
            let call = crate::support::Call(request(&scene, &ours, &anything));
            let answer = scene.deployment.send(call);
            let said = format!("{}: {}", answer.status, answer.text());
            if answer.status >= 500 {
                return Err(TestCaseError::fail(said));
            }
            // Whatever comes back is well-formed: header values of visible characters, JSON where it says so.
            for (name, value) in &answer.response.headers {
                let is_fine = value.bytes().all(|b| matches!(b, 0x20..=0x7e));
                prop_assert!(is_fine, "{name}: {value}");
            }
            let is_json = answer.header("content-type") == "application/json" && !answer.response.body.is_empty();
            prop_assert!(!is_json || !answer.body.is_null(), "{said}");
            if let Some(location) = answer.response.header("location") {
                let known = ["https://rp.example/", "https://id.example.com/"];
                prop_assert!(known.iter().any(|origin| location.starts_with(origin)), "{location}");
            }
            Ok(())
        })
        .unwrap();
    // It was about something: all kinds of answers came.
    let log = scene.deployment.world.log().join("\n");
    for status in [200, 303, 400, 401, 404, 405] {
        assert!(log.contains(&format!("\"status\":{status}")), "no {status}");
    }
}
