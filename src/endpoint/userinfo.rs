//! UserInfo, OpenID Connect Core §5.3. One read on the primary, so that a revocation counts at once.

use std::rc::Rc;

use serde_json::Value;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::oauth::scope::{OPENID, Scope};
use crate::oidc::claims::{ClaimsRequest, for_userinfo};
use crate::platform::{Freshness, Platform};
use crate::store::first_row;
use crate::store::tokens::{self, Standing};
use crate::tenant::Tenant;

use super::bearer;

/// OpenID Connect Core §5.3.1: 1 the token of header or form, 2 verify it, 3 it has to be for a person and `openid`, 4 it and
/// its grant, client and user have to be live, 5 answer the claims.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let token = bearer::token(request)?; // 1
    let claims = bearer::verify(context, tenant, &token, &[bearer::issuer_audience(tenant)]).await?; // 2
    let scope = Scope::stored(&claims.scope);
    let grant_id = claims.grant_id.as_deref().filter(|_| scope.contains(OPENID)); // 3
    let grant_id = grant_id.ok_or(Refusal::InsufficientScope { needed: OPENID })?;
    let statement = tokens::standing(tenant.id(), &claims.client_id, &claims.jti, Some(grant_id));
    let answer = context.sql(&[statement], Freshness::Primary).await?; // 4
    let standing = first_row(&answer, 0).map(Standing::from_row).transpose()?;
    let grant = standing
        .filter(|standing| !standing.client_disabled && !standing.revoked)
        .and_then(|standing| standing.grant)
        .filter(|grant| !grant.revoked)
        .ok_or(Refusal::TokenInvalid("token_revoked"))?;
    let user = grant.user.ok_or(Refusal::TokenInvalid("user_gone"))?;
    let asked = ClaimsRequest::stored(&grant.claims_request);
    let body = Value::Object(for_userinfo(&claims.sub, &user, &scope, &asked));
    Ok(Response::json(200, &body)) // 5
}
