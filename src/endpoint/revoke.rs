//! Token revocation, RFC 7009. A refresh token ends its grant with everything issued from it; an access token ends alone.

use std::rc::Rc;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::oidc::code::RefreshToken;
use crate::oidc::tokens::AccessTokenClaims;
use crate::platform::{Freshness, Platform, UnixTime};
use crate::store::grants::{self, Attempt};
use crate::store::tokens::{self, Revocation};
use crate::tenant::Tenant;

use super::client_auth::{self, Presented};
use super::{bearer, form_body};

/// RFC 7009 §2.1: 1 the client authenticates, 2 the token has to be its own, 3 revoke and record it in one batch. Tokens that
/// we do not know (any more) need no revoking and are answered 200 (§2.2).
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let form = form_body(request)?;
    form.check_unique()?;
    let presented = Presented::of(request, &form)?;
    client_auth::authenticate(context, tenant, &presented).await?; // 1
    let text = form.required("token")?;
    if let Some(token) = tenant.sealer().open::<RefreshToken>(text) {
        revoke_grant(context, tenant, &presented, &token).await?;
    } else if let Some(token) = bearer::access_token(context, tenant, text).await? {
        revoke_access_token(context, tenant, &presented, &token.claims).await?;
    }
    Ok(Response::new(200).with("cache-control", "no-store"))
}

async fn revoke_grant<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    client: &Presented,
    token: &RefreshToken,
) -> Result<(), Error> {
    if token.client_id != client.client_id {
        return Err(Refusal::RefreshTokenOfAnotherClient.into()); // 2
    }
    let attempt = Attempt {
        tenant_id: tenant.id(),
        grant_id: &token.grant_id,
        client_id: &client.client_id,
        secret_hash: client.secret_hash.as_deref(),
        id: &context.random_id::<12>(),
        now: context.now(),
        address: context.client_address.as_deref(),
        request_id: &context.request_id,
    };
    context.sql_idempotent(&grants::revoke(&attempt), Freshness::Primary).await?; // 3
    Ok(())
}

async fn revoke_access_token<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    client: &Presented,
    claims: &AccessTokenClaims,
) -> Result<(), Error> {
    if claims.client_id != client.client_id {
        return Err(Refusal::AccessTokenOfAnotherClient.into()); // 2
    }
    let revocation = Revocation {
        tenant_id: tenant.id(),
        client_id: &client.client_id,
        secret_hash: client.secret_hash.as_deref(),
        jti: &claims.jti,
        expires_at: UnixTime(claims.exp),
        user_id: Some(claims.sub.as_str()).filter(|_| claims.grant_id.is_some()),
        id: &context.random_id::<12>(),
        now: context.now(),
        address: context.client_address.as_deref(),
        request_id: &context.request_id,
    };
    context.sql_idempotent(&tokens::revoke(&revocation), Freshness::Primary).await?; // 3
    Ok(())
}
