//! JWTs as a relying party sees them. Verified with the algorithms' own crates, not with our verifier.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa;
use rsa::signature::Verifier as _;
use rsa::{BigUint, RsaPublicKey, pkcs1v15, pss};
use serde_json::Value;
use sha2::Sha256;

#[track_caller]
fn part(token: &str, index: usize) -> Vec<u8> {
    let part = token.split('.').nth(index).unwrap_or_else(|| panic!("not a JWS: {token}"));
    URL_SAFE_NO_PAD.decode(part).expect("base64url")
}

/// The header of a JWS.
#[track_caller]
#[must_use]
pub fn header_of(token: &str) -> Value {
    serde_json::from_slice(&part(token, 0)).expect("a header in JSON")
}

/// The claims of a JWT, unverified.
#[track_caller]
#[must_use]
pub fn claims_of(token: &str) -> Value {
    serde_json::from_slice(&part(token, 1)).expect("claims in JSON")
}

/// Whether exactly one key of the JWK Set is the one that the header names, and the signature is by it.
#[track_caller]
#[must_use]
pub fn verifies(token: &str, jwks: &Value) -> bool {
    let header = header_of(token);
    let keys = jwks["keys"].as_array().expect("keys");
    let mut matching =
        keys.iter().filter(|key| key["kid"] == header["kid"] && key["alg"] == header["alg"] && key["use"] == "sig");
    let (Some(key), None) = (matching.next(), matching.next()) else { return false };
    let (input, _) = token.rsplit_once('.').expect("a JWS");
    let member = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().expect(name)).expect("base64url");
    let signature = part(token, 2);
    match header["alg"].as_str() {
        Some("RS256") => {
            let (n, e) = (BigUint::from_bytes_be(&member("n")), BigUint::from_bytes_be(&member("e")));
            let public = RsaPublicKey::new(n, e).expect("an RSA key");
            let signature = pkcs1v15::Signature::try_from(&signature[..]).expect("a signature");
            pkcs1v15::VerifyingKey::<Sha256>::new(public).verify(input.as_bytes(), &signature).is_ok()
        }
        Some("PS256") => {
            let (n, e) = (BigUint::from_bytes_be(&member("n")), BigUint::from_bytes_be(&member("e")));
            let public = RsaPublicKey::new(n, e).expect("an RSA key");
            let signature = pss::Signature::try_from(&signature[..]).expect("a signature");
            pss::VerifyingKey::<Sha256>::new(public).verify(input.as_bytes(), &signature).is_ok()
        }
        Some("EdDSA") => {
            let public = ed25519_compact::PublicKey::from_slice(&member("x")).expect("an Ed25519 key");
            let signature = ed25519_compact::Signature::from_slice(&signature).expect("a signature");
            public.verify(input.as_bytes(), &signature).is_ok()
        }
        Some("ES256") => {
            let point = [vec![4], member("x"), member("y")].concat();
            let public = ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a P-256 key");
            let signature = ecdsa::Signature::from_slice(&signature).expect("a signature");
            public.verify(input.as_bytes(), &signature).is_ok()
        }
        other => panic!("an algorithm that nobody asked for: {other:?}"),
    }
}
