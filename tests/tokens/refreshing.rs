//! Refreshing: rotation with one successor, the grace window, reuse, and narrowing (RFC 6749 §6, RFC 9700 §4.14.2).

use serde_json::json;
use vedette::memory::Breakage;
use vedette::store::grants::{GRACE, LIFETIME};

use crate::support::{Answer, Client, Tokens, claims_of};
use crate::{OFFLINE, Scene};

fn generation(scene: &Scene) -> i64 {
    scene.deployment.world.with_db(|db| db.query_row("SELECT generation FROM grants", [], |row| row.get(0))).unwrap()
}

fn is_revoked(scene: &Scene) -> bool {
    scene.deployment.count("grants WHERE tenant_id = ?1 AND revoked_at IS NOT NULL") == 1
}

fn refresh(scene: &Scene, token: &str) -> Answer {
    scene.client.refresh(&scene.deployment, token)
}

fn refreshed(scene: &Scene, tokens: &Tokens) -> Tokens {
    Tokens::of(refresh(scene, tokens.refresh_token()))
}

fn refusal(scene: &Scene) -> String {
    scene.deployment.last_log()["refusal"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_refresh_gives_new_tokens_for_the_same_sign_in() {
    let scene = Scene::new();
    let first = scene.tokens("openid email offline_access");
    scene.deployment.world.advance(1);
    let answer = refresh(&scene, first.refresh_token());
    assert_eq!((answer.header("cache-control"), answer.header("content-type")), ("no-store", "application/json"));
    let second = Tokens::of(answer);
    assert_ne!((first.refresh_token(), &first.access_token), (second.refresh_token(), &second.access_token));
    let (before, after) = (claims_of(first.id_token()), claims_of(second.id_token()));
    for same in ["iss", "sub", "aud", "auth_time", "acr", "amr", "sid"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(after["iat"].as_i64().unwrap() - before["iat"].as_i64().unwrap(), 1);
    assert_eq!(after.get("nonce"), None);
    scene.deployment.userinfo(&second.access_token).expect(200);
    // The first access token lives on.
    scene.deployment.userinfo(&first.access_token).expect(200);
    assert_eq!((generation(&scene), scene.deployment.audited("grant.refreshed")), (1, 1));
}

#[test]
fn an_honest_retry_gets_the_same_successor_for_as_long_as_the_grace_lasts() {
    let scene = Scene::new();
    let first = scene.tokens(OFFLINE);
    let lost = refreshed(&scene, &first);
    for passed in [0, 1, GRACE - 1] {
        scene.deployment.world.advance(passed);
        let again = refreshed(&scene, &first);
        assert_eq!(generation(&scene), 1);
        assert!(scene.client.sees_active(&scene.deployment, again.refresh_token()));
    }
    // Any of the answers goes on.
    let third = refreshed(&scene, &lost);
    assert_eq!(generation(&scene), 2);
    assert!(scene.client.sees_active(&scene.deployment, third.refresh_token()));
}

#[test]
fn reuse_beyond_the_grace_ends_the_grant() {
    assert_eq!(GRACE, 40);
    let scene = Scene::new();
    let first = scene.tokens(OFFLINE);
    let second = refreshed(&scene, &first);
    scene.deployment.world.advance(GRACE + 1);
    assert_eq!(refresh(&scene, first.refresh_token()).error(), (400, "invalid_grant"));
    assert_eq!(refusal(&scene), "refresh_token_reused");
    assert!(scene.honoured(&second).is_empty());
    assert_eq!(scene.deployment.audited("refresh_token.reused"), 1);
}

#[test]
fn a_thief_who_keeps_refreshing_does_not_hide_the_reuse_of_what_was_stolen() {
    for between in [1, 20, GRACE - 1, GRACE] {
        let scene = Scene::new();
        let stolen = scene.tokens(OFFLINE);
        let mut thiefs = refreshed(&scene, &stolen);
        for _ in 0..=(3 * GRACE / between) {
            scene.deployment.world.advance(between);
            thiefs = refreshed(&scene, &thiefs);
        }
        assert_eq!(refresh(&scene, stolen.refresh_token()).error(), (400, "invalid_grant"));
        assert_eq!((refusal(&scene).as_str(), is_revoked(&scene)), ("refresh_token_reused", true), "every {between} s");
        assert_eq!(scene.deployment.audited("refresh_token.reused"), 1);
        assert_eq!(refresh(&scene, thiefs.refresh_token()).error(), (400, "invalid_grant"));
    }
}

#[test]
fn of_a_grant_that_is_refreshed_often_no_generation_is_taken_for_stolen_within_its_grace() {
    let scene = Scene::new();
    let mut all = vec![scene.tokens(OFFLINE)];
    for _ in 0..200 {
        scene.deployment.world.advance(7);
        all.push(refreshed(&scene, &all[all.len() - 1]));
        // The one that was stepped over longest ago among those that still have their grace.
        let behind = all.len().saturating_sub(2 + usize::try_from(GRACE / 7).unwrap());
        refresh(&scene, all[behind].refresh_token());
        assert!(!is_revoked(&scene), "{}", refusal(&scene));
    }
}

#[test]
fn two_generations_behind_within_the_grace_is_refused_and_ends_nothing() {
    let scene = Scene::new();
    let first = scene.tokens(OFFLINE);
    let second = refreshed(&scene, &first);
    let third = refreshed(&scene, &second);
    scene.deployment.world.advance(GRACE);
    assert_eq!(refresh(&scene, first.refresh_token()).error(), (400, "invalid_grant"));
    assert_eq!(refusal(&scene), "refresh_token_superseded");
    assert!(!is_revoked(&scene));
    scene.deployment.world.advance(1);
    assert_eq!(refresh(&scene, first.refresh_token()).error(), (400, "invalid_grant"));
    assert_eq!(refusal(&scene), "refresh_token_reused");
    assert!(scene.honoured(&third).is_empty());
}

#[test]
fn a_clock_that_is_behind_or_ahead_does_not_end_anything_within_the_grace() {
    let scene = Scene::new();
    let at = |skew: i64| crate::support::Deployment {
        host: scene.deployment.world.instance_with_skew(skew),
        ..scene.deployment.other_isolate()
    };
    let first = scene.tokens(OFFLINE);
    scene.client.refresh(&at(5), first.refresh_token()).expect(200);
    scene.client.refresh(&at(-5), first.refresh_token()).expect(200);
    scene.deployment.world.advance(30);
    scene.client.refresh(&at(5), first.refresh_token()).expect(200);
    assert_eq!((generation(&scene), is_revoked(&scene)), (1, false));
}

#[test]
fn a_lost_answer_is_no_reuse_and_steps_once() {
    for breakage in [Breakage::SqlAnswerLost, Breakage::SqlTimeoutBefore, Breakage::SqlError] {
        let scene = Scene::new();
        let first = scene.tokens(OFFLINE);
        scene.deployment.world.break_next(breakage);
        let second = refreshed(&scene, &first);
        assert_eq!((generation(&scene), scene.deployment.audited("grant.refreshed")), (1, 1), "{breakage:?}");
        refreshed(&scene, &second);
        assert!(!is_revoked(&scene));
    }
}

#[test]
fn an_answer_that_never_came_is_made_good_by_the_next_attempt() {
    let scene = Scene::new();
    let first = scene.tokens(OFFLINE);
    scene.deployment.world.break_next(Breakage::SqlAnswerLost);
    scene.deployment.world.break_next(Breakage::SqlAnswerLost);
    assert_eq!(refresh(&scene, first.refresh_token()).error(), (503, "temporarily_unavailable"));
    scene.deployment.world.break_next(Breakage::SignError);
    assert_eq!(refresh(&scene, first.refresh_token()).error(), (503, "temporarily_unavailable"));
    refreshed(&scene, &first);
    assert_eq!((generation(&scene), is_revoked(&scene)), (1, false));
}

#[test]
fn a_scope_can_be_narrowed_for_one_answer_but_never_widened() {
    let scene = Scene::new();
    let first = scene.tokens("openid email phone offline_access");
    let ask = |token: &str, scope: &str| {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)];
        scene.deployment.send(scene.client.post(&scene.deployment, "/token", &pairs))
    };
    let body = ask(first.refresh_token(), "openid email").expect(200);
    assert_eq!(body["scope"], "openid email");
    let narrowed = body["access_token"].as_str().unwrap();
    let claims = scene.deployment.userinfo(narrowed).expect(200);
    assert!(claims.get("email").is_some() && claims.get("phone_number").is_none());
    let without_openid = ask(body["refresh_token"].as_str().unwrap(), "email").expect(200);
    assert_eq!(without_openid.get("id_token"), None);
    // The grant is as wide as ever.
    let all = refresh(&scene, without_openid["refresh_token"].as_str().unwrap()).expect(200);
    assert_eq!(all["scope"], "openid email phone offline_access");
    for wider in ["openid address", "openid profile email", "openid unknown"] {
        let answer = ask(all["refresh_token"].as_str().unwrap(), wider);
        assert_eq!(answer.error(), (400, "invalid_scope"), "{wider}");
    }
    assert_eq!(ask(all["refresh_token"].as_str().unwrap(), "\"").error(), (400, "invalid_scope"));
    ask(all["refresh_token"].as_str().unwrap(), "openid email phone offline_access").expect(200);
}

#[test]
fn a_blank_scope_is_none() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token()), ("scope", " ")];
    let answer = scene.deployment.send(scene.client.post(&scene.deployment, "/token", &fields));
    assert_eq!(answer.error(), (400, "invalid_scope"));
    assert_eq!(generation(&scene), 0);
}

#[test]
fn a_refresh_token_is_for_its_own_client() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    for other in [scene.deployment.client(), scene.deployment.public_client()] {
        assert_eq!(other.refresh(&scene.deployment, tokens.refresh_token()).error(), (400, "invalid_grant"));
        assert_eq!(refusal(&scene), "refresh_token_of_another_client");
    }
    let impostor = Client { secret: Some("x".repeat(43)), ..scene.client.clone() };
    assert_eq!(impostor.refresh(&scene.deployment, tokens.refresh_token()).error(), (401, "invalid_client"));
    assert_eq!((generation(&scene), is_revoked(&scene)), (0, false));
}

#[test]
fn an_impostor_cannot_end_a_grant_by_reuse() {
    let scene = Scene::new();
    let first = scene.tokens(OFFLINE);
    let second = refreshed(&scene, &first);
    scene.deployment.world.advance(GRACE + 1);
    let impostor = Client { secret: Some("x".repeat(43)), ..scene.client.clone() };
    assert_eq!(impostor.refresh(&scene.deployment, first.refresh_token()).error(), (401, "invalid_client"));
    assert!(!is_revoked(&scene));
    refreshed(&scene, &second);
}

#[test]
fn what_is_not_a_refresh_token_of_ours_is_refused() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let mut changed = tokens.refresh_token().to_owned().into_bytes();
    changed[50] = if changed[50] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let long = "x".repeat(10_000);
    let code = scene.code(OFFLINE);
    for other in ["x", "é", &changed, &code, tokens.id_token(), &tokens.access_token, &long] {
        assert_eq!(refresh(&scene, other).error(), (400, "invalid_grant"), "{other}");
        assert_eq!(refusal(&scene), "refresh_token_unreadable");
    }
    assert_eq!(refresh(&scene, "").error(), (400, "invalid_request"));
    refreshed(&scene, &tokens);
}

#[test]
fn a_grant_can_be_refreshed_for_ninety_days() {
    let scene = Scene::new();
    let mut scene = Scene { deployment: scene.deployment.clone(), ..scene };
    let mut tokens = scene.tokens(OFFLINE);
    for _ in 0..2 {
        scene.deployment.world.advance(LIFETIME / 2 - 1);
        tokens = refreshed(&scene, &tokens);
    }
    scene.deployment.world.advance(2);
    assert_eq!(refresh(&scene, tokens.refresh_token()).error(), (400, "invalid_grant"));
    scene.deployment.renew_admin_token();
}

#[test]
fn a_client_that_may_no_longer_refresh_does_not() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    scene.deployment.patch(&format!("/clients/{}", scene.client.id), &json!({"grant_types": ["authorization_code"]}));
    assert_eq!(refresh(&scene, tokens.refresh_token()).error(), (400, "unauthorized_client"));
    scene.deployment.patch(
        &format!("/clients/{}", scene.client.id),
        &json!({"grant_types": ["authorization_code", "refresh_token"]}),
    );
    refreshed(&scene, &tokens);
}

#[test]
fn a_public_client_refreshes_with_rotation_too() {
    let scene = Scene::new();
    let public = scene.deployment.public_client();
    let first = public.tokens(&scene.deployment, &scene.alice, OFFLINE);
    let second = Tokens::of(public.refresh(&scene.deployment, first.refresh_token()));
    scene.deployment.world.advance(GRACE + 1);
    assert_eq!(public.refresh(&scene.deployment, first.refresh_token()).error(), (400, "invalid_grant"));
    assert_eq!(public.refresh(&scene.deployment, second.refresh_token()).error(), (400, "invalid_grant"));
}
