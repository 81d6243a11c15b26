//! Making keys: with the tenant, and as a fallback when an algorithm has none. Several isolates may try at once; the unique
//! row `(tenant, alg, region, ordinal)` lets one win, and the others read what it wrote.

use crate::context::Context;
use crate::error::Error;
use crate::jose::jwk::PublicJwk;
use crate::platform::{Alg, Platform, UnixTime};
use crate::seal::KeyMaterial;
use crate::store::grants::TOLERATED_SKEW;
use crate::store::keys::KeyRow;

use super::schedule::ROTATION_PERIOD;
use super::wrap;

/// Makes one key, wrapped; it is not stored yet.
pub async fn key<P: Platform>(
    context: &Context<'_, P>,
    tenant_id: &str,
    master: &KeyMaterial,
    alg: Alg,
    ordinal: i64,
    activates_at: UnixTime,
) -> Result<KeyRow, Error> {
    let new = context.platform.generate_key(alg).await?;
    let jwk = PublicJwk::from_spki(alg, &new.spki)?;
    let wrapped_private = wrap::wrap_private(master, tenant_id, &jwk.kid, &new.pkcs8, context.random());
    Ok(KeyRow {
        alg,
        region: String::new(),
        ordinal,
        kid: jwk.kid.clone(),
        public_jwk: jwk.to_json(),
        wrapped_private,
        published_at: context.now(),
        activates_at,
        revoked_at: None,
    })
}

/// When a first key begins to sign, if it is made now: at once, also by a clock that is behind. Nobody can have cached an
/// older JWKS.
#[must_use]
pub fn at_once(now: UnixTime) -> UnixTime {
    now.plus(-2 * TOLERATED_SKEW)
}

/// The keys that a tenant begins with: for each algorithm one that signs at once and a standby that is published already.
pub async fn first_keys<P: Platform>(
    context: &Context<'_, P>,
    tenant_id: &str,
    master: &KeyMaterial,
) -> Result<Vec<KeyRow>, Error> {
    let now = context.now();
    let mut keys = Vec::new();
    for alg in Alg::ALL {
        keys.push(key(context, tenant_id, master, alg, 1, at_once(now)).await?);
        keys.push(key(context, tenant_id, master, alg, 2, now.plus(ROTATION_PERIOD)).await?);
    }
    Ok(keys)
}
