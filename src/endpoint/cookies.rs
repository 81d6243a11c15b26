//! Our two cookies (design.md §3, §8): the session (sealed, Lax) and the pre-session that binds forms to a browser. Names carry
//! the tenant's id, since tenants may share a host; `__Host-` where the issuer is https.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use crate::context::Context;
use crate::error::Refusal;
use crate::http::Request;
use crate::plant::{Plant, planted};
use crate::platform::Platform;
use crate::seal::Sealed;
use crate::store::sessions::ABSOLUTE_LIFETIME;
use crate::tenant::Tenant;

/// What the session cookie says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionCookie {
    #[serde(rename = "s")]
    pub session_id: String,
    /// Where the database stood when the session was last written to, so that a replica is fresh enough.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub bookmark: Option<String>,
}

impl Sealed for SessionCookie {
    const PURPOSE: &'static str = "session-cookie";
}

/// The session cookie of a request; `None` when there is none or it does not open.
#[must_use]
pub fn session(tenant: &Tenant, request: &Request) -> Option<SessionCookie> {
    tenant.sealer().open(&value(request, &session_name(tenant))?)
}

/// `Set-Cookie` for a session.
pub fn set_session<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, cookie: &SessionCookie) -> String {
    let bookmark = cookie.bookmark.clone().filter(|_| !planted(Plant::BookmarkForgotten));
    let sealed = tenant.sealer().seal(&SessionCookie { bookmark, ..cookie.clone() }, context.random());
    set(tenant, &session_name(tenant), &sealed, Some(ABSOLUTE_LIFETIME))
}

/// `Set-Cookie` that removes the session.
#[must_use]
pub fn clear_session(tenant: &Tenant) -> String {
    set(tenant, &session_name(tenant), "", Some(0))
}

/// The browser that a form is made for.
pub struct Browser {
    /// What a sealed form carries: a hash of the cookie's value.
    pub mark: String,
    /// `Set-Cookie`, if the browser has no cookie of this kind yet.
    pub set_cookie: Option<String>,
}

/// Recognises the browser, or gives it a mark.
pub fn browser<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, request: &Request) -> Browser {
    let name = browser_name(tenant);
    match value(request, &name).filter(|value| value.len() == 22) {
        Some(value) => Browser { mark: mark(&value), set_cookie: None },
        None => {
            let value = context.random_id::<16>();
            Browser { mark: mark(&value), set_cookie: Some(set(tenant, &name, &value, None)) }
        }
    }
}

/// Whether a form that carries `expected` comes from the browser that it was made for (no login CSRF, RFC 9700 §4.7).
pub fn check_browser(tenant: &Tenant, request: &Request, expected: &str) -> Result<(), Refusal> {
    let value = value(request, &browser_name(tenant)).ok_or(Refusal::CookiesMissing)?;
    if bool::from(mark(&value).as_bytes().ct_eq(expected.as_bytes())) { Ok(()) } else { Err(Refusal::FormNotOurs) }
}

fn mark(value: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(value.as_bytes()))
}

fn session_name(tenant: &Tenant) -> String {
    name(tenant, "session")
}

fn browser_name(tenant: &Tenant) -> String {
    name(tenant, "browser")
}

fn name(tenant: &Tenant, kind: &str) -> String {
    let prefix = if tenant.is_secure() { "__Host-" } else { "" };
    format!("{prefix}vedette-{kind}-{}", tenant.id())
}

fn set(tenant: &Tenant, name: &str, value: &str, max_age: Option<i64>) -> String {
    let secure = if tenant.is_secure() { "; Secure" } else { "" };
    let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{max_age}")
}

fn value(request: &Request, name: &str) -> Option<String> {
    request
        .headers
        .iter()
        .filter(|(header, _)| header == "cookie")
        .flat_map(|(_, cookies)| cookies.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.to_owned())
}
