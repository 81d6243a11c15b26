//! Token introspection, RFC 7662. For confidential clients: their own tokens, and for resource servers (a column that
//! registration cannot reach) also the access tokens of others.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::oauth::secret;
use crate::oidc::code::RefreshToken;
use crate::platform::{Fault, Platform, Statement};
use crate::store::clients::ClientRow;
use crate::store::grants::GRACE;
use crate::store::tokens::{self, Standing};
use crate::store::{clients, first_row};
use crate::tenant::Tenant;

use super::bearer::{self, AccessToken};
use super::client_auth::Presented;
use super::form_body;

/// RFC 7662 §2: 1 the client authenticates, 2 the token is taken apart, 3 one read says how both stand, 4 answer; whatever
/// is not a live token that this client may know of is just inactive.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let form = form_body(request)?;
    form.check_unique()?;
    let presented = Presented::of(request, &form)?;
    let text = form.required("token")?;
    let token = Token::open(context, tenant, text).await?; // 2
    let mut batch = vec![clients::by_id(tenant.id(), &presented.client_id)];
    batch.extend(token.as_ref().map(|token| token.standing(tenant)));
    let answer = context.sql(&batch, bearer::standing_of_now()).await?; // 3
    let caller = first_row(&answer, 0).map(ClientRow::from_row).transpose()?;
    presented.check(caller.as_ref())?; // 1
    let caller = caller.filter(|caller| !caller.metadata.is_public()).ok_or_else(|| presented.refused())?;
    let standing = first_row(&answer, 1).map(Standing::from_row).transpose()?;
    let active = match (&token, &standing) {
        (Some(token), Some(standing)) if token.is_visible_to(&caller) => token.describe(context, tenant, standing),
        _ => None,
    };
    Ok(Response::json(200, &active.unwrap_or_else(|| json!({ "active": false })))) // 4
}

/// A token of ours.
enum Token {
    Access(Box<AccessToken>),
    Refresh(RefreshToken),
}

impl Token {
    async fn open<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, text: &str) -> Result<Option<Self>, Fault> {
        if let Some(token) = tenant.sealer().open::<RefreshToken>(text) {
            return Ok(Some(Self::Refresh(token)));
        }
        Ok(bearer::access_token(context, tenant, text).await?.map(Box::new).map(Self::Access))
    }

    fn standing(&self, tenant: &Tenant) -> Statement {
        match self {
            Self::Access(token) => token.standing(tenant),
            Self::Refresh(token) => tokens::standing_of_grant(tenant.id(), &token.client_id, &token.grant_id),
        }
    }

    fn is_visible_to(&self, caller: &ClientRow) -> bool {
        match self {
            Self::Access(token) => token.claims.client_id == caller.id || caller.resource_server,
            Self::Refresh(token) => token.client_id == caller.id,
        }
    }

    /// The active answer of §2.2, or nothing.
    fn describe<P: Platform>(&self, context: &Context<'_, P>, tenant: &Tenant, standing: &Standing) -> Option<Value> {
        if standing.client_disabled || standing.revoked {
            return None;
        }
        match (self, &standing.grant) {
            (Self::Access(token), grant) => {
                let claims = &token.claims;
                let grant_is_live = grant.as_ref().is_some_and(|grant| !grant.revoked && grant.user.is_some());
                let secret_is_old = standing.secret_hash.as_deref().map(secret::hash) != claims.secret;
                if (claims.grant_id.is_some() && !grant_is_live) || (claims.secret.is_some() && secret_is_old) {
                    return None;
                }
                let mut body = json!({
                    "active": true,
                    "client_id": claims.client_id,
                    "token_type": "Bearer",
                    "exp": claims.exp,
                    "iat": claims.iat,
                    "sub": claims.sub,
                    "aud": claims.aud,
                    "iss": claims.iss,
                    "jti": claims.jti,
                });
                if let Some(members) = body.as_object_mut().filter(|_| !claims.scope.is_empty()) {
                    members.insert("scope".to_owned(), json!(claims.scope));
                }
                Some(body)
            }
            (Self::Refresh(token), Some(grant)) => {
                let now = context.now();
                let is_current = grant.generation == token.generation
                    || (grant.generation == token.generation.saturating_add(1) && now.since(grant.rotated_at) <= GRACE);
                let is_live = !grant.revoked && grant.offline && grant.expires_at > now && grant.user.is_some();
                (is_current && is_live).then(|| {
                    json!({
                        "active": true,
                        "scope": grant.scope,
                        "client_id": token.client_id,
                        "exp": grant.expires_at.0,
                        "sub": grant.user_id,
                        "iss": tenant.issuer(),
                    })
                })
            }
            (Self::Refresh(_), None) => None,
        }
    }
}
