//! Signing keys by WebCrypto (W3C Web Cryptography §20, §23): RSA in wasm would take ten times as long.

use std::cell::RefCell;

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CryptoKey, CryptoKeyPair, SubtleCrypto, WorkerGlobalScope};

use super::message_of;
use crate::platform::{Alg, Fault, NewKey, PrivateKey, SecretBytes};

/// Imported keys kept by an isolate; tenants sign with one or two each, and importing again costs little.
const KEPT: usize = 32;

/// The public exponent 65537, big-endian.
const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

/// A private key that WebCrypto is ready to sign with.
#[derive(Clone)]
struct Imported {
    kid: String,
    algorithm: Object,
    key: CryptoKey,
}

thread_local! {
    /// The most recently used last.
    static IMPORTED: RefCell<Vec<Imported>> = const { RefCell::new(Vec::new()) };
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
        let Imported { algorithm, key, .. } = match recall(&key.kid) {
            Some(imported) => imported,
            None => import(key).await?,
        };
        let signature = subtle()?.sign_with_object_and_u8_array(&algorithm, &key, input)?.await?;
        Ok(Uint8Array::new(&signature).to_vec())
    };
    sign.await.map_err(fault)
}

/// The key that was imported under `kid`, which becomes the most recently used.
fn recall(kid: &str) -> Option<Imported> {
    IMPORTED.with_borrow_mut(|kept| {
        let position = kept.iter().rposition(|imported| imported.kid == kid)?;
        let imported = kept.remove(position);
        kept.push(imported.clone());
        Some(imported)
    })
}

/// Imports and keeps a key. Two requests may do so at once; the second then replaces the first.
async fn import(key: &PrivateKey) -> Result<Imported, JsValue> {
    let algorithm = algorithm(key.alg)?;
    let pkcs8 = Uint8Array::from(key.pkcs8.0.as_slice());
    let usages = Array::of1(&"sign".into());
    let imported = subtle()?.import_key_with_object("pkcs8", &pkcs8, &algorithm, false, &usages)?.await?;
    let imported = Imported { kid: key.kid.clone(), algorithm, key: imported.unchecked_into() };
    IMPORTED.with_borrow_mut(|kept| {
        kept.retain(|other| other.kid != imported.kid);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(imported.clone());
    });
    Ok(imported)
}

/// One object that serves as WebCrypto's parameters for generating, importing and signing: each takes its own members.
fn algorithm(alg: Alg) -> Result<Object, JsValue> {
    let object = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&object, &name.into(), &value);
    set("hash", "SHA-256".into())?;
    match alg {
        Alg::RS256 => {
            set("name", "RSASSA-PKCS1-v1_5".into())?;
            set("modulusLength", 2048.into())?;
            set("publicExponent", Uint8Array::from(PUBLIC_EXPONENT.as_slice()).into())?;
        }
        Alg::ES256 => {
            set("name", "ECDSA".into())?;
            set("namedCurve", "P-256".into())?;
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
