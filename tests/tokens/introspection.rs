//! RFC 7662.

use serde_json::json;
use vedette::store::grants::GRACE;

use crate::support::{ISSUER, claims_of};
use crate::{OFFLINE, Scene};

#[test]
fn a_client_learns_of_its_own_tokens() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let claims = claims_of(&tokens.access_token);
    let answer = scene.client.introspect(&scene.deployment, &tokens.access_token);
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    let expected = json!({
        "active": true,
        "client_id": scene.client.id,
        "token_type": "Bearer",
        "exp": claims["exp"],
        "iat": claims["iat"],
        "sub": scene.alice.id,
        "aud": ISSUER,
        "iss": ISSUER,
        "jti": claims["jti"],
        "scope": OFFLINE,
    });
    assert_eq!(answer.expect(200), expected);
    let refresh_token = scene.client.introspect(&scene.deployment, tokens.refresh_token()).expect(200);
    assert_eq!((&refresh_token["active"], &refresh_token["sub"]), (&json!(true), &json!(scene.alice.id)));
}

#[test]
fn others_learn_nothing_but_resource_servers_of_access_tokens() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let other = scene.deployment.client();
    let inactive = json!({"active": false});
    assert_eq!(other.introspect(&scene.deployment, &tokens.access_token).expect(200), inactive);
    assert_eq!(other.introspect(&scene.deployment, tokens.refresh_token()).expect(200), inactive);
    let server = scene.resource_server();
    let seen = server.introspect(&scene.deployment, &tokens.access_token).expect(200);
    assert_eq!((&seen["active"], &seen["client_id"]), (&json!(true), &json!(scene.client.id)));
    assert_eq!(server.introspect(&scene.deployment, tokens.refresh_token()).expect(200), inactive);
}

#[test]
fn a_public_client_may_not_introspect() {
    let scene = Scene::new();
    let public = scene.deployment.public_client();
    let tokens = public.tokens(&scene.deployment, &scene.alice, OFFLINE);
    assert_eq!(public.introspect(&scene.deployment, &tokens.access_token).error(), (401, "invalid_client"));
}

#[test]
fn what_is_no_live_token_is_inactive_and_no_more_is_said() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let code = scene.code(OFFLINE);
    let long = "x".repeat(10_000);
    for other in ["x", "é", tokens.id_token(), &code, &long, &scene.browser.cookie("session").1] {
        assert_eq!(scene.client.introspect(&scene.deployment, other).expect(200), json!({"active": false}), "{other}");
    }
    scene.deployment.world.advance(600);
    assert!(!scene.client.sees_active(&scene.deployment, &tokens.access_token));
    assert!(scene.client.sees_active(&scene.deployment, tokens.refresh_token()));
    let without = scene.deployment.send(scene.client.post(&scene.deployment, "/introspect", &[]));
    assert_eq!(without.error(), (400, "invalid_request"));
}

#[test]
fn a_superseded_refresh_token_is_active_while_it_would_be_answered() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    scene.client.refresh(&scene.deployment, tokens.refresh_token()).expect(200);
    scene.deployment.world.advance(GRACE);
    assert!(scene.client.sees_active(&scene.deployment, tokens.refresh_token()));
    scene.deployment.world.advance(1);
    assert!(!scene.client.sees_active(&scene.deployment, tokens.refresh_token()));
}

#[test]
fn asking_changes_nothing() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let state = || {
        scene
            .deployment
            .world
            .with_db(|db| {
                db.query_row("SELECT generation, revoked_at FROM grants", [], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?))
                })
            })
            .unwrap()
    };
    let before = state();
    scene.client.introspect(&scene.deployment, tokens.refresh_token()).expect(200);
    scene.deployment.client().introspect(&scene.deployment, tokens.refresh_token()).expect(200);
    assert_eq!(state(), before);
}
