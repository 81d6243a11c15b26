//! One file an endpoint: parse, check, act, respond.

pub mod admin;
pub mod authorize;
pub mod bearer;
pub mod change;
pub mod client_auth;
pub mod consent;
pub mod cookies;
pub mod end_session;
pub mod health;
pub mod home;
pub mod interaction;
pub mod introspect;
pub mod json;
pub mod jwks;
pub mod maintenance;
pub mod metadata;
pub mod pages;
pub mod register;
pub mod registered_client;
pub mod restore;
pub mod revoke;
pub mod setup;
pub mod sign_in;
pub mod token;
pub mod userinfo;

use crate::error::Refusal;
use crate::http::{Request, Response};
use crate::oauth::form::{self, Form};
use crate::tenant::Tenant;

const FORM: &str = "application/x-www-form-urlencoded";

/// Whether a request says that its body is a form.
pub fn is_form(request: &Request) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
}

/// The form in a request's body (RFC 6749 appendix B); anything but that content type is refused.
pub fn form_body(request: &Request) -> Result<Form, Refusal> {
    if !is_form(request) {
        return Err(Refusal::WrongContentType { expected: FORM });
    }
    let text = std::str::from_utf8(&request.body).map_err(|_| Refusal::MalformedBody("The body is not UTF-8."))?;
    Form::parse(text)
}

/// Longest query that a POST is turned into, in bytes: what hosts and the proxies before them bear.
const LONGEST_QUERY: usize = 8 * 1024;

/// Lax cookies do not come with a cross-site POST (design.md §8): ask again by GET, where they do.
pub fn again_by_get<'a>(
    tenant: &Tenant,
    path: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Response, Refusal> {
    let query = form::encode(parameters);
    if query.len() > LONGEST_QUERY {
        return Err(Refusal::RequestTooLarge);
    }
    Ok(Response::new(303)
        .with("location", format!("{}?{query}", tenant.url(path)))
        .with("cache-control", "no-store")
        .with("referrer-policy", "no-referrer"))
}

/// The form in a request's query.
pub fn query(request: &Request) -> Result<Form, Refusal> {
    Form::parse(request.query.as_deref().unwrap_or_default())
}
