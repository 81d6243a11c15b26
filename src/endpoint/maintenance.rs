//! `POST /maintenance`, for hosts without a scheduler of their own and for operators who want it now. In scope: who may ask, with
//! the secret `MAINTENANCE_SECRET` as a bearer token (RFC 6750 §2.1). What is done is in `maintenance.rs`.

use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::maintenance;
use crate::platform::{Fault, Platform, SecretName};

use super::bearer;

/// In characters.
const SHORTEST_SECRET: usize = 16;

/// 1 who asks knows the secret, 2 all tenants, 3 what it came to. Where no secret is set there is nothing at this address.
pub async fn handle<P: Platform>(context: &Context<'_, P>, request: &Request) -> Result<Response, Error> {
    let secret = match context.platform.secret(SecretName::Maintenance).await {
        Ok(secret) if secret.0.chars().count() < SHORTEST_SECRET => {
            return Err(Fault::SecretMalformed(SecretName::Maintenance).into());
        }
        Ok(secret) => secret.0,
        Err(Fault::SecretMissing(_)) => return Err(Refusal::NotFound.into()),
        Err(fault) => return Err(fault.into()),
    };
    let presented = bearer::in_header(request)?.unwrap_or_default(); // 1
    let digest = |text: &str| Sha256::digest(text.as_bytes());
    if !bool::from(digest(&presented).ct_eq(&digest(&secret))) {
        return Err(Refusal::MaintenanceSecretWrong.into());
    }
    let report = maintenance::all(context).await?; // 2
    let status = if report.failed == 0 { 200 } else { 503 };
    Ok(Response::json(status, &json!(report))) // 3
}
