//! One file a grant type, and what they share: issuing tokens.

pub mod authorization_code;
pub mod client_credentials;
pub mod issue;
pub mod refresh_token;

use crate::endpoint::client_auth::{self, Presented};
use crate::error::{Error, Refusal};
use crate::oauth::grant_type::GrantType;
use crate::platform::Platform;
use crate::store::grants::Outcome;
use crate::tenant::Tenant;

/// A refusal that was found before SQL was asked: the client still has to be who it says, or `invalid_client` comes first.
async fn refuse<P: Platform, T>(
    context: &crate::context::Context<'_, P>,
    tenant: &Tenant,
    client: &Presented,
    refusal: Refusal,
) -> Result<T, Error> {
    client_auth::authenticate(context, tenant, client).await?;
    Err(refusal.into())
}

/// The part of an outcome that is about the client.
fn check_client(outcome: Option<Outcome>, client: &Presented, grant_type: GrantType) -> Result<Outcome, Refusal> {
    match outcome {
        Some(outcome) if !outcome.authenticated => Err(client.refused()),
        Some(outcome) if outcome.client_disabled => Err(Refusal::ClientDisabled),
        Some(outcome) if !outcome.client.allows(grant_type) => Err(Refusal::GrantTypeNotRegistered),
        Some(outcome) => Ok(outcome),
        None => Err(client.refused()),
    }
}
