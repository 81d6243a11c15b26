//! Requests in the making, and pages taken apart.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use vedette::http::{Method, Request};
use vedette::oauth::form;

/// A request to an absolute URL, whose path and query are sent as they are written.
#[must_use]
pub fn to(method: Method, url: &str) -> Request {
    let (before_query, query) = match url.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (url, None),
    };
    let after_scheme = before_query.split_once("://").map_or(before_query, |(_, after)| after);
    let (host, path) = after_scheme.find('/').map_or((after_scheme, "/"), |at| after_scheme.split_at(at));
    Request {
        method,
        path: path.to_owned(),
        query,
        headers: vec![("host".to_owned(), host.to_owned())],
        body: Vec::new(),
        client_address: Some("192.0.2.1".to_owned()),
    }
}

#[must_use]
pub fn get(url: &str) -> Request {
    to(Method::Get, url)
}

/// A POST of a form.
#[must_use]
pub fn form(url: &str, pairs: &[(&str, &str)]) -> Request {
    let mut request = with(to(Method::Post, url), "content-type", "application/x-www-form-urlencoded");
    request.body = form::encode(pairs.iter().copied()).into_bytes();
    request
}

#[must_use]
pub fn json(method: Method, url: &str, body: &Value) -> Request {
    let mut request = with(to(method, url), "content-type", "application/json");
    request.body = body.to_string().into_bytes();
    request
}

#[must_use]
pub fn with(mut request: Request, name: &str, value: &str) -> Request {
    request.headers.push((name.to_owned(), value.to_owned()));
    request
}

#[must_use]
pub fn bearer(request: Request, token: &str) -> Request {
    with(request, "authorization", &format!("Bearer {token}"))
}

/// A form that a client posts, authenticated by `client_secret_basic`, or as a public client.
#[must_use]
pub fn by_client(url: &str, id: &str, secret: Option<&str>, pairs: &[(&str, &str)]) -> Request {
    match secret {
        Some(secret) => {
            let credentials = STANDARD.encode(format!("{id}:{secret}"));
            with(form(url, pairs), "authorization", &format!("Basic {credentials}"))
        }
        None => form(url, &[pairs, &[("client_id", id)]].concat()),
    }
}

/// The action of the form on a page, and its field `request`.
#[must_use]
pub fn page_form(html: &str) -> Option<(String, String)> {
    let action = between(html, "<form method=\"post\" action=\"", "\"")?;
    let field = html.split("<input type=\"hidden\" ").skip(1).find(|input| input.contains("name=\"request\""))?;
    Some((action, between(field, "value=\"", "\"")?))
}

/// The text between two others. What the pages put there needs no escapes.
fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(found.to_owned())
}
