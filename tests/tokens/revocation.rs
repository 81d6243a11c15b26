//! RFC 7009.

use vedette::memory::Breakage;

use crate::support::{Client, claims_of};
use crate::{ALL, OFFLINE, Scene};

#[test]
fn a_revoked_refresh_token_ends_the_whole_grant() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let answer = scene.client.revoke(&scene.deployment, tokens.refresh_token());
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert!(scene.honoured(&tokens).is_empty());
    assert_eq!(scene.deployment.audited("grant.revoked"), 1);
}

#[test]
fn an_old_refresh_token_ends_it_too() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let newer = crate::support::Tokens::of(scene.client.refresh(&scene.deployment, tokens.refresh_token()));
    assert_eq!(scene.client.revoke(&scene.deployment, tokens.refresh_token()).status, 200);
    assert!(scene.honoured(&newer).is_empty());
}

#[test]
fn a_revoked_access_token_ends_alone() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    assert_eq!(scene.client.revoke(&scene.deployment, &tokens.access_token).status, 200);
    assert_eq!(scene.honoured(&tokens), ["refresh token", "refreshing"]);
    assert_eq!(scene.deployment.audited("token.revoked"), 1);
}

#[test]
fn a_token_without_a_grant_can_be_revoked_and_is_kept_in_mind_until_it_would_have_ended() {
    let scene = Scene::new();
    let machine = scene.resource_server();
    let token = scene.deployment.client_token(&machine.id, machine.secret.as_deref().unwrap()).unwrap();
    assert!(machine.sees_active(&scene.deployment, &token));
    assert_eq!(machine.revoke(&scene.deployment, &token).status, 200);
    assert!(!machine.sees_active(&scene.deployment, &token));
    let exp = claims_of(&token)["exp"].as_i64().unwrap();
    assert_eq!(scene.deployment.count(&format!("revoked_tokens WHERE tenant_id = ?1 AND expires_at = {exp}")), 1);
}

#[test]
fn an_operators_token_can_be_revoked() {
    let scene = Scene::new();
    let operator = Client {
        id: scene.deployment.client_id.clone(),
        secret: Some(scene.deployment.client_secret.clone()),
        redirect_uri: String::new(),
    };
    assert_eq!(operator.revoke(&scene.deployment, &scene.deployment.admin_token).status, 200);
    let answer = scene.deployment.send(scene.deployment.manage(vedette::http::Method::Get, "/users"));
    assert_eq!(answer.error(), (401, "invalid_token"));
}

#[test]
fn a_token_of_another_client_is_refused_and_stays() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    for other in [scene.deployment.client(), scene.deployment.public_client(), scene.resource_server()] {
        for token in [tokens.refresh_token(), &tokens.access_token] {
            assert_eq!(other.revoke(&scene.deployment, token).error(), (400, "invalid_grant"));
        }
    }
    let impostor = Client { secret: Some("x".repeat(43)), ..scene.client.clone() };
    assert_eq!(impostor.revoke(&scene.deployment, tokens.refresh_token()).error(), (401, "invalid_client"));
    assert_eq!(scene.honoured(&tokens), ALL);
}

#[test]
fn what_we_do_not_know_needs_no_revoking() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let long = "x".repeat(10_000);
    for unknown in ["x", "é", tokens.id_token(), &scene.code(OFFLINE), &long] {
        assert_eq!(scene.client.revoke(&scene.deployment, unknown).status, 200, "{unknown}");
    }
    scene.deployment.world.advance(700);
    // Expired by itself.
    assert_eq!(scene.client.revoke(&scene.deployment, &tokens.access_token).status, 200);
    let without = scene.deployment.send(scene.client.post(&scene.deployment, "/revoke", &[]));
    assert_eq!(without.error(), (400, "invalid_request"));
}

#[test]
fn revoking_twice_or_with_a_wrong_hint_or_after_a_lost_answer_is_as_good_as_once() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    // The client, then the batch.
    scene.deployment.world.break_after(1, Breakage::SqlAnswerLost);
    let hinted = [("token", tokens.refresh_token()), ("token_type_hint", "access_token")];
    assert_eq!(scene.deployment.send(scene.client.post(&scene.deployment, "/revoke", &hinted)).status, 200);
    assert_eq!(scene.deployment.audited("grant.revoked"), 1);
    assert_eq!(scene.client.revoke(&scene.deployment, tokens.refresh_token()).status, 200);
    assert!(scene.honoured(&tokens).is_empty());
    assert_eq!(scene.deployment.audited("grant.revoked"), 1);
}

#[test]
fn a_public_client_can_revoke_its_own() {
    let scene = Scene::new();
    let public = scene.deployment.public_client();
    let tokens = public.tokens(&scene.deployment, &scene.alice, OFFLINE);
    assert_eq!(public.revoke(&scene.deployment, tokens.refresh_token()).status, 200);
    assert_eq!(public.refresh(&scene.deployment, tokens.refresh_token()).error(), (400, "invalid_grant"));
    assert_eq!(scene.deployment.userinfo(&tokens.access_token).status, 401);
}

#[test]
fn nothing_is_said_to_be_revoked_that_is_not() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    scene.deployment.world.break_after(1, Breakage::SqlTimeoutBefore);
    scene.deployment.world.break_after(1, Breakage::SqlTimeoutBefore);
    assert_eq!(
        scene.client.revoke(&scene.deployment, tokens.refresh_token()).error(),
        (503, "temporarily_unavailable")
    );
    assert_eq!(scene.honoured(&tokens), ALL);
    assert_eq!(scene.deployment.audited("grant.revoked"), 0);
}
