//! The authorization code grant: redeeming a code, RFC 6749 §4.1.3, OpenID Connect Core §3.1.3, RFC 7636 §4.6.

use crate::context::Context;
use crate::endpoint::authorize;
use crate::endpoint::client_auth::Presented;
use crate::error::{Error, Refusal};
use crate::http::Response;
use crate::oauth::form::Form;
use crate::oauth::grant_type::GrantType;
use crate::oauth::scope::Scope;
use crate::oidc::code::Code;
use crate::plant::{Plant, planted};
use crate::platform::{Freshness, Platform};
use crate::store::first_row;
use crate::store::grants::{self, Attempt, GrantRow, NewGrant, Outcome};
use crate::store::tokens::{self, Standing};
use crate::tenant::Tenant;

use super::issue::{self, Issue};

/// RFC 6749 §4.1.3: 1 open the code, 2 match client and redirect URI, 3 PKCE, 4 redeem in one batch that also authenticates
/// the client, or, when the code has expired, end what came of it, 5 issue.
pub async fn exchange<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    client: &Presented,
    form: &Form,
) -> Result<Response, Error> {
    let code = match open(tenant, client, form) {
        Ok(code) => code,
        Err(refusal) => return super::refuse(context, tenant, client, refusal).await,
    };
    let attempt_id = context.random_id::<16>();
    let attempt = Attempt {
        tenant_id: tenant.id(),
        grant_id: &code.grant_id,
        client_id: &client.client_id,
        secret_hash: client.secret_hash.as_deref(),
        id: &attempt_id,
        now: context.now(),
        address: context.client_address.as_deref(),
        request_id: &context.request_id,
    };
    let scope = Scope::stored(&code.scope);
    let expired = code.check_live(attempt.now);
    let seen = planted(Plant::RedeemReadThenWrite) && is_redeemed(context, tenant, &code).await?;
    let batch = match expired {
        Ok(()) if !seen => grants::redeem(&attempt, &new_grant(&code, &scope)).to_vec(),
        Ok(()) | Err(_) => grants::end_replayed(&attempt).to_vec(),
    };
    let answer = context.sql_idempotent(&batch, Freshness::Primary).await?; // 4
    let outcome = super::check_client(Outcome::of(&answer)?, client, GrantType::AuthorizationCode)?;
    if outcome.grant.is_none() {
        expired?;
    }
    let grant = redeemed(outcome.grant.as_ref(), &attempt_id)?;
    // Where the code was sent to, a replica said. Whoever was there since it is registered no longer gets nothing for it.
    if !(outcome.client.redirect_uris.contains(&code.redirect_uri) || authorize::is_demo(context).await) {
        return Err(Refusal::CodeRedirectUriNotRegistered.into());
    }
    let issue = Issue {
        client_id: &client.client_id,
        client: &outcome.client,
        access_token_lifetime: outcome.access_token_lifetime,
        grant,
        scope: &scope,
        nonce: code.nonce.as_deref(),
        generation: grant.offline.then_some(grant.generation),
    };
    issue::tokens(context, tenant, &issue).await // 5
}

fn open(tenant: &Tenant, client: &Presented, form: &Form) -> Result<Code, Refusal> {
    let code: Code = tenant.sealer().open(form.required("code")?).ok_or(Refusal::CodeUnreadable)?; // 1
    code.check_bound_to(&client.client_id, form.value("redirect_uri"))?; // 2
    code.check_verifier(form.value("code_verifier"))?; // 3
    Ok(code)
}

/// Only for [`Plant::RedeemReadThenWrite`]: looks first.
async fn is_redeemed<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, code: &Code) -> Result<bool, Error> {
    let statement = tokens::standing_of_grant(tenant.id(), &code.client_id, &code.grant_id);
    let answer = context.sql(&[statement], Freshness::Primary).await?;
    let standing = first_row(&answer, 0).map(Standing::from_row).transpose()?;
    Ok(standing.is_some_and(|standing| standing.grant.is_some()))
}

fn new_grant<'a>(code: &'a Code, scope: &Scope) -> NewGrant<'a> {
    NewGrant {
        user_id: &code.user_id,
        session_id: &code.session_id,
        scope: &code.scope,
        claims: &code.claims,
        auth_time: code.auth_time,
        acr: &code.acr,
        amr: &code.amr,
        offline: scope.contains(crate::oauth::scope::OFFLINE_ACCESS),
    }
}

/// What the batch came to: our attempt made the grant, another one did, or nothing was live enough to grant.
fn redeemed<'a>(grant: Option<&'a GrantRow>, attempt_id: &str) -> Result<&'a GrantRow, Refusal> {
    match grant {
        Some(grant) if grant.redeemed_by.as_deref() != Some(attempt_id) => Err(Refusal::CodeReplayed),
        Some(grant) if grant.revoked_at.is_none() && grant.user.is_some() => Ok(grant),
        Some(_) | None => Err(Refusal::GrantNotLive),
    }
}
