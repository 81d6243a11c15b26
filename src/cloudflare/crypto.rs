//! Keys and signatures by WebCrypto (W3C Web Cryptography §20, §23): in wasm they would take ten times as long.

use std::cell::RefCell;
use std::thread::LocalKey;

use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, CryptoKeyPair, SubtleCrypto, WorkerGlobalScope};

use super::message_of;
use crate::jose::jwk::PublicJwk;
use crate::platform::{Alg, Fault, NewKey, PrivateKey, SecretBytes};

/// Imported keys of one kind kept by an isolate; tenants sign with one or two each, and importing again costs little.
const KEPT: usize = 32;

/// The public exponent 65537, big-endian.
const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

/// A key that WebCrypto is ready to work with, and its parameters.
#[derive(Clone)]
struct Imported {
    algorithm: Object,
    key: CryptoKey,
}

/// Imported keys by what they were imported from; the most recently used last.
type Kept<T> = RefCell<Vec<(T, Imported)>>;

thread_local! {
    /// By `kid`, which our own keys have and nobody else chooses.
    static PRIVATE: Kept<String> = const { RefCell::new(Vec::new()) };
    /// By the whole key: what comes from elsewhere may say any `kid`.
    static PUBLIC: Kept<PublicJwk> = const { RefCell::new(Vec::new()) };
}

pub(super) async fn generate_key(alg: Alg) -> Result<NewKey, Fault> {
    let generate = async {
        let usages = Array::of2(&"sign".into(), &"verify".into());
        let subtle = subtle()?;
        let pair = subtle.generate_key_with_object(&algorithm(alg)?, true, &usages)?.await?;
        let pair = pair.unchecked_into::<CryptoKeyPair>();
        let pkcs8 = subtle.export_key("pkcs8", &pair.get_private_key())?.await?;
        let spki = subtle.export_key("spki", &pair.get_public_key())?.await?;
        Ok(NewKey { pkcs8: SecretBytes(Uint8Array::new(&pkcs8).to_vec()), spki: Uint8Array::new(&spki).to_vec() })
    };
    generate.await.map_err(fault)
}

pub(super) async fn sign(key: &PrivateKey, input: &[u8]) -> Result<Vec<u8>, Fault> {
    let sign = async {
        let Imported { algorithm, key } = match recall(&PRIVATE, |kid| *kid == key.kid) {
            Some(imported) => imported,
            None => keep(&PRIVATE, key.kid.clone(), import_private(key).await?),
        };
        let signature = subtle()?.sign_with_object_and_u8_array(&algorithm, &key, input)?.await?;
        Ok(Uint8Array::new(&signature).to_vec())
    };
    sign.await.map_err(fault)
}

pub(super) async fn verify(key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
    let verify = async {
        let Imported { algorithm, key } = match recall(&PUBLIC, |known| known == key) {
            Some(imported) => imported,
            None => keep(&PUBLIC, key.clone(), import_public(key).await?),
        };
        let subtle = subtle()?;
        let verified = subtle.verify_with_object_and_u8_array_and_u8_array(&algorithm, &key, signature, input)?;
        Ok(verified.await?.is_truthy())
    };
    verify.await.map_err(fault)
}

/// The kept key that is the right one; it becomes the most recently used.
fn recall<T>(kept: &'static LocalKey<Kept<T>>, is_right: impl Fn(&T) -> bool) -> Option<Imported> {
    kept.with_borrow_mut(|kept| {
        let position = kept.iter().rposition(|(from, _)| is_right(from))?;
        let entry = kept.remove(position);
        let imported = entry.1.clone();
        kept.push(entry);
        Some(imported)
    })
}

/// Keeps a key. Two requests may import one at once; the second then replaces the first.
fn keep<T: PartialEq>(kept: &'static LocalKey<Kept<T>>, from: T, imported: Imported) -> Imported {
    kept.with_borrow_mut(|kept| {
        kept.retain(|(other, _)| *other != from);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push((from, imported.clone()));
    });
    imported
}

async fn import_private(key: &PrivateKey) -> Result<Imported, JsValue> {
    let algorithm = algorithm(key.alg)?;
    let pkcs8 = Uint8Array::from(key.pkcs8.0.as_slice());
    let usages = Array::of1(&"sign".into());
    let imported = subtle()?.import_key_with_object("pkcs8", &pkcs8, &algorithm, false, &usages)?.await?;
    Ok(Imported { algorithm, key: imported.unchecked_into() })
}

async fn import_public(key: &PublicJwk) -> Result<Imported, JsValue> {
    let algorithm = algorithm(key.alg)?;
    // Its numbers alone: what a JWK says of its use besides, hosts read in ways of their own.
    let jwk = JSON::parse(&key.material.to_json())?.unchecked_into::<Object>();
    let usages = Array::of1(&"verify".into());
    let imported = subtle()?.import_key_with_object("jwk", &jwk, &algorithm, false, &usages)?.await?;
    Ok(Imported { algorithm, key: imported.unchecked_into() })
}

/// One object that serves as WebCrypto's parameters for generating, importing, signing and verifying: each takes its own
/// members.
fn algorithm(alg: Alg) -> Result<Object, JsValue> {
    let object = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&object, &name.into(), &value);
    set("hash", "SHA-256".into())?;
    match alg {
        Alg::RS256 | Alg::PS256 => {
            set("name", if alg == Alg::RS256 { "RSASSA-PKCS1-v1_5" } else { "RSA-PSS" }.into())?;
            set("modulusLength", 2048.into())?;
            set("publicExponent", Uint8Array::from(PUBLIC_EXPONENT.as_slice()).into())?;
            // RFC 7518 §3.5: as long as the hash.
            set("saltLength", 32.into())?;
        }
        Alg::ES256 => {
            set("name", "ECDSA".into())?;
            set("namedCurve", "P-256".into())?;
        }
        Alg::EdDSA => {
            set("name", "Ed25519".into())?;
        }
    }
    Ok(object)
}

fn subtle() -> Result<SubtleCrypto, JsValue> {
    Ok(js_sys::global().unchecked_into::<WorkerGlobalScope>().crypto()?.subtle())
}

fn fault(error: JsValue) -> Fault {
    Fault::Crypto(message_of(&error))
}
