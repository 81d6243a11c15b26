//! Wrapping: the root secret wraps each tenant's random master, the master wraps private keys. What is wrapped is bound to
//! its tenant, and a private key also to its `kid`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::plant::{Plant, planted};
use crate::platform::{Fault, PrivateKey, SecretBytes};
use crate::root::Roots;
use crate::seal::{KeyMaterial, Sealer};
use crate::store::keys::KeyRow;
use crate::store::tenants::TenantRow;

const MASTER: &str = "master";
const PEPPER: &str = "pepper";

fn private_purpose(kid: &str) -> String {
    format!("private-key/{kid}")
}

/// Wraps a master under the root that seals.
#[must_use]
pub fn wrap_master(roots: &Roots, tenant_id: &str, master: &KeyMaterial, nonce: [u8; 24]) -> String {
    roots.seal_bytes(tenant_id, MASTER, master.as_bytes(), nonce)
}

pub fn unwrap_master(roots: &Roots, tenant_id: &str, wrapped: &str) -> Result<KeyMaterial, Fault> {
    roots.open_bytes(tenant_id, MASTER, wrapped).and_then(material).ok_or_else(|| {
        Fault::Undecodable(format!("the master key of tenant {tenant_id} does not open under this ROOT_SECRET"))
    })
}

/// The id of the root that a master is wrapped under, if this deployment has it.
#[must_use]
pub fn root_of_master<'a>(roots: &'a Roots, tenant_id: &str, wrapped: &str) -> Option<&'a str> {
    let opens = |material: &KeyMaterial| Sealer::new(material, tenant_id).open_bytes(MASTER, wrapped).is_some();
    roots.all().find(|root| opens(&root.material)).map(|root| root.id.as_str())
}

/// Keeps a pepper where the master that it derived from goes.
#[must_use]
pub fn wrap_pepper(master: &KeyMaterial, tenant_id: &str, pepper: &KeyMaterial, nonce: [u8; 24]) -> String {
    Sealer::new(master, tenant_id).seal_bytes(PEPPER, pepper.as_bytes(), nonce)
}

/// What a tenant's passwords are hashed with (`password.rs`).
pub fn pepper(master: &KeyMaterial, tenant: &TenantRow) -> Result<KeyMaterial, Fault> {
    let Some(wrapped) = &tenant.wrapped_pepper else {
        return Ok(KeyMaterial::new(master.derive("vedette password pepper v1")));
    };
    let opened = Sealer::new(master, &tenant.id).open_bytes(PEPPER, wrapped);
    opened
        .and_then(material)
        .ok_or_else(|| Fault::Undecodable(format!("the pepper of tenant {} does not open", tenant.id)))
}

fn material(bytes: Vec<u8>) -> Option<KeyMaterial> {
    bytes.try_into().ok().map(KeyMaterial::new)
}

#[must_use]
pub fn wrap_private(master: &KeyMaterial, tenant_id: &str, kid: &str, pkcs8: &SecretBytes, nonce: [u8; 24]) -> String {
    if planted(Plant::PrivateKeyInClear) {
        return URL_SAFE_NO_PAD.encode(&pkcs8.0);
    }
    Sealer::new(master, tenant_id).seal_bytes(&private_purpose(kid), &pkcs8.0, nonce)
}

pub fn unwrap_private(sealer: &Sealer, tenant_id: &str, row: &KeyRow) -> Result<PrivateKey, Fault> {
    sealer
        .open_bytes(&private_purpose(&row.kid), &row.wrapped_private)
        .or_else(|| URL_SAFE_NO_PAD.decode(&row.wrapped_private).ok().filter(|_| planted(Plant::PrivateKeyInClear)))
        .map(|pkcs8| PrivateKey { kid: row.kid.clone(), alg: row.alg, pkcs8: SecretBytes(pkcs8) })
        .ok_or_else(|| Fault::Undecodable(format!("the private key {} of tenant {tenant_id} does not open", row.kid)))
}
