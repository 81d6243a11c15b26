//! A small HTTP client for an issuer, on this machine or where it is deployed: JSON in the answers, but for backups.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

/// On Spin, set-up makes two RSA keys before it answers: seconds, by luck some tens of them on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Client {
    agent: Agent,
    /// `http://127.0.0.1:PORT` and the issuer's path, or wherever else it is reached.
    base: String,
}

pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Client {
    pub fn new(base: String) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(PATIENCE))
            .build();
        Client { agent: config.into(), base }
    }

    /// For a deployment that is elsewhere: through the proxy that the environment names, and with time for large bodies.
    pub fn remote(base: String) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(180)))
            .build();
        Client { agent: config.into(), base }
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        let response = self.agent.get(self.url(path)).header("accept", "application/json").call();
        answer(response.with_context(|| format!("GET {}", self.url(path)))?)
    }

    pub fn form(&self, path: &str, basic: Option<(&str, &str)>, fields: &[(&str, &str)]) -> Result<Answer> {
        let mut request = self.agent.post(self.url(path)).header("accept", "application/json");
        if let Some((client_id, client_secret)) = basic {
            // RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
            let pair = format!("{}:{}", form_encoded(client_id), form_encoded(client_secret));
            request = request.header("authorization", format!("Basic {}", BASE64_STANDARD.encode(pair)));
        }
        let response = request.send_form(fields.iter().copied());
        answer(response.with_context(|| format!("POST {}", self.url(path)))?)
    }

    pub fn admin(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> Result<Answer> {
        let builder = ureq::http::Request::builder()
            .method(method)
            .uri(self.url(path))
            .header("accept", "application/json")
            .header("authorization", format!("Bearer {token}"));
        let response = match body {
            Some(body) => self.agent.run(builder.header("content-type", "application/json").body(body.to_string())?),
            None => self.agent.run(builder.body(())?),
        };
        answer(response.with_context(|| format!("{method} {}", self.url(path)))?)
    }

    /// What is not JSON, of at most so many bytes; else what was answered instead of it.
    pub fn download(&self, path: &str, token: &str, limit: u64) -> Result<Result<Vec<u8>, Answer>> {
        let request = self.agent.get(self.url(path)).header("authorization", format!("Bearer {token}"));
        let mut response = request.call().with_context(|| format!("GET {}", self.url(path)))?;
        if response.status() != 200 {
            return Ok(Err(answer(response)?));
        }
        let body = response.body_mut().with_config().limit(limit).read_to_vec();
        Ok(Ok(body.context("the answer does not end")?))
    }

    pub fn upload(&self, path: &str, token: &str, body: &[u8]) -> Result<Answer> {
        let request = self.agent.post(self.url(path)).header("authorization", format!("Bearer {token}"));
        let response = request.header("content-type", "application/octet-stream").send(body);
        answer(response.with_context(|| format!("POST {}", self.url(path)))?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl Answer {
    /// The body, when the status is the one that was hoped for.
    pub fn expect(self, status: u16, what: &str) -> Result<Value> {
        if self.status != status {
            bail!("{what}: the issuer answered {} {}", self.status, self.body);
        }
        Ok(self.body)
    }
}

/// A string member that has to be there.
pub fn member(value: &Value, name: &str) -> Result<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("there is no `{name}` in it"))
}

fn answer(mut response: Response<ureq::Body>) -> Result<Answer> {
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().context("the answer does not end")?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, body })
}

fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
