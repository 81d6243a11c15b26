//! Keys and signatures in pure Rust, for hosts without WebCrypto (Spin, native).
//!
//! In scope: making and using RS256 and PS256 keys of 2048 bits (RFC 7518 §3.3, §3.5), ES256 keys (RFC 7518 §3.4) and Ed25519
//! keys for EdDSA (RFC 8037 §3.1), which come and go as PKCS #8 and SubjectPublicKeyInfo DER; verifying, with jwt-compact, by JWKs. Out of scope: wrapping of private keys.
//!
//! Randomness is an argument, as everywhere.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Seed};
use jwt_compact::alg::{Ed25519, Es256, Rsa, RsaPublicKey, VerifyingKey};
use jwt_compact::{Algorithm, AlgorithmSignature};
use p256::ecdsa;
use rand_core::CryptoRngCore;
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use rsa::signature::{RandomizedSigner, SignatureEncoding, Signer};
use rsa::{pkcs1v15, pss};
use sha2::Sha256;

use super::jwk::{ED25519_SPKI, Material, PublicJwk};
use crate::platform::{Alg, Fault, NewKey, PrivateKey, SecretBytes};

/// What RFC 7518 §3.3 asks for at least, and the size that relying parties handle fastest.
const RSA_BITS: usize = 2048;

/// Parsed keys that one [`SoftwareKeys`] holds at most. Two algorithms a tenant make this 16 busy tenants an instance; an
/// RSA key takes about 3 KB.
const KEYS_HELD: usize = 32;

/// What stands before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410 §7).
const ED25519_PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Makes a key pair. RSA takes around a second in wasm: keys are made ahead of need, not while somebody waits.
pub fn generate(alg: Alg, rng: &mut impl CryptoRngCore) -> Result<NewKey, Fault> {
    match alg {
        Alg::RS256 | Alg::PS256 => {
            let key = RsaPrivateKey::new(rng, RSA_BITS).map_err(|error| Fault::Crypto(error.to_string()))?;
            encode(&key, &key.to_public_key())
        }
        Alg::ES256 => {
            let key = p256::SecretKey::random(rng);
            encode(&key, &key.public_key())
        }
        Alg::EdDSA => {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            let pair = KeyPair::from_seed(Seed::new(seed));
            Ok(NewKey {
                pkcs8: SecretBytes([ED25519_PKCS8.as_slice(), &seed].concat()),
                spki: [ED25519_SPKI.as_slice(), pair.pk.as_ref()].concat(),
            })
        }
    }
}

/// The JWS signature of `key` over `input`. Parses the key each time; whoever signs again keeps [`SoftwareKeys`].
///
/// `rng` never shows in the signature: it blinds the RSA operation, whose arithmetic does not take constant time (a tenth
/// more work). ES256 nonces are those of RFC 6979.
pub fn sign(key: &PrivateKey, input: &[u8], rng: &mut impl CryptoRngCore) -> Result<Vec<u8>, Fault> {
    SigningKey::parse(key)?.sign(input, rng)
}

/// Whether `signature` is that of `key` over `input`, under the key's algorithm. Parsing the key costs little beside it.
pub fn verify(key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
    let verified = match (key.alg, &key.material) {
        (Alg::RS256, Material::Rsa { n, e }) => {
            rsa_key(n, e).map(|key| is_signature(&Rsa::rs256(), &key, input, signature))
        }
        (Alg::PS256, Material::Rsa { n, e }) => {
            rsa_key(n, e).map(|key| is_signature(&Rsa::ps256(), &key, input, signature))
        }
        (Alg::ES256, Material::Ec { x, y, .. }) => ec_key(x, y).map(|key| is_signature(&Es256, &key, input, signature)),
        (Alg::EdDSA, Material::Okp { x, .. }) => okp_key(x).map(|key| is_signature(&Ed25519, &key, input, signature)),
        (Alg::RS256 | Alg::PS256 | Alg::ES256 | Alg::EdDSA, _) => None,
    };
    verified.ok_or_else(|| Fault::Undecodable(format!("public key {} ({})", key.kid, key.alg.as_str())))
}

fn is_signature<A: Algorithm>(algorithm: &A, key: &A::VerifyingKey, input: &[u8], signature: &[u8]) -> bool {
    A::Signature::try_from_slice(signature).is_ok_and(|signature| algorithm.verify_signature(&signature, key, input))
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

fn okp_key(x: &str) -> Option<<Ed25519 as Algorithm>::VerifyingKey> {
    VerifyingKey::<Ed25519>::from_slice(&URL_SAFE_NO_PAD.decode(x).ok()?).ok()
}

/// Private keys that this instance has parsed, by `kid`; the least recently used ones make room.
///
/// One per instance of the program, in a `thread_local`: parsing an ES256 key costs nearly two signatures with it (of RS256
/// a fortieth of one).
#[derive(Default)]
pub struct SoftwareKeys {
    /// Most recently used first. A scan of so few is nothing beside a signature.
    held: RefCell<VecDeque<(String, Rc<SigningKey>)>>,
}

impl SoftwareKeys {
    #[must_use]
    pub const fn new() -> Self {
        Self { held: RefCell::new(VecDeque::new()) }
    }

    /// Like [`sign`], with the parsed form of `key` if it is held.
    pub fn sign(&self, key: &PrivateKey, input: &[u8], rng: &mut impl CryptoRngCore) -> Result<Vec<u8>, Fault> {
        let parsed = match self.recall(key) {
            Some(parsed) => parsed,
            None => self.hold(key)?,
        };
        parsed.sign(input, rng)
    }

    fn recall(&self, key: &PrivateKey) -> Option<Rc<SigningKey>> {
        let mut held = self.held.borrow_mut();
        let place = held.iter().position(|(kid, parsed)| *kid == key.kid && parsed.alg() == key.alg)?;
        let entry = held.remove(place)?;
        let parsed = Rc::clone(&entry.1);
        held.push_front(entry);
        Some(parsed)
    }

    fn hold(&self, key: &PrivateKey) -> Result<Rc<SigningKey>, Fault> {
        let parsed = Rc::new(SigningKey::parse(key)?);
        let mut held = self.held.borrow_mut();
        held.push_front((key.kid.clone(), Rc::clone(&parsed)));
        held.truncate(KEYS_HELD);
        Ok(parsed)
    }
}

impl fmt::Debug for SoftwareKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SoftwareKeys(…)")
    }
}

enum SigningKey {
    RS256(Box<pkcs1v15::SigningKey<Sha256>>),
    PS256(Box<pss::SigningKey<Sha256>>),
    ES256(ecdsa::SigningKey),
    EdDSA(Box<KeyPair>),
}

impl SigningKey {
    fn parse(key: &PrivateKey) -> Result<Self, Fault> {
        // Importing computes the CRT values, so each signature works modulo the primes.
        let rsa = || RsaPrivateKey::from_pkcs8_der(&key.pkcs8.0).ok();
        let parsed = match key.alg {
            Alg::RS256 => rsa().map(|key| Self::RS256(Box::new(pkcs1v15::SigningKey::new(key)))),
            Alg::PS256 => rsa().map(|key| Self::PS256(Box::new(pss::SigningKey::new(key)))),
            Alg::ES256 => ecdsa::SigningKey::from_pkcs8_der(&key.pkcs8.0).ok().map(Self::ES256),
            Alg::EdDSA => ed25519_seed(&key.pkcs8.0).map(|seed| Self::EdDSA(Box::new(KeyPair::from_seed(seed)))),
        };
        parsed.ok_or_else(|| Fault::Undecodable(format!("private key {} ({})", key.kid, key.alg.as_str())))
    }

    fn alg(&self) -> Alg {
        match self {
            Self::RS256(_) => Alg::RS256,
            Self::PS256(_) => Alg::PS256,
            Self::ES256(_) => Alg::ES256,
            Self::EdDSA(_) => Alg::EdDSA,
        }
    }

    fn sign(&self, input: &[u8], rng: &mut impl CryptoRngCore) -> Result<Vec<u8>, Fault> {
        match self {
            Self::RS256(key) => key.try_sign_with_rng(rng, input).map(|signature| signature.to_vec()),
            Self::PS256(key) => key.try_sign_with_rng(rng, input).map(|signature| signature.to_vec()),
            Self::ES256(key) => key.try_sign(input).map(|signature: ecdsa::Signature| signature.to_vec()),
            // Without noise it is the one signature of RFC 8032.
            Self::EdDSA(pair) => Ok(pair.sk.sign(input, None).to_vec()),
        }
        .map_err(|error| Fault::Crypto(error.to_string()))
    }
}

/// The seed in a PKCS #8 private key; what may follow it (the public half, RFC 5958) derives from it.
fn ed25519_seed(pkcs8: &[u8]) -> Option<Seed> {
    // The outer length and the version differ between the two versions of the format.
    let [0x30, _, 0x02, 0x01, _, rest @ ..] = pkcs8 else { return None };
    Seed::from_slice(rest.strip_prefix(ED25519_PKCS8.get(5..)?)?.get(..32)?).ok()
}

fn encode(private: &impl EncodePrivateKey, public: &impl EncodePublicKey) -> Result<NewKey, Fault> {
    let pkcs8 = private.to_pkcs8_der().map_err(|error| Fault::Crypto(error.to_string()))?;
    let spki = public.to_public_key_der().map_err(|error| Fault::Crypto(error.to_string()))?;
    Ok(NewKey { pkcs8: SecretBytes(pkcs8.as_bytes().to_vec()), spki: spki.into_vec() })
}

#[cfg(test)]
mod tests {
    use p256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use rsa::pkcs8::DecodePublicKey;
    use rsa::signature::Verifier;
    use rsa::traits::PublicKeyParts;
    use rsa::{BigUint, RsaPublicKey};

    use super::*;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(7)
    }

    fn base64url(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn private(kid: &str, alg: Alg, pkcs8: impl Into<Vec<u8>>) -> PrivateKey {
        PrivateKey { kid: kid.to_owned(), alg, pkcs8: SecretBytes(pkcs8.into()) }
    }

    fn es256(kid: &str, d: &[u8]) -> PrivateKey {
        let key = p256::SecretKey::from_slice(d).unwrap();
        private(kid, Alg::ES256, key.to_pkcs8_der().unwrap().as_bytes())
    }

    fn es256_public(x: &str, y: &str) -> ecdsa::VerifyingKey {
        let (x, y) = (base64url(x), base64url(y));
        let point = p256::EncodedPoint::from_affine_coordinates(x[..].into(), y[..].into(), false);
        p256::PublicKey::from_encoded_point(&point).unwrap().into()
    }

    /// The key of RFC 7515 §A.2.1.
    fn rfc_7515_a2() -> PrivateKey {
        let number = |text| BigUint::from_bytes_be(&base64url(text));
        let n = number(concat!(
            "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ",
            "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2",
            "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD",
            "TW9gb54h4FRWyuXpoQ",
        ));
        let d = number(concat!(
            "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_G",
            "O-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQl",
            "BjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0",
            "QU91p1DhOVRuOopznQ",
        ));
        let p = number(concat!(
            "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2",
            "KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
        ));
        let q = number(concat!(
            "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_",
            "HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
        ));
        let key = RsaPrivateKey::from_components(n, number("AQAB"), d, vec![p, q]).unwrap();
        private("rfc7515-a2", Alg::RS256, key.to_pkcs8_der().unwrap().as_bytes())
    }

    #[test]
    fn rs256_gives_the_signature_of_rfc_7515_a2() {
        let input = b"eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                      cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let expected = base64url(concat!(
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU",
            "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d",
            "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig",
            "cN_IoypGlUPQGe77Rw",
        ));
        assert_eq!(sign(&rfc_7515_a2(), input, &mut rng()).unwrap(), expected);
    }

    #[test]
    fn es256_gives_the_signature_of_rfc_6979_a_2_5() {
        let d = BigUint::parse_bytes(b"C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721", 16).unwrap();
        let expected = BigUint::parse_bytes(
            b"EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716\
              F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
            16,
        );
        let signature = sign(&es256("rfc6979", &d.to_bytes_be()), b"sample", &mut rng()).unwrap();
        assert_eq!(signature, expected.unwrap().to_bytes_be());
    }

    #[test]
    fn es256_of_the_rfc_7515_a3_key_verifies_with_its_public_half() {
        let public =
            es256_public("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let input = b"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                      cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let of_the_rfc =
            base64url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
        public.verify(input, &ecdsa::Signature::from_slice(&of_the_rfc).unwrap()).expect("the input is the RFC's");

        let key = es256("rfc7515-a3", &base64url("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"));
        let ours = sign(&key, input, &mut rng()).unwrap();
        assert_eq!(ours.len(), 64);
        public.verify(input, &ecdsa::Signature::from_slice(&ours).unwrap()).unwrap();
    }

    #[test]
    fn es256_of_the_rfc_7517_a2_key_verifies_with_the_public_key_of_a1() {
        let public =
            es256_public("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        let key = es256("1", &base64url("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"));
        let signature = sign(&key, b"input", &mut rng()).unwrap();
        public.verify(b"input", &ecdsa::Signature::from_slice(&signature).unwrap()).unwrap();
    }

    #[test]
    fn a_made_rs256_key_has_2048_bits_and_halves_that_match() {
        let made = generate(Alg::RS256, &mut rng()).unwrap();
        let signature = sign(&private("made", Alg::RS256, made.pkcs8.0), b"input", &mut rng()).unwrap();
        let public = RsaPublicKey::from_public_key_der(&made.spki).unwrap();
        assert_eq!(public.n().bits(), RSA_BITS);
        let verifying = pkcs1v15::VerifyingKey::<Sha256>::new(public);
        verifying.verify(b"input", &pkcs1v15::Signature::try_from(&signature[..]).unwrap()).unwrap();
    }

    #[test]
    fn a_made_es256_key_has_halves_that_match() {
        let made = generate(Alg::ES256, &mut rng()).unwrap();
        let private_half = p256::SecretKey::from_pkcs8_der(&made.pkcs8.0).unwrap();
        let public_half = p256::PublicKey::from_public_key_der(&made.spki).unwrap();
        assert_eq!(private_half.public_key().to_encoded_point(false), public_half.to_encoded_point(false));
    }

    #[test]
    fn a_held_key_is_not_parsed_again() {
        let keys = SoftwareKeys::new();
        let key = es256("kid", &[1; 32]);
        let first = keys.sign(&key, b"input", &mut rng()).unwrap();
        let unparsable = private("kid", Alg::ES256, b"");
        assert_eq!(keys.sign(&unparsable, b"input", &mut rng()).unwrap(), first);
    }

    #[test]
    fn a_held_key_does_not_sign_for_another_algorithm() {
        let keys = SoftwareKeys::new();
        let key = es256("kid", &[1; 32]);
        keys.sign(&key, b"input", &mut rng()).unwrap();
        let as_rs256 = PrivateKey { alg: Alg::RS256, ..key };
        let fault = Fault::Undecodable("private key kid (RS256)".to_owned());
        assert_eq!(keys.sign(&as_rs256, b"input", &mut rng()), Err(fault));
    }

    #[test]
    fn the_least_recently_used_key_makes_room() {
        let keys = SoftwareKeys::new();
        let sign = |kid: &str, d: &[u8]| keys.sign(&es256(kid, d), b"input", &mut rng()).unwrap();
        let (oldest, used_again) = (sign("oldest", &[1; 32]), sign("used again", &[2; 32]));
        for other in 0..KEYS_HELD - 2 {
            sign(&format!("other {other}"), &[3; 32]);
        }
        sign("used again", &[2; 32]);
        sign("one more", &[3; 32]);
        // With another private part under the old kid it shows which of the two was parsed anew.
        assert_ne!(sign("oldest", &[4; 32]), oldest);
        assert_eq!(sign("used again", &[4; 32]), used_again);
    }

    #[test]
    fn a_key_that_does_not_parse_is_a_fault_that_names_it() {
        let fault = sign(&private("kid", Alg::RS256, b"nonsense"), b"input", &mut rng());
        assert_eq!(fault, Err(Fault::Undecodable("private key kid (RS256)".to_owned())));
    }

    #[test]
    fn a_public_key_that_does_not_decode_is_a_fault_that_names_it() {
        let ec = |x: &str| Material::Ec { crv: "P-256".to_owned(), x: x.to_owned(), y: String::new() };
        for (alg, material) in [(Alg::ES256, ec("AA")), (Alg::RS256, ec("AA"))] {
            let key = PublicJwk { material, kid: "kid".to_owned(), alg, usage: "sig".to_owned() };
            let fault = Fault::Undecodable(format!("public key kid ({})", alg.as_str()));
            assert_eq!(verify(&key, b"input", &[0; 64]), Err(fault));
        }
    }
}
