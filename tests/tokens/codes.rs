//! Redeeming codes, RFC 6749 §4.1.3 and RFC 7636 §4.6.

use vedette::memory::Breakage;

use crate::support::{Client, Deployment, REDIRECT_URI, Tokens, VERIFIER};
use crate::{ALL, OFFLINE, Scene};

fn redeem_with(client: &Client, deployment: &Deployment, pairs: &[(&str, &str)]) -> crate::support::Answer {
    let pairs = [&[("grant_type", "authorization_code")], pairs].concat();
    deployment.send(client.post(deployment, "/token", &pairs))
}

#[test]
fn a_token_response_is_json_that_nobody_keeps() {
    let scene = Scene::new();
    let answer = scene.client.redeem(&scene.deployment, &scene.code(OFFLINE));
    for (name, value) in
        [("content-type", "application/json"), ("cache-control", "no-store"), ("access-control-allow-origin", "*")]
    {
        assert_eq!(answer.headers(name), [value]);
    }
    let body = answer.expect(200);
    let mut names: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"]);
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&"Bearer".into(), &600.into(), &OFFLINE.into())
    );
}

#[test]
fn a_code_lives_a_minute() {
    let scene = Scene::new();
    let (first, second) = (scene.code(OFFLINE), scene.code(OFFLINE));
    scene.deployment.world.advance(59);
    scene.client.redeem(&scene.deployment, &first).expect(200);
    scene.deployment.world.advance(1);
    assert_eq!(scene.client.redeem(&scene.deployment, &second).error(), (400, "invalid_grant"));
    assert_eq!(scene.deployment.last_log()["refusal"], "code_expired");
}

#[test]
fn a_code_is_for_the_client_that_asked() {
    let scene = Scene::new();
    let (deployment, code) = (&scene.deployment, scene.code(OFFLINE));
    for other in [deployment.client(), deployment.public_client()] {
        assert_eq!(other.redeem(deployment, &code).error(), (400, "invalid_grant"));
        assert_eq!(deployment.last_log()["refusal"], "code_of_another_client");
    }
    // Nothing of that used it up or ended it.
    let tokens = Tokens::of(scene.client.redeem(deployment, &code));
    assert_eq!(deployment.client().redeem(deployment, &code).error(), (400, "invalid_grant"));
    assert_eq!(scene.honoured(&tokens), ALL);
}

#[test]
fn a_code_is_for_the_redirect_uri_that_it_went_to() {
    let scene = Scene::new();
    let code = scene.code(OFFLINE);
    for redirect_uri in ["https://rp.example/other", "https://rp.example/cb/", "", "x"] {
        let answer = redeem_with(&scene.client, &scene.deployment, &[("code", &code), ("redirect_uri", redirect_uri)]);
        assert_eq!(answer.error(), (400, "invalid_grant"), "{redirect_uri}");
    }
    let without = redeem_with(&scene.client, &scene.deployment, &[("code", &code)]);
    assert_eq!(without.error(), (400, "invalid_grant"));
    scene.client.redeem(&scene.deployment, &code).expect(200);
}

#[test]
fn a_verifier_belongs_to_a_challenge_and_the_other_way_round() {
    let scene = Scene::new();
    let ask = scene.client.ask();
    let bound = scene.browser.code(&ask.clone().with_challenge(), &scene.alice);
    let unbound = scene.browser.code(&ask, &scene.alice);
    let with = |code: &str, verifier: &str| {
        let pairs = [("code", code), ("redirect_uri", REDIRECT_URI), ("code_verifier", verifier)];
        redeem_with(&scene.client, &scene.deployment, &pairs)
    };
    let refusal = || scene.deployment.last_log()["refusal"].as_str().unwrap().to_owned();
    let wrong = VERIFIER.replace('d', "e");
    let (short, long) = (&VERIFIER[1..], "a".repeat(129));
    for verifier in [&wrong, short, &long, crate::support::CHALLENGE] {
        assert_eq!(with(&bound, verifier).error(), (400, "invalid_grant"), "{verifier}");
        assert_eq!(refusal(), "verifier_mismatch");
    }
    assert_eq!(with(&bound, "").error(), (400, "invalid_grant"));
    assert_eq!(refusal(), "verifier_missing");
    assert_eq!(with(&unbound, VERIFIER).error(), (400, "invalid_grant"));
    assert_eq!(refusal(), "verifier_without_challenge");
    // None of that used the codes up.
    with(&bound, VERIFIER).expect(200);
    with(&unbound, "").expect(200);
}

#[test]
fn a_wrong_secret_neither_uses_a_code_up_nor_ends_what_came_of_it() {
    let scene = Scene::new();
    let (deployment, code) = (&scene.deployment, scene.code(OFFLINE));
    let impostor = Client { secret: Some("x".repeat(43)), ..scene.client.clone() };
    let nobody = Client { secret: None, ..scene.client.clone() };
    for client in [&impostor, &nobody] {
        assert_eq!(client.redeem(deployment, &code).error(), (401, "invalid_client"));
    }
    let tokens = Tokens::of(scene.client.redeem(deployment, &code));
    for client in [&impostor, &nobody] {
        assert_eq!(client.redeem(deployment, &code).error(), (401, "invalid_client"));
    }
    assert_eq!(scene.honoured(&tokens), ALL);
    assert_eq!((deployment.audited("grant.issued"), deployment.audited("code.replayed")), (1, 0));
}

#[test]
fn a_replayed_code_ends_the_tokens_that_it_gave() {
    let scene = Scene::new();
    let code = scene.code(OFFLINE);
    let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
    scene.deployment.world.advance(30);
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (400, "invalid_grant"));
    assert_eq!(scene.deployment.last_log()["refusal"], "code_replayed");
    assert!(scene.honoured(&tokens).is_empty(), "{:?}", scene.honoured(&tokens));
    // A second replay finds nothing left to end.
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (400, "invalid_grant"));
    assert_eq!(scene.deployment.audited("grant.issued"), 1);
    assert!(scene.deployment.audited("code.replayed") >= 1);
}

#[test]
fn a_replay_after_the_codes_minute_ends_the_tokens_all_the_same() {
    let scene = Scene::new();
    let code = scene.code(OFFLINE);
    let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
    scene.deployment.world.advance(300);
    let impostor = Client { secret: Some("x".repeat(43)), ..scene.client.clone() };
    assert_eq!(impostor.redeem(&scene.deployment, &code).error(), (401, "invalid_client"));
    assert_eq!(scene.honoured(&tokens), ALL);
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (400, "invalid_grant"));
    assert!(scene.honoured(&tokens).is_empty(), "{:?}", scene.honoured(&tokens));
    assert_eq!(scene.deployment.audited("code.replayed"), 1);
}

#[test]
fn what_is_not_a_code_of_ours_is_refused() {
    let scene = Scene::new();
    let (deployment, code) = (&scene.deployment, scene.code(OFFLINE));
    let tokens = Tokens::of(scene.client.redeem(deployment, &scene.code(OFFLINE)));
    let mut changed = code.clone().into_bytes();
    changed[60] = if changed[60] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let cookie = scene.browser.cookie("session").1;
    let long = "x".repeat(10_000);
    let cut = &code[..code.len() - 1];
    let others =
        ["x", "é\n", &changed, cut, &cookie, tokens.refresh_token(), tokens.id_token(), &tokens.access_token, &long];
    for other in others {
        assert_eq!(scene.client.redeem(deployment, other).error(), (400, "invalid_grant"), "{other}");
        assert_eq!(deployment.last_log()["refusal"], "code_unreadable");
    }
    assert_eq!(redeem_with(&scene.client, deployment, &[]).error(), (400, "invalid_request"));
    scene.client.redeem(deployment, &code).expect(200);
}

#[test]
fn a_lost_answer_is_no_replay() {
    let scene = Scene::new();
    for breakage in [Breakage::SqlAnswerLost, Breakage::SqlTimeoutBefore, Breakage::SqlError] {
        let code = scene.code(OFFLINE);
        let grants = scene.deployment.audited("grant.issued");
        scene.deployment.world.break_next(breakage);
        let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
        assert_eq!(scene.honoured(&tokens), ALL, "{breakage:?}");
        assert_eq!(scene.deployment.audited("grant.issued"), grants + 1, "{breakage:?}");
    }
    assert_eq!(scene.deployment.audited("code.replayed"), 0);
}

#[test]
fn a_database_that_stays_away_leaves_the_code_alone() {
    let scene = Scene::new();
    let code = scene.code(OFFLINE);
    scene.deployment.world.break_always(Breakage::SqlTimeoutBefore);
    let answer = scene.client.redeem(&scene.deployment, &code);
    assert_eq!((answer.error(), answer.header("retry-after")), ((503, "temporarily_unavailable"), "10"));
    scene.deployment.world.mend();
    assert_eq!(scene.deployment.count("grants WHERE tenant_id = ?1"), 0);
    scene.client.redeem(&scene.deployment, &code).expect(200);
}

#[test]
fn a_grant_whose_tokens_could_not_be_signed_can_not_be_redeemed_again() {
    let scene = Scene::new();
    let code = scene.code(OFFLINE);
    scene.deployment.world.break_next(Breakage::SignError);
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (503, "temporarily_unavailable"));
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (400, "invalid_grant"));
}

#[test]
fn a_code_is_worth_nothing_when_what_it_rests_on_has_ended() {
    for (ended, path, change) in [
        ("the person", "users", serde_json::json!({"disabled": true})),
        ("the password", "users", serde_json::json!({"password": "another long password"})),
        ("the client", "clients", serde_json::json!({"disabled": true})),
    ] {
        let scene = Scene::new();
        let code = scene.code(OFFLINE);
        let id = if path == "users" { &scene.alice.id } else { &scene.client.id };
        scene.deployment.patch(&format!("/{path}/{id}"), &change);
        let answer = scene.client.redeem(&scene.deployment, &code);
        let error = if path == "users" { "invalid_grant" } else { "unauthorized_client" };
        assert_eq!(answer.error(), (400, error), "{ended}");
        assert_eq!(scene.deployment.count("grants WHERE tenant_id = ?1"), 0, "{ended}");
    }
    let scene = Scene::new();
    let code = scene.code(OFFLINE);
    scene.deployment.execute("DELETE FROM consents");
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (400, "invalid_grant"));
}

#[test]
fn a_code_that_went_to_an_address_that_is_no_longer_registered_gives_nothing() {
    let scene = Scene::new();
    let code = scene.code("openid");
    let path = format!("/clients/{}", scene.client.id);
    scene.deployment.patch(&path, &serde_json::json!({"redirect_uris": ["https://rp.example/other"]}));
    assert_eq!(scene.client.redeem(&scene.deployment, &code).error(), (400, "invalid_grant"));
    assert_eq!(scene.deployment.last_log()["refusal"], "code_redirect_uri_not_registered");
}
