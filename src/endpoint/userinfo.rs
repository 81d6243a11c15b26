//! UserInfo, OpenID Connect Core §5.3. One read on the primary, so that a revocation counts at once.

use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::jose::jws;
use crate::oauth::scope::{OPENID, Scope};
use crate::oidc::claims::{ClaimsRequest, for_userinfo};
use crate::oidc::tokens::USERINFO;
use crate::platform::{Alg, Platform};
use crate::store::first_row;
use crate::store::tokens::Standing;
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
    let token = bearer::verify(context, tenant, &token, &[bearer::issuer_audience(tenant)]).await?; // 2
    let claims = &token.claims;
    let scope = Scope::stored(&claims.scope);
    if claims.grant_id.is_none() || !scope.contains(OPENID) {
        return Err(Refusal::InsufficientScope { needed: OPENID }.into()); // 3
    }
    let answer = context.sql(&[token.standing(tenant)], bearer::standing_of_now()).await?; // 4
    let standing = first_row(&answer, 0).map(Standing::from_row).transpose()?;
    let standing = standing.filter(|standing| !standing.client_disabled && !standing.revoked);
    let Some(Standing { client, grant: Some(grant), .. }) = standing.filter(Standing::has_live_grant) else {
        return Err(Refusal::TokenInvalid("token_revoked").into());
    };
    let user = grant.user.ok_or(Refusal::TokenInvalid("user_gone"))?;
    let asked = ClaimsRequest::stored(&grant.claims_request);
    let body = for_userinfo(&claims.sub, &user, &scope, &asked);
    match client.userinfo_signed_response_alg {
        None => Ok(Response::json(200, &Value::Object(body))), // 5
        Some(alg) => signed(context, tenant, alg, &claims.client_id, body).await,
    }
}

/// §5.3.2: as a JWT, for clients that registered for it; `iss` and `aud` say whose it is.
async fn signed<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    alg: Alg,
    client_id: &str,
    mut body: Map<String, Value>,
) -> Result<Response, Error> {
    body.insert("iss".to_owned(), json!(tenant.issuer()));
    body.insert("aud".to_owned(), json!(client_id));
    let key = tenant.signing_key(alg, &context.configuration().await.region, context.now())?;
    let token = jws::sign(context, &key, USERINFO, &Value::Object(body)).await?;
    Ok(Response::new(200)
        .with("content-type", "application/jwt")
        .with("cache-control", "no-store")
        .body(token.into_bytes()))
}
