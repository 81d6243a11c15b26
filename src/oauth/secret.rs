//! Client secrets and registration access tokens: 256 random bits, shown once, stored as SHA-256. There is nothing to guess
//! in them, so a slow hash would protect nothing (design.md §4).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// A secret that was just made. Its `Debug` prints `Secret(…)`; what is stored is [`Secret::hash`].
pub struct Secret(String);

impl Secret {
    /// The base64url form of 32 fresh random bytes.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(random))
    }

    /// The secret itself, for the one response that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn hash(&self) -> String {
        hash(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is stored of a secret: its SHA-256 in base64url.
#[must_use]
pub fn hash(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()))
}

/// Whether what was presented is what was hashed, in constant time. Nothing is, where nothing is stored.
#[must_use]
pub fn matches(presented: &str, stored_hash: Option<&str>) -> bool {
    stored_hash.is_some_and(|stored| hash(presented).as_bytes().ct_eq(stored.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_the_base64url_sha_256() {
        // FIPS 180-4's example: SHA-256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 b00361a3 96177a9c b410ff61 f20015ad.
        assert_eq!(hash("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
    }

    #[test]
    fn only_the_secret_itself_matches_and_it_does_not_print() {
        let secret = Secret::generate([7; 32]);
        assert!(matches(secret.reveal(), Some(&secret.hash())));
        assert!(!matches("other", Some(&secret.hash())));
        assert!(!matches(&secret.hash(), Some(&secret.hash())));
        assert!(!matches("", None));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
