//! Requests in the making, and answers taken apart.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;
use vedette::http::{Method, Request, Response};
use vedette::oauth::form::{self, Form};

use super::ISSUER;

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Call(pub Request);

/// A GET at the host of [`ISSUER`].
#[must_use]
pub fn get(path: &str) -> Call {
    Call::new(Method::Get, path)
}

/// A POST at the host of [`ISSUER`].
#[must_use]
pub fn post(path: &str) -> Call {
    Call::new(Method::Post, path)
}

impl Call {
    /// A request at the host of [`ISSUER`]; `path` may carry a query.
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        Self::to(method, &format!("{ISSUER}{path}"))
    }

    /// A request to an absolute URL, whose path and query are sent as they are written.
    #[must_use]
    pub fn to(method: Method, url: &str) -> Self {
        let (before_query, query) = match url.split_once('?') {
            Some((before, query)) => (before, Some(query.to_owned())),
            None => (url, None),
        };
        let (_, after_scheme) = before_query.split_once("://").expect("an absolute URL");
        let (host, path) = after_scheme.find('/').map_or((after_scheme, "/"), |at| after_scheme.split_at(at));
        Self(Request {
            method,
            path: path.to_owned(),
            query,
            headers: vec![("host".to_owned(), host.to_owned())],
            body: Vec::new(),
            client_address: Some("192.0.2.1".to_owned()),
        })
    }

    /// With this header, and no other of its name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.0.headers.retain(|(known, _)| known != name);
        self.0.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.header("host", host)
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// `client_secret_basic` (RFC 6749 §2.3.1: both halves form-encoded).
    #[must_use]
    pub fn basic(self, id: &str, secret: &str) -> Self {
        let encoded = |text: &str| form::encode([("", text)]).trim_start_matches('=').to_owned();
        let credentials = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        self.header("authorization", &format!("Basic {credentials}"))
    }

    #[must_use]
    pub fn body(mut self, content_type: &str, body: &str) -> Self {
        self.0.body = body.as_bytes().to_vec();
        self.header("content-type", content_type)
    }

    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", &body.to_string())
    }

    #[must_use]
    pub fn form(self, pairs: &[(&str, &str)]) -> Self {
        self.body("application/x-www-form-urlencoded", &form::encode(pairs.iter().copied()))
    }

    /// As a browser asks for a page.
    #[must_use]
    pub fn for_a_page(self) -> Self {
        self.header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
    }

    /// From another address than everybody else's.
    #[must_use]
    pub fn at_address(mut self, address: &str) -> Self {
        self.0.client_address = Some(address.to_owned());
        self
    }
}

/// What a request was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// The JSON body; null when it is not JSON.
    pub body: Value,
    pub response: Response,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        let body = serde_json::from_slice(&response.body).unwrap_or_default();
        Self { status: response.status, body, response }
    }
}

impl Answer {
    /// The first header of that name; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.response.header(name).unwrap_or_default()
    }

    /// Every header of that name.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        self.response.headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_str()).collect()
    }

    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.response.body).expect("a body in UTF-8")
    }

    /// The body of an answer that has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.body
    }

    /// Status and `error` of a JSON body.
    #[track_caller]
    #[must_use]
    pub fn error(&self) -> (u16, &str) {
        let error = self.body["error"].as_str();
        (self.status, error.unwrap_or_else(|| panic!("{} without error: {}", self.status, self.text())))
    }

    /// Status and error code of an error page.
    #[track_caller]
    #[must_use]
    pub fn error_page(&self) -> (u16, &str) {
        assert!(self.header("content-type").starts_with("text/html"), "not a page: {self:?}");
        let code = self.text().split_once("<dt>Error</dt>\n<dd><code>").and_then(|(_, rest)| rest.split_once('<'));
        (self.status, code.map_or("", |(code, _)| code))
    }

    /// Where a redirect leads.
    #[track_caller]
    #[must_use]
    pub fn location(&self) -> &str {
        let location = self.response.header("location");
        location.unwrap_or_else(|| panic!("{} leads nowhere: {}", self.status, self.text()))
    }

    /// The parameters in the query of where a redirect leads.
    #[track_caller]
    #[must_use]
    pub fn query(&self) -> BTreeMap<String, String> {
        let url = Url::parse(self.location()).expect("a URL");
        parameters(url.query().unwrap_or_default())
    }

    /// The parameters in its fragment.
    #[track_caller]
    #[must_use]
    pub fn fragment(&self) -> BTreeMap<String, String> {
        let url = Url::parse(self.location()).expect("a URL");
        parameters(url.fragment().unwrap_or_default())
    }
}

/// Form-encoded parameters, each at most once.
#[track_caller]
#[must_use]
pub fn parameters(text: &str) -> BTreeMap<String, String> {
    let form = Form::parse(text).expect("well-formed parameters");
    assert_eq!(form.check_unique(), Ok(()), "{text}");
    form.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
