//! The client credentials grant, RFC 6749 §4.4. One read, no write: there is no grant behind these tokens.

use serde_json::json;

use crate::context::Context;
use crate::endpoint::bearer;
use crate::endpoint::client_auth::{self, Presented};
use crate::error::{Error, Refusal};
use crate::http::Response;
use crate::oauth::form::Form;
use crate::oauth::grant_type::GrantType;
use crate::oauth::scope::{self, Scope};
use crate::oauth::secret;
use crate::oidc::tokens::{ACCESS_TOKEN_LIFETIME, AccessTokenClaims};
use crate::platform::Platform;
use crate::tenant::Tenant;

use super::issue;

/// RFC 6749 §4.4.2: 1 authenticate the client, which has to be confidential, 2 scope, 3 issue an access token alone.
pub async fn exchange<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    presented: &Presented,
    form: &Form,
) -> Result<Response, Error> {
    let client = client_auth::authenticate(context, tenant, presented).await?; // 1
    if client.metadata.is_public() || !client.metadata.allows(GrantType::ClientCredentials) {
        return Err(Refusal::GrantTypeNotRegistered.into());
    }
    let asked = Scope::parse(form.value("scope").unwrap_or_default())?; // 2
    // The scopes that we know are all about a person; a client alone gets none of them.
    if asked.iter().any(|token| scope::SUPPORTED.contains(&token)) {
        return Err(Refusal::InvalidScope("The scope needs a person; client_credentials has none.").into());
    }
    if !asked.iter().all(|token| client.metadata.scope.is_some() && client.metadata.may_ask_for(token)) {
        return Err(Refusal::InvalidScope("The scope has a token that the client is not registered for.").into());
    }
    let now = context.now();
    let lifetime = client.access_token_lifetime.unwrap_or(ACCESS_TOKEN_LIFETIME);
    let claims = AccessTokenClaims {
        iss: tenant.issuer().to_owned(),
        sub: client.id.clone(),
        aud: if client.operator { bearer::admin_audience(tenant) } else { bearer::issuer_audience(tenant) },
        client_id: client.id,
        iat: now.0,
        exp: now.plus(lifetime).0,
        jti: context.random_id::<16>(),
        scope: asked.to_string(),
        auth_time: None,
        acr: None,
        amr: None,
        grant_id: None,
        secret: client.secret_hash.as_deref().filter(|_| client.operator).map(secret::hash),
    };
    let token = issue::access_token(context, tenant, &claims).await?; // 3
    let mut body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime });
    if !asked.is_empty()
        && let Some(members) = body.as_object_mut()
    {
        members.insert("scope".to_owned(), json!(asked.to_string()));
    }
    Ok(issue::response(&body))
}
