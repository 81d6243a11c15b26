//! The JWK Set (RFC 7517 §5): every key that may still verify something.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::keys::schedule::{self, JWKS_MAX_AGE};
use crate::platform::{Platform, UnixTime};
use crate::tenant::{Document, Tenant};

/// No SQL while the copy of the tenant is fresh; the body is made once per copy.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    _request: &Request,
) -> Result<Response, Error> {
    let now = context.now();
    let document =
        tenant.document("jwks", now, || Document { body: body(tenant, now), valid_until: valid_until(tenant, now) });
    context.right_until.set(Some(tenant.right_until(&document)));
    Ok(Response::new(200)
        .with("content-type", "application/json")
        .with("cache-control", format!("public, max-age={JWKS_MAX_AGE}"))
        .body(document.body.clone()))
}

fn body(tenant: &Tenant, now: UnixTime) -> Vec<u8> {
    let keys: Vec<Value> =
        tenant.published(now).into_iter().filter_map(|key| serde_json::from_str(&key.public_jwk).ok()).collect();
    json!({ "keys": keys }).to_string().into_bytes()
}

/// The next moment at which a key leaves.
fn valid_until(tenant: &Tenant, now: UnixTime) -> UnixTime {
    let removals = tenant.keys().iter().filter_map(|key| schedule::removed_at(tenant.keys(), key));
    removals.filter(|at| *at > now).min().unwrap_or(UnixTime(i64::MAX))
}
