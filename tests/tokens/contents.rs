//! What tokens say: OpenID Connect Core §2 and §3.1.3.6, RFC 9068 §2, and the conformance suite's list (oidf §0.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{ISSUER, Tokens, claims_of, header_of, verifies};
use crate::{OFFLINE, Scene};

fn jwks(scene: &Scene) -> Value {
    scene.deployment.send(scene.deployment.get("/jwks")).expect(200)
}

fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_id_token_says_what_it_has_to_and_nothing_that_was_not_asked_for() {
    let scene = Scene::new();
    let began = scene.deployment.world.now().0;
    let code = scene.code("openid profile email");
    scene.deployment.world.advance(7);
    let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
    let claims = claims_of(tokens.id_token());
    let standing = ["acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "sid", "sub"];
    assert_eq!(members(&claims), standing);
    let expected = json!({
        "iss": ISSUER,
        "sub": scene.alice.id,
        "aud": scene.client.id,
        "iat": began + 7,
        "exp": began + 7 + 3600,
        "auth_time": began,
        "acr": "urn:vedette:acr:password",
        "amr": ["pwd"],
        "nonce": "n-0S6_WzA2Mj",
        "sid": claims["sid"],
        "at_hash": URL_SAFE_NO_PAD.encode(&Sha256::digest(&tokens.access_token)[..16]),
    });
    assert_eq!(claims, expected);
    assert!(claims["sid"].as_str().is_some_and(|sid| sid.len() >= 22));
    let sub = claims["sub"].as_str().unwrap();
    assert!(sub.is_ascii() && !sub.is_empty() && sub.len() <= 255);
}

#[test]
fn a_nonce_comes_back_as_it_was_and_only_if_there_was_one() {
    let scene = Scene::new();
    for nonce in ["", "n", &"Ab-_".repeat(96), "\u{1f600} \"\\"] {
        let code = scene.browser.code(&scene.client.ask().with("nonce", nonce), &scene.alice);
        let tokens = Tokens::of(scene.client.redeem(&scene.deployment, &code));
        let expected = (!nonce.is_empty()).then(|| json!(nonce));
        assert_eq!(claims_of(tokens.id_token()).get("nonce"), expected.as_ref());
    }
}

#[test]
fn an_access_token_is_the_jwt_of_rfc_9068() {
    let scene = Scene::new();
    let now = scene.deployment.world.now().0;
    let tokens = scene.tokens(OFFLINE);
    let header = header_of(&tokens.access_token);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let claims = claims_of(&tokens.access_token);
    let expected = json!({
        "iss": ISSUER,
        "sub": scene.alice.id,
        "aud": ISSUER,
        "client_id": scene.client.id,
        "iat": now,
        "exp": now + 600,
        "jti": claims["jti"],
        "scope": OFFLINE,
        "auth_time": now,
        "acr": "urn:vedette:acr:password",
        "amr": ["pwd"],
        "grant_id": claims["grant_id"],
    });
    assert_eq!(claims, expected);
    let other = scene.tokens(OFFLINE);
    assert_ne!(claims_of(&other.access_token)["jti"], claims["jti"]);
}

#[test]
fn every_signature_is_by_exactly_one_published_key() {
    let scene = Scene::new();
    let tokens = scene.tokens(OFFLINE);
    let jwks = jwks(&scene);
    for token in [tokens.id_token(), &tokens.access_token, &scene.deployment.admin_token] {
        assert!(verifies(token, &jwks), "{token}");
        let (input, signature) = token.rsplit_once('.').unwrap();
        let claims = URL_SAFE_NO_PAD.encode(claims_of(token).to_string().replace(ISSUER, "https://evil.example"));
        let changed = format!("{}.{claims}.{signature}", input.split('.').next().unwrap());
        assert!(!verifies(&changed, &jwks));
    }
}

#[test]
fn id_tokens_are_signed_with_rs256_or_what_the_client_chose() {
    let scene = Scene::new();
    let header = header_of(scene.tokens("openid").id_token());
    assert_eq!(members(&header), ["alg", "kid", "typ"]);
    assert_eq!(header["alg"], "RS256");
    for alg in ["RS256", "ES256"] {
        let client = scene.deployment.client_with(json!({"id_token_signed_response_alg": alg}));
        let tokens = client.tokens(&scene.deployment, &scene.alice, "openid");
        assert_eq!(header_of(tokens.id_token())["alg"], alg);
        assert!(verifies(tokens.id_token(), &jwks(&scene)));
    }
}

#[test]
fn access_tokens_live_as_long_as_their_client_says() {
    let scene = Scene::new();
    let client = scene.deployment.client_with(json!({"access_token_lifetime": 86_400}));
    let code = client.code(&scene.deployment, &scene.alice, "openid");
    let body = client.redeem(&scene.deployment, &code).expect(200);
    let claims = claims_of(body["access_token"].as_str().unwrap());
    assert_eq!(
        (&body["expires_in"], claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()),
        (&json!(86_400), 86_400)
    );
}

#[test]
fn refresh_tokens_are_long_and_in_the_character_set() {
    let scene = Scene::new();
    let token = scene.tokens(OFFLINE);
    assert!(token.refresh_token().len() >= 22 && token.refresh_token().bytes().all(|b| (0x20..=0x7e).contains(&b)));
}

#[test]
fn tokens_of_one_sign_in_share_its_sid() {
    let scene = Scene::new();
    let sid = |tokens: &Tokens| claims_of(tokens.id_token())["sid"].clone();
    let (first, second) = (scene.tokens("openid"), scene.tokens("openid"));
    assert_eq!(sid(&first), sid(&second));
    let elsewhere = scene.client.tokens(&scene.deployment, &scene.alice, "openid");
    assert_ne!(sid(&first), sid(&elsewhere));
}
