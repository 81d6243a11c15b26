//! Issuing tokens for a grant: access token (RFC 9068), ID token (OpenID Connect Core §2, §3.1.3.3), refresh token.

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::endpoint::bearer;
use crate::error::Error;
use crate::http::Response;
use crate::jose::jws;
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::scope::{self, Scope};
use crate::oidc::claims::{ClaimsRequest, for_id_token};
use crate::oidc::code::RefreshToken;
use crate::oidc::tokens::{ACCESS_TOKEN, ACCESS_TOKEN_LIFETIME, AccessTokenClaims, ID_TOKEN, IdToken};
use crate::platform::{Alg, Platform};
use crate::store::grants::GrantRow;
use crate::tenant::Tenant;

/// What access tokens are signed with: the default of everything that lets us choose.
pub const ACCESS_TOKEN_ALG: Alg = Alg::ES256;

/// What tokens are issued from.
pub struct Issue<'a> {
    pub client_id: &'a str,
    pub client: &'a ClientMetadata,
    pub access_token_lifetime: Option<i64>,
    pub grant: &'a GrantRow,
    /// What these tokens may do: the grant's scope or a part of it.
    pub scope: &'a Scope,
    pub nonce: Option<&'a str>,
    /// The generation of the refresh token to hand out, if any.
    pub generation: Option<i64>,
}

/// RFC 6749 §5.1.
pub async fn tokens<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    issue: &Issue<'_>,
) -> Result<Response, Error> {
    let lifetime = issue.access_token_lifetime.unwrap_or(ACCESS_TOKEN_LIFETIME);
    let claims = access_token_claims(context, tenant, issue, lifetime);
    let access_token = access_token(context, tenant, &claims).await?;
    let mut body = Map::new();
    if issue.scope.contains(scope::OPENID) {
        let id_token = id_token(context, tenant, issue, &access_token).await?;
        body.insert("id_token".to_owned(), Value::String(id_token));
    }
    if let Some(generation) = issue.generation {
        let token = RefreshToken {
            grant_id: issue.grant.id.clone(),
            client_id: issue.client_id.to_owned(),
            generation,
            scope: issue.grant.scope.clone(),
        };
        let sealed = tenant.sealer().seal(&token, context.random());
        body.insert("refresh_token".to_owned(), Value::String(sealed));
    }
    body.insert("access_token".to_owned(), Value::String(access_token));
    body.insert("token_type".to_owned(), json!("Bearer"));
    body.insert("expires_in".to_owned(), json!(lifetime));
    body.insert("scope".to_owned(), json!(issue.scope.to_string()));
    Ok(response(&Value::Object(body)))
}

/// A token response that no cache keeps (RFC 6749 §5.1).
#[must_use]
pub fn response(body: &Value) -> Response {
    Response::json(200, body).with("pragma", "no-cache")
}

/// Signs an access token.
pub async fn access_token<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    claims: &AccessTokenClaims,
) -> Result<String, Error> {
    let key = tenant.signing_key(ACCESS_TOKEN_ALG, &context.configuration().await.region, context.now())?;
    Ok(jws::sign(context, &key, ACCESS_TOKEN, &json!(claims)).await?)
}

fn access_token_claims<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    issue: &Issue<'_>,
    lifetime: i64,
) -> AccessTokenClaims {
    let now = context.now();
    AccessTokenClaims {
        iss: tenant.issuer().to_owned(),
        sub: issue.grant.user_id.clone(),
        aud: bearer::issuer_audience(tenant),
        client_id: issue.client_id.to_owned(),
        iat: now.0,
        exp: now.plus(lifetime).0,
        jti: context.random_id::<16>(),
        scope: issue.scope.to_string(),
        auth_time: Some(issue.grant.auth_time.0),
        acr: Some(issue.grant.acr.clone()),
        amr: Some(issue.grant.amr.split(' ').map(str::to_owned).collect()),
        grant_id: Some(issue.grant.id.clone()),
        secret: None,
    }
}

async fn id_token<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    issue: &Issue<'_>,
    access_token: &str,
) -> Result<String, Error> {
    let now = context.now();
    let key = tenant.signing_key(issue.client.id_token_alg(), &context.configuration().await.region, now)?;
    let request = ClaimsRequest::stored(&issue.grant.claims_request);
    let person = issue.grant.user.as_ref().map(|user| for_id_token(user, &request)).unwrap_or_default();
    let token = IdToken {
        iss: tenant.issuer(),
        sub: &issue.grant.user_id,
        aud: issue.client_id,
        now,
        auth_time: issue.grant.auth_time,
        acr: &issue.grant.acr,
        amr: &issue.grant.amr,
        sid: &issue.grant.session_id,
        nonce: issue.nonce,
        at_hash: Some(jws::half_hash(key.alg, access_token)),
        person,
    };
    Ok(jws::sign(context, &key, ID_TOKEN, &token.claims()).await?)
}
