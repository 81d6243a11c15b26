//! Refreshing, RFC 6749 §6 and OpenID Connect Core §12, with rotation and reuse detection (RFC 9700 §4.14.2).

use crate::context::Context;
use crate::endpoint::client_auth::Presented;
use crate::error::{Error, Refusal};
use crate::http::Response;
use crate::oauth::form::Form;
use crate::oauth::grant_type::GrantType;
use crate::oauth::scope::Scope;
use crate::oidc::code::RefreshToken;
use crate::plant::{Plant, planted};
use crate::platform::{Freshness, Platform, UnixTime};
use crate::store::grants::{self, Attempt, GRACE, GrantRow, Outcome};
use crate::tenant::Tenant;

use super::issue::{self, Issue};

/// RFC 6749 §6: 1 open the token, 2 match the client, 3 its scope, or a narrower one if asked for, 4 step to the one successor
/// generation in a batch that also authenticates the client, 5 issue.
pub async fn exchange<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    client: &Presented,
    form: &Form,
) -> Result<Response, Error> {
    let (token, scope) = match open(tenant, client, form) {
        Ok(opened) => opened,
        Err(refusal) => return super::refuse(context, tenant, client, refusal).await,
    };
    let now = context.now();
    let attempt_id = context.random_id::<16>();
    let attempt = Attempt {
        tenant_id: tenant.id(),
        grant_id: &token.grant_id,
        client_id: &client.client_id,
        secret_hash: client.secret_hash.as_deref(),
        id: &attempt_id,
        now,
        address: context.client_address.as_deref(),
        request_id: &context.request_id,
    };
    let batch = grants::refresh(&attempt, token.generation);
    let answer = context.sql_idempotent(&batch, Freshness::Primary).await?; // 4
    let outcome = super::check_client(Outcome::of(&answer)?, client, GrantType::RefreshToken)?;
    let (grant, successor) = stepped(outcome.grant.as_ref(), &attempt_id, token.generation, now)?;
    let issue = Issue {
        client_id: &client.client_id,
        client: &outcome.client,
        access_token_lifetime: outcome.access_token_lifetime,
        grant,
        scope: &scope,
        nonce: None,
        generation: Some(successor),
    };
    issue::tokens(context, tenant, &issue).await // 5
}

fn open(tenant: &Tenant, client: &Presented, form: &Form) -> Result<(RefreshToken, Scope), Refusal> {
    let text = form.required("refresh_token")?;
    let token: RefreshToken = tenant.sealer().open(text).ok_or(Refusal::RefreshTokenUnreadable)?; // 1
    if token.client_id != client.client_id {
        return Err(Refusal::RefreshTokenOfAnotherClient); // 2
    }
    let granted = Scope::stored(&token.scope);
    let scope = match form.value("scope").map(Scope::parse).transpose()? {
        None => granted,
        Some(asked) if asked.is_empty() => return Err(Refusal::InvalidScope("The scope is blank.")),
        Some(asked) if asked.is_subset_of(&granted) => asked, // 3
        Some(_) => return Err(Refusal::InvalidScope("The scope goes beyond what was granted.")),
    };
    Ok((token, scope))
}

/// What the batch came to, and the generation of the refresh token to hand out. Whoever holds the previous generation within
/// the grace window gets the same successor.
fn stepped<'a>(
    grant: Option<&'a GrantRow>,
    attempt_id: &str,
    presented: i64,
    now: UnixTime,
) -> Result<(&'a GrantRow, i64), Refusal> {
    let grant = grant.ok_or(Refusal::GrantNotLive)?;
    let is_ours = grant.rotated_by.as_deref() == Some(attempt_id);
    if let Some(revoked_at) = grant.revoked_at {
        let by_this_reuse = revoked_at == now && grant.generation > presented;
        return Err(if by_this_reuse { Refusal::RefreshTokenReused } else { Refusal::GrantNotLive });
    }
    if grant.expires_at <= now || grant.user.is_none() || !grant.consented || !grant.offline {
        return Err(Refusal::GrantNotLive);
    }
    let successor = presented.saturating_add(1);
    let is_next =
        grant.generation == successor || (planted(Plant::GraceForAnyGeneration) && grant.generation > presented);
    let in_grace = now.since(grant.rotated_at) <= GRACE && !planted(Plant::RefreshWithoutGrace);
    if is_next && (is_ours || in_grace) {
        Ok((grant, successor))
    } else if grant.generation > presented {
        Err(Refusal::RefreshTokenSuperseded)
    } else {
        Err(Refusal::GrantNotLive)
    }
}
