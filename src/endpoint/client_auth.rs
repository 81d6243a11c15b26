//! Client authentication: client_secret_basic, client_secret_post and none (RFC 6749 §2.3, OpenID Connect Core §9).
//!
//! Here a request is only taken apart; whether the secret is the right one is decided in the SQL batch that acts, by
//! `secret_hash IS ?`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::Request;
use crate::oauth::form::{self, Form};
use crate::oauth::secret;
use crate::plant::{Plant, planted};
use crate::platform::{Freshness, Platform};
use crate::store::clients::{self, ClientRow};
use crate::store::first_row;
use crate::tenant::Tenant;

/// Who a client says it is.
#[derive(Clone, Debug)]
pub struct Presented {
    pub client_id: String,
    /// Hash of the presented secret; `None` when none was presented (public clients).
    pub secret_hash: Option<String>,
    /// Whether it came in an `Authorization: Basic` header (RFC 6749 §5.2 then wants it named in the answer).
    pub basic: bool,
}

impl Presented {
    /// Takes the one authentication out of a request; two at once are refused (RFC 6749 §2.3).
    pub fn of(request: &Request, form: &Form) -> Result<Self, Refusal> {
        if form.value("client_assertion").is_some() || form.value("client_assertion_type").is_some() {
            return Err(Refusal::ClientAuthenticationFailed { basic: false });
        }
        let in_body = form.value("client_secret");
        let authorization = request.header("authorization");
        let basic = authorization
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        match (basic, authorization) {
            (Some(_), _) if in_body.is_some() => Err(Refusal::TwoClientAuthentications),
            (Some((_, credentials)), _) => {
                let (client_id, secret) =
                    decode_basic(credentials).ok_or(Refusal::ClientAuthenticationFailed { basic: true })?;
                if form.value("client_id").is_some_and(|in_form| in_form != client_id) {
                    return Err(Refusal::ClientAuthenticationFailed { basic: true });
                }
                let secret_hash = Some(secret).filter(|secret| !secret.is_empty()).map(|secret| secret::hash(&secret));
                Ok(Self { client_id, secret_hash, basic: true })
            }
            (None, Some(_)) => Err(Refusal::ClientAuthenticationFailed { basic: false }),
            (None, None) => Ok(Self {
                client_id: form.owned("client_id").ok_or(Refusal::ClientAuthenticationMissing)?,
                secret_hash: in_body.map(secret::hash),
                basic: false,
            }),
        }
    }

    /// What to answer when SQL did not know this client with this secret.
    #[must_use]
    pub fn refused(&self) -> Refusal {
        Refusal::ClientAuthenticationFailed { basic: self.basic }
    }

    /// Compares with a client's row.
    pub fn check(&self, client: Option<&ClientRow>) -> Result<(), Refusal> {
        match client {
            Some(client) if client.secret_hash != self.secret_hash => Err(self.refused()),
            Some(client) if client.disabled_at.is_some() => Err(Refusal::ClientDisabled),
            Some(_) => Ok(()),
            None => Err(self.refused()),
        }
    }
}

/// One read on the primary, for endpoints that have nothing else to read, and for refusals that must not come before
/// `invalid_client`.
pub async fn authenticate<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    presented: &Presented,
) -> Result<ClientRow, Error> {
    let freshness = if planted(Plant::StaleClientSecret) { Freshness::AtLeast(None) } else { Freshness::Primary };
    let answer = context.sql(&[clients::by_id(tenant.id(), &presented.client_id)], freshness).await?;
    let client = first_row(&answer, 0).map(ClientRow::from_row).transpose()?;
    presented.check(client.as_ref())?;
    client.ok_or_else(|| presented.refused().into())
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
fn decode_basic(credentials: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (client_id, secret) = decoded.split_once(':')?;
    Some((form::decode(client_id)?, form::decode(secret)?))
}
