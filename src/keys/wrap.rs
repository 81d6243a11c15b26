//! Wrapping: the root secret wraps each tenant's random master, the master wraps private keys. What is wrapped is bound to
//! its tenant, and a private key also to its `kid`.

use crate::platform::{Fault, PrivateKey, SecretBytes};
use crate::seal::{KeyMaterial, Sealer};
use crate::store::keys::KeyRow;

const MASTER: &str = "master";

fn private_purpose(kid: &str) -> String {
    format!("private-key/{kid}")
}

#[must_use]
pub fn wrap_master(root: &KeyMaterial, tenant_id: &str, master: &KeyMaterial, nonce: [u8; 24]) -> String {
    Sealer::new(root, tenant_id).seal_bytes(MASTER, master.as_bytes(), nonce)
}

pub fn unwrap_master(root: &KeyMaterial, tenant_id: &str, wrapped: &str) -> Result<KeyMaterial, Fault> {
    Sealer::new(root, tenant_id)
        .open_bytes(MASTER, wrapped)
        .and_then(|bytes| bytes.try_into().ok())
        .map(KeyMaterial::new)
        .ok_or_else(|| {
            Fault::Undecodable(format!("the master key of tenant {tenant_id} does not open under this ROOT_SECRET"))
        })
}

#[must_use]
pub fn wrap_private(master: &KeyMaterial, tenant_id: &str, kid: &str, pkcs8: &SecretBytes, nonce: [u8; 24]) -> String {
    Sealer::new(master, tenant_id).seal_bytes(&private_purpose(kid), &pkcs8.0, nonce)
}

pub fn unwrap_private(master: &KeyMaterial, tenant_id: &str, row: &KeyRow) -> Result<PrivateKey, Fault> {
    Sealer::new(master, tenant_id)
        .open_bytes(&private_purpose(&row.kid), &row.wrapped_private)
        .map(|pkcs8| PrivateKey { kid: row.kid.clone(), alg: row.alg, pkcs8: SecretBytes(pkcs8) })
        .ok_or_else(|| Fault::Undecodable(format!("the private key {} of tenant {tenant_id} does not open", row.kid)))
}
