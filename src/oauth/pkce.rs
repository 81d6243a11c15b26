//! PKCE, RFC 7636. In scope: S256. Out of scope: plain, which §7.2 warns of.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::error::Refusal;

/// The methods that discovery names.
pub const METHODS: [&str; 1] = ["S256"];

/// A `code_challenge` of method S256: the base64url form of a SHA-256 (§4.2).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Challenge(String);

impl Challenge {
    /// From the parameters `code_challenge` and `code_challenge_method`. A missing method means plain (§4.3), which is refused.
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Option<Self>, Refusal> {
        match (challenge, method) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Refusal::MissingParameter("code_challenge")),
            (Some(text), Some("S256")) if text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok() => {
                Ok(Some(Self(text.to_owned())))
            }
            (Some(_), Some("S256")) => Err(Refusal::MalformedParameter {
                name: "code_challenge",
                why: "has to be the 43 characters of a base64url SHA-256",
            }),
            (Some(_), _) => Err(Refusal::ChallengeMethodUnsupported),
        }
    }

    /// §4.6: the SHA-256 of the verifier has to be the challenge.
    pub fn verify(&self, verifier: &str) -> Result<(), Refusal> {
        let well_formed = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        let computed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        if well_formed && bool::from(computed.as_bytes().ct_eq(self.0.as_bytes())) {
            Ok(())
        } else {
            Err(Refusal::VerifierMismatch)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_verifier_of_rfc_7636_appendix_b_matches_its_challenge() {
        let challenge = Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap().unwrap();
        assert_eq!(challenge.verify(VERIFIER), Ok(()));
        assert_eq!(challenge.verify(&VERIFIER.replace('d', "e")), Err(Refusal::VerifierMismatch));
        assert_eq!(challenge.verify("short"), Err(Refusal::VerifierMismatch));
    }

    #[test]
    fn plain_is_refused_named_or_implied() {
        assert_eq!(Challenge::parse(Some(VERIFIER), Some("plain")), Err(Refusal::ChallengeMethodUnsupported));
        assert_eq!(Challenge::parse(Some(VERIFIER), None), Err(Refusal::ChallengeMethodUnsupported));
    }
}
