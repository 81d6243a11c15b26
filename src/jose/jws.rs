//! Compact JWS (RFC 7515 §7.1): making ours through the platform's one signing call, and verifying what we signed before.
//!
//! Verification uses jwt-compact. Out of scope: `alg` none, `crit`, keys named or carried by the token itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_compact::alg::{Es256, Rsa, RsaPublicKey, VerifyingKey};
use jwt_compact::{Algorithm, AlgorithmExt as _, UntrustedToken};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::jwk::{Material, PublicJwk};
use crate::context::Context;
use crate::platform::{Fault, Platform, PrivateKey};

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
    #[must_use]
    pub fn verify<T: DeserializeOwned>(&self, key: &PublicJwk) -> Option<T> {
        let algorithm_matches = self.token.algorithm() == key.alg.as_str();
        (algorithm_matches && self.is_signed_by(key)).then(|| self.claims()).flatten()
    }

    fn is_signed_by(&self, key: &PublicJwk) -> bool {
        match &key.material {
            Material::Rsa { n, e } => rsa_key(n, e).is_some_and(|key| self.has_signature(&Rsa::rs256(), &key)),
            Material::Ec { x, y, .. } => ec_key(x, y).is_some_and(|key| self.has_signature(&Es256, &key)),
        }
    }

    fn has_signature<A: Algorithm>(&self, algorithm: &A, key: &A::VerifyingKey) -> bool {
        algorithm.validator::<serde::de::IgnoredAny>(key).validate(&self.token).is_ok()
    }

    fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        let payload = self.text.split('.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }
}

fn rsa_key(n: &str, e: &str) -> Option<RsaPublicKey> {
    let number = |text| Some(rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(text).ok()?));
    RsaPublicKey::new(number(n)?, number(e)?).ok()
}

fn ec_key(x: &str, y: &str) -> Option<<Es256 as Algorithm>::VerifyingKey> {
    let mut point = vec![4];
    point.extend(URL_SAFE_NO_PAD.decode(x).ok()?);
    point.extend(URL_SAFE_NO_PAD.decode(y).ok()?);
    VerifyingKey::<Es256>::from_slice(&point).ok()
}

/// `at_hash` and its siblings (OpenID Connect Core §3.1.3.6) for algorithms with SHA-256: the left half of the hash.
#[must_use]
pub fn half_hash(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_hash_is_the_at_hash_of_openid_connect_core_appendix_a() {
        // Appendix A.3's access token and the at_hash of its ID token.
        assert_eq!(half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
