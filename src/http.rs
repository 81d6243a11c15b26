//! Requests and responses as plain data: what a host's entry point hands in and what it sends back.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::platform::UnixTime;

/// Bodies above this many bytes are answered 413 (hosts stop reading one byte after it). [`crate::service::body_limit`] says
/// where another limit holds.
pub const BODY_LIMIT: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    /// Anything else: answered 405.
    Other,
}

impl Method {
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
        }
    }
}

/// The request headers that the core reads, in lower case. Hosts need to hand over no others.
pub const HEADERS_READ: [&str; 10] = [
    "host",
    "accept",
    "authorization",
    "content-type",
    "cookie",
    "origin",
    "sec-fetch-site",
    "access-control-request-method",
    "content-length",
    "content-encoding",
];

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    /// Path of the request target as sent, percent-encoding untouched, beginning with `/`.
    pub path: String,
    /// Query of the request target without the `?`, as sent.
    pub query: Option<String>,
    /// Names in lower case; several of one name stay several.
    pub headers: Vec<(String, String)>,
    /// At most a byte more than [`crate::service::body_limit`] allows.
    pub body: Vec<u8>,
    /// The address of the peer as the host vouches for it (`CF-Connecting-IP`; the last `spin-client-addr`, or what the proxy says
    /// that `CLIENT_ADDRESS_HEADER` trusts), without port.
    pub client_address: Option<String>,
}

impl Request {
    /// The first header of that (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client would rather have HTML than JSON.
    #[must_use]
    pub fn wants_html(&self) -> bool {
        self.header("accept").is_some_and(|accept| accept.contains("text/html"))
    }
}

/// The address in what a host or a proxy says of its peer, without a port: the last of several, which those in front may have
/// been told by the client. IPv4 is always written as IPv4.
#[must_use]
pub fn peer_address(text: &str) -> Option<String> {
    let last = text.rsplit(',').next()?.trim();
    let bare = last.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(last);
    let address = last.parse().map(|with_port: SocketAddr| with_port.ip()).or_else(|_| bare.parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical().to_string())
}

/// One response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Several of one name (`set-cookie`) stay several.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub reuse: Option<Reuse>,
}

/// Leave to answer other requests like this one, without asking the core: GETs of the same path, with the same `Host` header
/// and no query, are answered with the same status, headers and body, only `x-request-id` is new. Each still owes its log line.
///
/// It ends early when the isolate is told to forget what it kept ([`crate::Isolate::telling`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// By the host's clock.
    pub when: Range<UnixTime>,
    /// The log line up to its time, from there up to the request id, and the rest.
    pub log_line: [String; 3],
}

impl Response {
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), reuse: None }
    }

    /// A JSON body; `no-store`, as RFC 6749 §5.1 wants it for anything that may be a token.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status)
            .with("content-type", "application/json")
            .with("cache-control", "no-store")
            .body(body.to_string().into_bytes())
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peers_address_is_the_last_one_without_its_port() {
        let address = |text| peer_address(text);
        assert_eq!(address("192.0.2.1:4711").as_deref(), Some("192.0.2.1"));
        assert_eq!(address("6.6.6.6, 192.0.2.1").as_deref(), Some("192.0.2.1"));
        assert_eq!(address("6.6.6.6,[2001:db8::1]:80").as_deref(), Some("2001:db8::1"));
        assert_eq!(address("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!(address("::ffff:192.0.2.1").as_deref(), Some("192.0.2.1"));
        for text in ["", "unknown", "192.0.2.1, _hidden"] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
