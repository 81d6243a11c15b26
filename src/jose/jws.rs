//! Compact JWS (RFC 7515 §7.1): made and verified through the platform's two calls for signatures.
//!
//! Tokens are taken apart by jwt-compact. Out of scope: `alg` none, `crit`, keys named or carried by the token itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::UntrustedToken;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256, Sha512};

use super::jwk::PublicJwk;
use crate::context::Context;
use crate::platform::{Alg, Fault, Platform, PrivateKey};

/// Signs `claims` as a JWT; `typ` is the media type of RFC 7515 §4.1.9.
pub async fn sign<P: Platform>(
    context: &Context<'_, P>,
    key: &PrivateKey,
    typ: &str,
    claims: &Value,
) -> Result<String, Fault> {
    let header = format!(r#"{{"alg":"{}","kid":"{}","typ":"{typ}"}}"#, key.alg.as_str(), key.kid);
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
    let signature = context.platform.sign(key, token.as_bytes()).await?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// A token taken apart, its signature not yet verified.
pub struct Unverified<'a> {
    token: UntrustedToken<'a>,
    text: &'a str,
}

impl<'a> Unverified<'a> {
    /// `None` when it is no compact JWS with a JSON header.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        Some(Self { token: UntrustedToken::new(text).ok()?, text })
    }

    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.token.header().key_id.as_deref()
    }

    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.token.header().token_type.as_deref()
    }

    /// The claims, if the signature is by this key under this key's algorithm. Times are the caller's to check.
    pub async fn verify<T: DeserializeOwned>(
        &self,
        platform: &impl Platform,
        key: &PublicJwk,
    ) -> Result<Option<T>, Fault> {
        let Some((signed, _)) = self.text.rsplit_once('.') else { return Ok(None) };
        let is_signed = self.token.algorithm() == key.alg.as_str()
            && platform.verify(key, signed.as_bytes(), self.token.signature_bytes()).await?;
        Ok(is_signed.then(|| self.claims()).flatten())
    }

    fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        let payload = self.text.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

/// `at_hash` and its siblings (OpenID Connect Core §3.1.3.6): the left half of the hash that goes with the ID token's
/// algorithm; for Ed25519 that is the one inside it, SHA-512.
#[must_use]
pub fn half_hash(alg: Alg, text: &str) -> String {
    let left_half = |hash: &[u8]| URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default());
    match alg {
        Alg::RS256 | Alg::PS256 | Alg::ES256 => left_half(&Sha256::digest(text.as_bytes())),
        Alg::EdDSA => left_half(&Sha512::digest(text.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::jwk::Material;
    use crate::memory::{World, block_on};

    /// The claims of RFC 7515 §A.1 to §A.3.
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

    /// RFC 7515 §A.2.1 and §A.2.
    fn rfc_7515_a2() -> (PublicJwk, String) {
        let n = concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ",
            "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2",
            "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
            "TW9gb54h4FRWyuXpoQ",
        );
        let signature = concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
            "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
            "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
            "cN_IoypGlUPQGe77Rw",
        );
        let material = Material::Rsa { n: n.to_owned(), e: "AQAB".to_owned() };
        (public(Alg::RS256, material), format!("eyJhbGciOiJSUzI1NiJ9.{PAYLOAD}.{signature}"))
    }

    /// RFC 7515 §A.3.1 and §A.3.
    fn rfc_7515_a3() -> (PublicJwk, String) {
        let material = Material::Ec {
            crv: "P-256".to_owned(),
            x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU".to_owned(),
            y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0".to_owned(),
        };
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        (public(Alg::ES256, material), format!("eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.{signature}"))
    }

    fn public(alg: Alg, material: Material) -> PublicJwk {
        PublicJwk { material, kid: "kid".to_owned(), alg, usage: "sig".to_owned() }
    }

    fn verified(token: &str, key: &PublicJwk) -> Option<Value> {
        thread_local! {
            static PLATFORM: crate::memory::MemoryPlatform = World::new(&[]).instance();
        }
        let token = Unverified::parse(token)?;
        PLATFORM
            .with(|platform| block_on(token.verify(platform, key)))
            .expect("only a key that does not decode is a fault")
    }

    #[test]
    fn the_tokens_of_rfc_7515_a2_and_a3_verify_with_their_keys_and_no_others() {
        let (rsa, ec) = (rfc_7515_a2(), rfc_7515_a3());
        for ((key, token), (other, _)) in [(&rsa, &ec), (&ec, &rsa)] {
            let claims = verified(token, key).expect("the RFC's signature");
            assert_eq!((&claims["iss"], &claims["exp"]), (&"joe".into(), &1_300_819_380.into()));
            assert_eq!(verified(token, other), None);
        }
    }

    #[test]
    fn a_token_that_was_changed_anywhere_does_not_verify() {
        for (key, token) in [rfc_7515_a2(), rfc_7515_a3()] {
            // The last character of a part may carry bits that decode to nothing.
            let ends: Vec<usize> = token.match_indices('.').map(|(at, _)| at - 1).chain([token.len() - 1]).collect();
            for place in (0..token.len()).filter(|place| token.as_bytes()[*place] != b'.' && !ends.contains(place)) {
                let mut changed = token.clone().into_bytes();
                changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
                assert_eq!(verified(&String::from_utf8(changed).unwrap(), &key), None, "character {place}");
            }
            assert_eq!(verified(&token[..token.len() - 2], &key), None);
            assert_eq!(verified(&format!("{token}AA"), &key), None);
        }
    }

    #[test]
    fn no_algorithm_but_the_keys_own_counts() {
        // The same claims under headers that say none, HS256 keyed with the public key, or the other key's algorithm.
        for (key, token) in [rfc_7515_a2(), rfc_7515_a3()] {
            let (_, signature) = token.rsplit_once('.').unwrap();
            for alg in ["none", "HS256", "RS512", "PS256", "ES384", "ES256", "RS256"] {
                let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}"}}"#));
                for signature in ["", signature] {
                    let forged = format!("{header}.{PAYLOAD}.{signature}");
                    let is_the_rfcs = forged == token;
                    assert_eq!(verified(&forged, &key).is_some(), is_the_rfcs, "{alg}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_compact_jws_is_none() {
        for text in ["", ".", "..", "a.b", "a.b.c.d", "e30.e30.e30", "eyJhbGciOiJFUzI1NiJ9", "é.é.é"] {
            assert_eq!(verified(text, &rfc_7515_a3().0), None, "{text}");
        }
    }

    #[test]
    fn half_hash_is_the_at_hash_of_openid_connect_core_appendix_a() {
        // Appendix A.3's access token and the at_hash of its ID token.
        assert_eq!(half_hash(Alg::ES256, "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
