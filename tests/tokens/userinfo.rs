//! UserInfo, OpenID Connect Core §5.3 and RFC 6750 §2.

use serde_json::{Map, Value, json};
use vedette::http::Method;
use vedette::memory::Breakage;

use crate::support::{Deployment, every_claim};
use crate::{OFFLINE, Scene};

fn claims_for(scene: &Scene, scope: &str) -> Value {
    scene.deployment.userinfo(&scene.tokens(scope).access_token).expect(200)
}

fn picked(scene: &Scene, names: &[&str]) -> Value {
    let all = every_claim("alice");
    let mut claims: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), all[*name].clone())).collect();
    claims.insert("sub".to_owned(), json!(scene.alice.id));
    Value::Object(claims)
}

#[test]
fn each_scope_gives_its_claims_and_no_others() {
    let scene = Scene::new();
    assert_eq!(claims_for(&scene, "openid"), picked(&scene, &[]));
    assert_eq!(claims_for(&scene, "openid email"), picked(&scene, &["email", "email_verified"]));
    assert_eq!(claims_for(&scene, "openid phone"), picked(&scene, &["phone_number", "phone_number_verified"]));
    assert_eq!(claims_for(&scene, "openid address"), picked(&scene, &["address"]));
    let profile = [
        "name",
        "given_name",
        "family_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
    ];
    let mut expected = picked(&scene, &profile);
    expected["updated_at"] = json!(scene.deployment.world.now().0);
    assert_eq!(claims_for(&scene, "openid profile"), expected);
    let all = claims_for(&scene, "openid profile email address phone");
    assert_eq!(all.as_object().unwrap().len(), 20);
}

#[test]
fn claims_are_those_of_now() {
    let scene = Scene::new();
    let tokens = scene.tokens("openid profile email");
    scene.deployment.world.advance(60);
    let now = scene.deployment.world.now().0;
    scene.deployment.patch(&format!("/users/{}", scene.alice.id), &json!({"name": "Alice B", "email": null}));
    let claims = scene.deployment.userinfo(&tokens.access_token).expect(200);
    assert_eq!((&claims["name"], &claims["updated_at"], claims.get("email")), (&json!("Alice B"), &json!(now), None));
}

#[test]
fn the_token_may_come_in_the_header_or_in_a_form() {
    let scene = Scene::new();
    let (deployment, token) = (&scene.deployment, scene.tokens("openid").access_token);
    let form = [("access_token", token.as_str())];
    let answers = [
        deployment.userinfo(&token),
        deployment.send(deployment.post("/userinfo").bearer(&token)),
        deployment.send(deployment.post("/userinfo").bearer(&token).form(&[])),
        deployment.send(deployment.post("/userinfo").form(&form)),
        deployment.send(
            deployment
                .post("/userinfo")
                .form(&form)
                .header("content-type", "Application/X-WWW-Form-Urlencoded;charset=UTF-8"),
        ),
        deployment.send(deployment.get("/userinfo").header("authorization", &format!("bearer {token}"))),
    ];
    for answer in answers {
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!((answer.header("cache-control"), answer.header("access-control-allow-origin")), ("no-store", "*"));
        assert_eq!(answer.expect(200), json!({"sub": scene.alice.id}));
    }
}

#[test]
fn a_token_in_the_query_or_in_two_places_is_refused() {
    let scene = Scene::new();
    let (deployment, token) = (&scene.deployment, scene.tokens("openid").access_token);
    let in_query = deployment.send(deployment.get(&format!("/userinfo?access_token={token}")));
    assert_eq!(in_query.status, 401);
    // RFC 6750 §3.1: no error code where no token was given.
    assert_eq!(in_query.header("www-authenticate"), "Bearer realm=\"https://id.example.com\"");
    let form = [("access_token", token.as_str())];
    let both = deployment.send(deployment.post("/userinfo").bearer(&token).form(&form));
    assert_eq!(both.error(), (400, "invalid_request"));
    let twice = deployment.send(deployment.post("/userinfo").form(&[form[0], form[0]]));
    assert_eq!(twice.error(), (400, "invalid_request"));
    let get_with_body = deployment.send(deployment.call(Method::Get, "/userinfo").form(&form));
    assert_eq!(get_with_body.status, 401);
}

#[test]
fn what_is_not_a_live_access_token_for_a_person_is_refused() {
    let scene = Scene::new();
    let deployment = &scene.deployment;
    let tokens = scene.tokens(OFFLINE);
    let [header, claims, signature] = tokens.access_token.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{claims}.");
    let cut = format!("{header}.{claims}.{}", &signature[..signature.len() - 4]);
    let changed = format!("{header}.{claims}A.{signature}");
    let long = "x".repeat(10_000);
    for token in
        ["x", "..", tokens.id_token(), tokens.refresh_token(), &none, &cut, &changed, &deployment.admin_token, &long]
    {
        let answer = deployment.userinfo(token);
        assert_eq!(answer.error(), (401, "invalid_token"), "{token}");
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm=") && challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let basic = deployment.send(deployment.get("/userinfo").basic(&scene.client.id, "x"));
    assert_eq!(basic.error(), (401, "invalid_token"));
}

#[test]
fn an_access_token_ends_at_its_exp() {
    let scene = Scene::new();
    let token = scene.tokens("openid").access_token;
    scene.deployment.world.advance(599);
    scene.deployment.userinfo(&token).expect(200);
    scene.deployment.world.advance(1);
    assert_eq!(scene.deployment.userinfo(&token).error(), (401, "invalid_token"));
    assert_eq!(scene.deployment.last_log()["refusal"], "token_expired");
}

#[test]
fn a_database_that_fails_is_not_the_clients_fault() {
    let scene = Scene::new();
    let token = scene.tokens("openid").access_token;
    for breakage in [Breakage::SqlError, Breakage::SqlTimeoutBefore] {
        scene.deployment.world.break_always(breakage);
        assert_eq!(scene.deployment.userinfo(&token).error(), (503, "temporarily_unavailable"));
        scene.deployment.world.mend();
    }
    scene.deployment.userinfo(&token).expect(200);
}

#[test]
fn scripts_of_other_origins_may_ask_first() {
    let deployment = Deployment::new();
    let answer = deployment.send(
        deployment
            .call(Method::Options, "/userinfo")
            .header("origin", "https://rp.example")
            .header("access-control-request-method", "GET"),
    );
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(answer.header("access-control-allow-methods"), "GET, POST");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization, content-type");
}

#[test]
fn who_presents_no_bearer_token_is_told_how_and_gets_no_error_code() {
    let scene = Scene::new();
    let deployment = &scene.deployment;
    let challenge = |call| {
        let answer = deployment.send(call);
        (answer.status, answer.header("www-authenticate").to_owned())
    };
    let bare = (401, format!("Bearer realm=\"{}\"", deployment.issuer));
    assert_eq!(challenge(deployment.get("/userinfo")), bare);
    assert_eq!(challenge(deployment.get("/userinfo").basic("a", "b")), bare);
    let twice = deployment.post("/userinfo").bearer("x").form(&[("access_token", "x")]);
    let (status, told) = challenge(twice);
    assert!(status == 400 && told.contains("error=\"invalid_request\""), "{told}");
    // Whatever a sender names his parameters, RFC 6750 §3 allows only some of it in a header.
    for name in ["a%0Ab", "a%0D%0Ax: y", "a%22, realm=%22evil", "a%5C", "%C3%A9", "%00"] {
        let form =
            deployment.post("/userinfo").body("application/x-www-form-urlencoded", &format!("{name}=1&{name}=1"));
        let (status, told) = challenge(form);
        let said = told.strip_prefix(&format!("{}, error=\"invalid_request\", error_description=\"", bare.1));
        let said = said.and_then(|rest| rest.strip_suffix('"')).unwrap_or_else(|| panic!("{name}: {told}"));
        assert!(
            status == 400 && said.chars().all(|c| matches!(c, ' '..='!' | '#'..='[' | ']'..='~')),
            "{name}: {told}"
        );
    }
}
