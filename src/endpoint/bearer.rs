//! Access tokens that come back to us (RFC 6750, RFC 9068 §4): taken out of the request, verified, and for the management API
//! matched with an operator client.

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Method, Request};
use crate::jose::jws::Unverified;
use crate::oauth::form::Form;
use crate::oauth::secret;
use crate::oidc::tokens::{ACCESS_TOKEN, AccessTokenClaims};
use crate::plant::{Plant, planted};
use crate::platform::{Fault, Freshness, Platform, Statement};
use crate::store::first_row;
use crate::store::tokens::{self, Standing};
use crate::tenant::Tenant;
use crate::tenants;

/// The bearer token of a request: in the header, or in a form body (RFC 6750 §2.1, §2.2). Never in the query.
pub fn token(request: &Request) -> Result<String, Refusal> {
    let in_header = in_header(request)?;
    let is_form = request.method == Method::Post && super::is_form(request);
    let in_body = if is_form {
        let form: Form = super::form_body(request)?;
        form.check_unique()?;
        form.owned("access_token")
    } else {
        None
    };
    match (in_header, in_body) {
        (Some(_), Some(_)) => Err(Refusal::TokenTwice),
        (Some(token), None) | (None, Some(token)) => Ok(token),
        (None, None) => Err(Refusal::TokenMissing),
    }
}

/// The token of an `Authorization: Bearer` header; the scheme's case does not matter. Another scheme is as no header at all
/// (§3.1: its sender gets no error code).
pub fn in_header(request: &Request) -> Result<Option<String>, Refusal> {
    let Some(value) = request.header("authorization") else { return Ok(None) };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match token.trim() {
        "" => Err(Refusal::TokenInvalid("token_malformed")),
        token => Ok(Some(token.to_owned())),
    }
}

/// An access token of ours whose signature and times are good. Whether it was revoked, only SQL knows.
#[derive(Debug)]
pub struct AccessToken {
    pub claims: AccessTokenClaims,
    /// What signed it.
    pub kid: String,
}

impl AccessToken {
    /// The read that says how it stands now.
    #[must_use]
    pub fn standing(&self, tenant: &Tenant) -> Statement {
        let claims = &self.claims;
        let presented = tokens::Presented {
            client_id: &claims.client_id,
            jti: &claims.jti,
            grant_id: claims.grant_id.as_deref(),
            kid: &self.kid,
        };
        tokens::standing(tenant.id(), presented)
    }
}

/// RFC 9068 §4: 1 type, 2 signature by a key of ours that is not revoked, 3 issuer, 4 one of these audiences, 5 expiry.
pub async fn verify<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    token: &str,
    audiences: &[String],
) -> Result<AccessToken, Error> {
    let unverified = Unverified::parse(token).ok_or(Refusal::TokenInvalid("token_malformed"))?;
    if unverified.typ() != Some(ACCESS_TOKEN) {
        return Err(Refusal::TokenInvalid("token_of_another_type").into()); // 1
    }
    let key = match unverified.kid() {
        Some(kid) => tenants::public_key(context, tenant, kid).await?,
        None => None,
    };
    let key = key.ok_or(Refusal::TokenInvalid("token_signed_by_unknown_key"))?;
    let claims: Option<AccessTokenClaims> = unverified.verify(context.platform, &key).await?;
    let claims = claims.ok_or(Refusal::TokenInvalid("token_signature_wrong"))?; // 2
    if claims.iss != tenant.issuer() {
        return Err(Refusal::TokenInvalid("token_of_another_issuer").into()); // 3
    }
    if !audiences.contains(&claims.aud) {
        return Err(Refusal::TokenInvalid("token_for_another_audience").into()); // 4
    }
    if context.now().0 >= claims.exp {
        return Err(Refusal::TokenInvalid("token_expired").into()); // 5
    }
    Ok(AccessToken { claims, kid: key.kid.clone() })
}

/// How fresh the standing of a token has to be, for revocations to count at once everywhere.
#[must_use]
pub fn standing_of_now() -> Freshness<'static> {
    if planted(Plant::StaleStanding) { Freshness::AtLeast(None) } else { Freshness::Primary }
}

/// What a live access token of ours says, for whichever audience; nothing, if it is none.
pub async fn access_token<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    token: &str,
) -> Result<Option<AccessToken>, Fault> {
    let audiences = [issuer_audience(tenant), admin_audience(tenant)];
    match verify(context, tenant, token, &audiences).await {
        Ok(token) => Ok(Some(token)),
        Err(Error::Refused(_)) => Ok(None),
        Err(Error::Broken(fault)) => Err(fault),
    }
}

/// The audience of tokens for UserInfo and ordinary resource servers.
#[must_use]
pub fn issuer_audience(tenant: &Tenant) -> String {
    tenant.issuer().to_owned()
}

/// The audience of operator clients' tokens (design.md §7); no request can ask for it.
#[must_use]
pub fn admin_audience(tenant: &Tenant) -> String {
    tenant.url("/admin/api")
}

/// An operator client that may use the management API.
pub struct Operator {
    pub client_id: String,
}

/// The operator behind a request: the token's audience and the client's column both have to say so, and the secret that the
/// token was got with has to be the client's still. Whoever stole one could make himself another before the token expires.
pub async fn operator<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    request: &Request,
) -> Result<Operator, Error> {
    let token = in_header(request)?.ok_or(Refusal::TokenMissing)?;
    let token = verify(context, tenant, &token, &[admin_audience(tenant)]).await?;
    let answer = context.sql(&[token.standing(tenant)], Freshness::Primary).await?;
    let standing = first_row(&answer, 0).map(Standing::from_row).transpose()?;
    match standing {
        Some(standing)
            if standing.operator
                && !standing.client_disabled
                && !standing.revoked
                && standing.secret_hash.as_deref().map(secret::hash) == token.claims.secret =>
        {
            Ok(Operator { client_id: token.claims.client_id })
        }
        Some(standing) if standing.operator => Err(Refusal::TokenInvalid("token_revoked").into()),
        _ => Err(Refusal::NotAnOperator.into()),
    }
}
