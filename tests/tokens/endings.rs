//! What ends tokens at once, in every region, also where a replica still says otherwise.

use serde_json::json;
use vedette::http::Method;

use crate::support::{Browser, Deployment, Page, Tokens};
use crate::{ALL, OFFLINE, Scene};

fn sign_out(browser: &Browser) {
    let page = browser.get("/end_session");
    let answer = browser.submit(&Page::of(&page), &[("answer", "sign-out")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// An isolate elsewhere that has its copies, and from now on a replica that stands still.
fn elsewhere(scene: &Scene, tokens: &Tokens) -> Scene {
    let deployment = scene.deployment.other_isolate();
    deployment.userinfo(&tokens.access_token).expect(200);
    scene.deployment.world.freeze_replica();
    let browser = scene.browser.at(&deployment);
    Scene { deployment, client: scene.client.clone(), alice: scene.alice.clone(), browser }
}

#[test]
fn signing_out_ends_what_was_granted_for_the_session() {
    let scene = Scene::new();
    let tokens = scene.tokens("openid");
    let elsewhere = elsewhere(&scene, &tokens);
    sign_out(&scene.browser);
    for scene in [&scene, &elsewhere] {
        assert!(scene.honoured(&tokens).is_empty(), "{:?}", scene.honoured(&tokens));
    }
    // The cookie that a thief kept gives no code that is worth anything, whatever the replica says.
    let answer = elsewhere.browser.ask(&scene.client.ask().with("prompt", "none"));
    if let Some(code) = answer.query().get("code") {
        assert_eq!(scene.client.redeem(&scene.deployment, code).error(), (400, "invalid_grant"));
    }
}

#[test]
fn what_was_allowed_to_outlive_the_session_does() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    sign_out(&scene.browser);
    assert_eq!(scene.honoured(&tokens), ALL);
}

#[test]
fn signing_in_again_keeps_what_was_granted_and_signing_out_then_ends_it() {
    let scene = Scene::new();
    let tokens = scene.tokens("openid");
    let page = scene.browser.ask(&scene.client.ask().with("prompt", "login"));
    scene.browser.sign_in(&page, &scene.alice);
    assert_eq!(scene.honoured(&tokens), ["userinfo", "access token"]);
    sign_out(&scene.browser);
    assert!(scene.honoured(&tokens).is_empty());
}

#[test]
fn another_person_signing_in_ends_what_was_granted_to_the_first() {
    let scene = Scene::new();
    let tokens = scene.tokens("openid");
    let bob = scene.deployment.user("bob");
    let page = scene.browser.ask(&scene.client.ask().with("prompt", "login"));
    scene.browser.sign_in(&page, &bob);
    assert!(scene.honoured(&tokens).is_empty());
}

#[test]
fn signing_out_of_one_browser_leaves_the_others() {
    let scene = Scene::new();
    let elsewhere = scene.client.tokens(&scene.deployment, &scene.alice, "openid");
    let here = scene.tokens("openid");
    sign_out(&scene.browser);
    assert!(scene.honoured(&here).is_empty());
    assert_eq!(scene.honoured(&elsewhere), ["userinfo", "access token"]);
}

#[test]
fn a_person_who_is_disabled_or_deleted_or_gets_another_password_has_nothing_left() {
    for change in [Some(json!({"disabled": true})), Some(json!({"password": "another long password"})), None] {
        let scene = Scene::new();
        let tokens = scene.tokens(OFFLINE);
        let elsewhere = elsewhere(&scene, &tokens);
        let path = format!("/users/{}", scene.alice.id);
        match &change {
            Some(change) => {
                scene.deployment.patch(&path, change);
            }
            None => assert_eq!(scene.deployment.send(scene.deployment.manage(Method::Delete, &path)).status, 204),
        }
        for scene in [&scene, &elsewhere] {
            assert!(scene.honoured(&tokens).is_empty(), "{change:?}: {:?}", scene.honoured(&tokens));
        }
    }
}

#[test]
fn a_person_who_is_enabled_again_begins_anew() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let path = format!("/users/{}", scene.alice.id);
    scene.deployment.patch(&path, &json!({"disabled": true}));
    scene.deployment.patch(&path, &json!({"disabled": false}));
    assert!(scene.honoured(&tokens).is_empty());
    assert_eq!(scene.honoured(&scene.tokens(OFFLINE)), ALL);
}

#[test]
fn tokens_of_a_client_that_is_disabled_or_deleted_are_worth_nothing() {
    for delete in [false, true] {
        let scene = Scene::new();
        let tokens = scene.tokens(OFFLINE);
        let judge = scene.resource_server();
        let elsewhere = elsewhere(&scene, &tokens).deployment;
        let path = format!("/clients/{}", scene.client.id);
        if delete {
            assert_eq!(scene.deployment.send(scene.deployment.manage(Method::Delete, &path)).status, 204);
        } else {
            scene.deployment.patch(&path, &json!({"disabled": true}));
        }
        for deployment in [&scene.deployment, &elsewhere] {
            assert_eq!(deployment.userinfo(&tokens.access_token).error(), (401, "invalid_token"));
            assert!(!judge.sees_active(deployment, &tokens.access_token));
            let error = if delete { (401, "invalid_client") } else { (400, "unauthorized_client") };
            assert_eq!(scene.client.refresh(deployment, tokens.refresh_token()).error(), error);
            assert_eq!(scene.client.introspect(deployment, &tokens.access_token).error(), error);
        }
    }
}

#[test]
fn a_consent_that_is_gone_ends_refreshing() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    scene.deployment.execute("DELETE FROM consents");
    assert_eq!(scene.client.refresh(&scene.deployment, tokens.refresh_token()).error(), (400, "invalid_grant"));
}

#[test]
fn a_tenant_that_is_disabled_serves_nobody_within_a_minute() {
    let scene = Scene::new();
    let other = scene.deployment.another_tenant("https://other.example");
    let (client, carol) = (other.client(), other.user("carol"));
    let tokens = client.tokens(&other, &carol, "openid");
    let distant = other.other_isolate();
    distant.userinfo(&tokens.access_token).expect(200);
    other.patch("", &json!({"disabled": true}));
    assert_eq!(other.userinfo(&tokens.access_token).status, 404);
    scene.deployment.world.advance(60);
    assert_eq!(distant.userinfo(&tokens.access_token).status, 404);
    let _: &Deployment = &distant;
}
