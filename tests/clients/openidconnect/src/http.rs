//! HTTP for the crate, which brings none of its own when its features are off: plain http to this machine.

use std::time::Duration;

use anyhow::Result;
use openidconnect::http::{Request, Response, Uri};
use openidconnect::{HttpRequest, HttpResponse};
use serde_json::Value;
use ureq::Agent;

/// Redirects are not followed: a client that did could be led anywhere.
pub fn call(mut request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    if let Some(plain) = plain_http(request.uri()) {
        *request.uri_mut() = plain;
    }
    let (parts, mut body) = agent().run(request)?.into_parts();
    Ok(Response::from_parts(parts, body.read_to_vec()?))
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// A call with a bearer token, for what the crate does not have (RFC 7592).
pub fn json(method: &str, url: &str, token: &str, body: Option<&Value>) -> Result<Answer> {
    let request = Request::builder().method(method).uri(url).header("authorization", format!("Bearer {token}"));
    let response = match body {
        Some(body) => agent().run(request.header("content-type", "application/json").body(body.to_string())?)?,
        None => agent().run(request.body(())?)?,
    };
    let (parts, mut body) = response.into_parts();
    let text = body.read_to_string()?;
    Ok(Answer { status: parts.status.as_u16(), body: serde_json::from_str(&text).unwrap_or(Value::Null) })
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(30)))
        .build();
    config.into()
}

fn plain_http(uri: &Uri) -> Option<Uri> {
    uri.to_string().strip_prefix("https://").and_then(|rest| format!("http://{rest}").parse().ok())
}
