//! RSA keys made beforehand, so that a test does not spend a second on each. See `test_keys/README.md`: they are public.

use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BigUint, RsaPrivateKey};

use crate::platform::{NewKey, SecretBytes};

const PEMS: [&str; 8] = [
    include_str!("test_keys/rsa-2048-0.pem"),
    include_str!("test_keys/rsa-2048-1.pem"),
    include_str!("test_keys/rsa-2048-2.pem"),
    include_str!("test_keys/rsa-2048-3.pem"),
    include_str!("test_keys/rsa-2048-4.pem"),
    include_str!("test_keys/rsa-2048-5.pem"),
    include_str!("test_keys/rsa-2048-6.pem"),
    include_str!("test_keys/rsa-2048-7.pem"),
];

/// How many different keys [`rsa`] has: one for each two of the primes.
pub const RSA_KEYS: usize = PEMS.len() * (2 * PEMS.len() - 1);

/// The RSA-2048 test key of that index, always the same; beyond [`RSA_KEYS`] they begin again.
#[must_use]
pub fn rsa(index: usize) -> NewKey {
    let index = index % RSA_KEYS;
    let key = match PEMS.get(index) {
        Some(pem) => parse(pem),
        None => from_two_primes(index - PEMS.len()),
    };
    let (Ok(pkcs8), Ok(spki)) = (key.to_pkcs8_der(), key.to_public_key().to_public_key_der()) else {
        panic!("a test key does not encode")
    };
    NewKey { pkcs8: SecretBytes(pkcs8.as_bytes().to_vec()), spki: spki.into_vec() }
}

/// A key of one prime of each of two files. Keys that share a prime are worthless (a gcd opens them) and different, which
/// is all that a test wants.
fn from_two_primes(index: usize) -> RsaPrivateKey {
    let files = (0..PEMS.len()).flat_map(|high| (0..high).map(move |low| (low, high)));
    let mut pairs =
        files.flat_map(|(low, high)| [(low, 0, high, 0), (low, 0, high, 1), (low, 1, high, 0), (low, 1, high, 1)]);
    let Some((low, low_prime, high, high_prime)) = pairs.nth(index) else { panic!("no test key {index}") };
    let (low, high) = (parse(PEMS[low]), parse(PEMS[high]));
    let (p, q): (&BigUint, &BigUint) = (&low.primes()[low_prime], &high.primes()[high_prime]);
    match RsaPrivateKey::from_p_q(p.clone(), q.clone(), low.e().clone()) {
        Ok(key) => key,
        Err(error) => panic!("two primes make no key: {error}"),
    }
}

fn parse(pem: &str) -> RsaPrivateKey {
    match RsaPrivateKey::from_pkcs8_pem(pem) {
        Ok(key) => key,
        Err(error) => panic!("a test key does not parse: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rsa::RsaPublicKey;
    use rsa::pkcs8::DecodePublicKey;

    use super::*;

    #[test]
    fn all_test_keys_differ_and_have_2048_bits() {
        let publics: BTreeSet<Vec<u8>> = (0..RSA_KEYS).map(|index| rsa(index).spki).collect();
        assert_eq!(publics.len(), RSA_KEYS);
        assert!(publics.iter().all(|spki| RsaPublicKey::from_public_key_der(spki).unwrap().n().bits() == 2048));
    }

    #[test]
    fn an_index_gives_the_same_key_again() {
        assert_eq!(rsa(3).spki, rsa(3).spki);
        assert_eq!(rsa(30).spki, rsa(30).spki);
    }
}
