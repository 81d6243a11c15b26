//! Authenticated encryption of what we hand out and take back (codes, refresh tokens, pending requests, cookies) and of what
//! we store wrapped (master keys, private keys).
//!
//! XChaCha20-Poly1305: its 192-bit nonces may be random under one long-lived key. Every sealed value begins with a version
//! byte; purpose and owner (the tenant) are associated data, so that no value opens as another kind or elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, AeadInPlace, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::plant::{Plant, planted};

const VERSION: u8 = 1;
const NONCE: usize = 24;

/// 256 bits from which keys are derived: the root secret or a tenant's master. `Debug` does not show it.
#[derive(Clone)]
pub struct KeyMaterial([u8; 32]);

impl std::fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl KeyMaterial {
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// From base64url without padding; `None` when it is not exactly 32 bytes.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key for one use (HKDF-SHA256, RFC 5869; the label keeps uses apart).
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        let mut key = [0; 32];
        // 32 bytes are far below HKDF's limit of 255 blocks, the only way in which this can fail.
        let _ = Hkdf::<Sha256>::new(None, &self.0).expand(label.as_bytes(), &mut key);
        key
    }
}

/// Seals something large where it lies, under a key of its own ([`KeyMaterial::derive`]). What belongs to it in clear is
/// `associated`: changed by a byte, nothing opens.
#[must_use = "what was not sealed is in clear"]
pub fn seal_in_place(key: &[u8; 32], associated: &[u8], nonce: &[u8; NONCE], value: &mut Vec<u8>) -> Option<()> {
    XChaCha20Poly1305::new(key.into()).encrypt_in_place(XNonce::from_slice(nonce), associated, value).ok()
}

/// Opens what [`seal_in_place`] made. `None` leaves nothing that may be used.
#[must_use = "what did not open is anybody's"]
pub fn open_in_place(key: &[u8; 32], associated: &[u8], nonce: &[u8; NONCE], sealed: &mut Vec<u8>) -> Option<()> {
    XChaCha20Poly1305::new(key.into()).decrypt_in_place(XNonce::from_slice(nonce), associated, sealed).ok()
}

/// A kind of sealed value. The text becomes associated data: never reuse one.
pub trait Sealed: Serialize + DeserializeOwned {
    const PURPOSE: &'static str;
}

/// Seals and opens for one owner under keys derived from one [`KeyMaterial`].
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    owner: String,
}

impl Sealer {
    /// `owner` is the tenant's id; every sealed value is bound to it.
    #[must_use]
    pub fn new(material: &KeyMaterial, owner: &str) -> Self {
        // The planted mistake: one key for all tenants, and nothing that tells them apart.
        if planted(Plant::SealWithoutTenant) {
            return Self { cipher: XChaCha20Poly1305::new(&[7; 32].into()), owner: String::new() };
        }
        let key = material.derive("vedette seal v1");
        Self { cipher: XChaCha20Poly1305::new((&key).into()), owner: owner.to_owned() }
    }

    /// Seals a typed value; the result is base64url text.
    #[must_use]
    pub fn seal<T: Sealed>(&self, value: &T, nonce: [u8; NONCE]) -> String {
        // Our own types always serialise; an empty value would simply not open.
        let plain = serde_json::to_vec(value).unwrap_or_default();
        self.seal_bytes(T::PURPOSE, &plain, nonce)
    }

    /// Opens what [`Sealer::seal`] made; `None` for anything else.
    #[must_use]
    pub fn open<T: Sealed>(&self, text: &str) -> Option<T> {
        serde_json::from_slice(&self.open_bytes(T::PURPOSE, text)?).ok()
    }

    #[must_use]
    pub fn seal_bytes(&self, purpose: &str, plain: &[u8], nonce: [u8; NONCE]) -> String {
        let payload = Payload { msg: plain, aad: &self.associated(purpose) };
        // Encryption fails only for messages beyond 256 GiB.
        let sealed = self.cipher.encrypt(XNonce::from_slice(&nonce), payload).unwrap_or_default();
        let mut out = Vec::with_capacity(1 + NONCE + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        URL_SAFE_NO_PAD.encode(out)
    }

    #[must_use]
    pub fn open_bytes(&self, purpose: &str, text: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (nonce, sealed) = rest.split_at_checked(NONCE)?;
        let payload = Payload { msg: sealed, aad: &self.associated(purpose) };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok()
    }

    /// Lengths are written before the texts, so that no two pairs read the same.
    fn associated(&self, purpose: &str) -> Vec<u8> {
        format!("vedette/{}:{}/{}:{}", purpose.len(), purpose, self.owner.len(), self.owner).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(owner: &str) -> Sealer {
        Sealer::new(&KeyMaterial::new([7; 32]), owner)
    }

    #[test]
    fn a_value_opens_only_under_its_purpose_and_owner() {
        let text = sealer("a").seal_bytes("code", b"hello", [1; 24]);
        assert_eq!(sealer("a").open_bytes("code", &text).as_deref(), Some(&b"hello"[..]));
        assert_eq!(sealer("b").open_bytes("code", &text), None);
        assert_eq!(sealer("a").open_bytes("refresh", &text), None);
        assert_eq!(Sealer::new(&KeyMaterial::new([8; 32]), "a").open_bytes("code", &text), None);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let text = sealer("a").seal_bytes("code", b"hello", [1; 24]);
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(sealer("a").open_bytes("code", &URL_SAFE_NO_PAD.encode(changed)), None, "byte {place}");
        }
    }

    #[test]
    fn key_material_shows_nothing_and_wants_exactly_32_bytes() {
        assert_eq!(format!("{:?}", KeyMaterial::new([7; 32])), "Secret(…)");
        assert!(KeyMaterial::from_text(&URL_SAFE_NO_PAD.encode([7; 31])).is_none());
        assert!(KeyMaterial::from_text(&URL_SAFE_NO_PAD.encode([7; 32])).is_some());
        assert!(KeyMaterial::from_text("not base64!").is_none());
    }
}
