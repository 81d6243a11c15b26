//! Making keys: those that a tenant begins with, and whatever the schedule says is due. Several may make the same one at once;
//! the unique row `(tenant, alg, region, ordinal)` lets one win, and the others read what it wrote.

use crate::context::Context;
use crate::error::Error;
use crate::jose::jwk::PublicJwk;
use crate::platform::{Alg, Platform};
use crate::seal::KeyMaterial;
use crate::store::keys::KeyRow;

use super::schedule::{self, Need, ROTATION_PERIOD, Taken};
use super::wrap;

/// Makes a key that is due, wrapped; it is not stored yet.
pub async fn key<P: Platform>(
    context: &Context<'_, P>,
    tenant_id: &str,
    master: &KeyMaterial,
    need: &Need,
) -> Result<KeyRow, Error> {
    let is_urgent = need.is_urgent(context.now());
    let new = context.platform.generate_key(need.alg).await?;
    let jwk = PublicJwk::from_spki(need.alg, &new.spki)?;
    let wrapped_private = wrap::wrap_private(master, tenant_id, &jwk.kid, &new.pkcs8, context.random());
    // Making it took its time, of which the world must not lose any.
    let published_at = context.now();
    let activates_at = if is_urgent {
        schedule::at_once(published_at)
    } else {
        need.activates_at.max(published_at.plus(schedule::lead()))
    };
    Ok(KeyRow {
        alg: need.alg,
        region: need.region.clone(),
        ordinal: need.ordinal,
        kid: jwk.kid.clone(),
        public_jwk: jwk.to_json(),
        wrapped_private,
        published_at,
        activates_at,
        revoked_at: None,
    })
}

/// The keys that a tenant begins with: for each algorithm one that signs at once, since nobody can have cached an older JWKS,
/// and a standby. Standbys that take long to make (RSA) are left to maintenance, which follows.
pub async fn first_keys<P: Platform>(
    context: &Context<'_, P>,
    tenant_id: &str,
    master: &KeyMaterial,
    taken: &[Taken<'_>],
) -> Result<Vec<KeyRow>, Error> {
    let now = context.now();
    let mut keys = Vec::new();
    for alg in Alg::ALL {
        let mut need = Need {
            alg,
            region: String::new(),
            ordinal: schedule::next_ordinal(taken, alg, ""),
            activates_at: schedule::at_once(now),
        };
        keys.push(key(context, tenant_id, master, &need).await?);
        if !alg.is_slow_to_make() {
            need = Need { ordinal: need.ordinal.saturating_add(1), activates_at: now.plus(ROTATION_PERIOD), ..need };
            keys.push(key(context, tenant_id, master, &need).await?);
        }
    }
    Ok(keys)
}
