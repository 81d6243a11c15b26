//! Outbound HTTP, only to the component's `allowed_outbound_hosts`. Sockets are closed to guests altogether.
//!
//! In scope: `scheme://host:port` with `*` for a scheme, a host, its subdomains (`*.example.com`) or a port.
//! Out of scope: address ranges, port ranges, `self` and other components (`*.spin.internal`).

use std::sync::Arc;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use wasmtime_wasi::TrappableError;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::p3::{RequestOptions, WasiHttpHooks, default_send_request};

use crate::app::Grants;

pub struct AllowedHosts(Vec<AllowedHost>);

#[derive(Debug)]
struct AllowedHost {
    /// `None` stands for any.
    scheme: Option<String>,
    host: HostPattern,
    /// `None` stands for any.
    port: Option<u16>,
}

#[derive(Debug)]
enum HostPattern {
    Any,
    /// Begins with the dot.
    EndsWith(String),
    Is(String),
}

impl AllowedHosts {
    pub fn parse(patterns: &[String]) -> anyhow::Result<Self> {
        let parse = |pattern: &String| {
            AllowedHost::parse(pattern).with_context(|| format!("allowed_outbound_hosts: {pattern:?} is not usable"))
        };
        Ok(Self(patterns.iter().map(parse).collect::<anyhow::Result<_>>()?))
    }

    pub fn allows(&self, uri: &http::Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else {
            return false;
        };
        let Some(port) = uri.port_u16().or_else(|| default_port(scheme)) else {
            return false;
        };
        self.0.iter().any(|allowed| allowed.allows(scheme, &host.to_ascii_lowercase(), port))
    }
}

impl AllowedHost {
    fn parse(pattern: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = pattern.split_once("://").context("it has no scheme")?;
        let scheme = scheme.to_ascii_lowercase();
        ensure!(scheme == "*" || scheme.chars().all(|c| c.is_ascii_alphabetic()), "its scheme is not one");
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        ensure!(!rest.contains('/'), "paths and address ranges are not known here");
        let (host, port) = match rest.rsplit_once(':') {
            // The colons of a bare IPv6 address are inside its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let port = match port {
            Some("*") => None,
            Some(number) => Some(number.parse().context("its port is not a number or *")?),
            None => Some(default_port(&scheme).context("it needs a port, because its scheme has no usual one")?),
        };
        Ok(Self { scheme: (scheme != "*").then_some(scheme), host: HostPattern::parse(host)?, port })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
            && self.port.is_none_or(|allowed| allowed == port)
            && match &self.host {
                HostPattern::Any => true,
                HostPattern::EndsWith(suffix) => host.ends_with(suffix),
                HostPattern::Is(allowed) => host == allowed,
            }
    }
}

impl HostPattern {
    fn parse(host: &str) -> anyhow::Result<Self> {
        let host = host.to_ascii_lowercase();
        if host == "*" {
            return Ok(Self::Any);
        }
        ensure!(
            host != "self" && host != "self.alt",
            "requests of a component to its own application are not mirrored here"
        );
        let (suffix, is_suffix) = match host.strip_prefix('*') {
            Some(suffix) => (suffix, true),
            None => (host.as_str(), false),
        };
        ensure!(!suffix.is_empty() && !suffix.contains('*'), "a * stands for the whole host or its first part");
        ensure!(!is_suffix || suffix.starts_with('.'), "a * stands for the whole host or its first part");
        Ok(if is_suffix { Self::EndsWith(suffix.to_owned()) } else { Self::Is(suffix.to_owned()) })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The gate that each outbound request passes.
pub struct Outbound {
    component: String,
    grants: Arc<Grants>,
}

impl Outbound {
    pub fn new(component: &str, grants: Arc<Grants>) -> Self {
        Self { component: component.to_owned(), grants }
    }
}

type Body = UnsyncBoxBody<Bytes, ErrorCode>;
type Done = Box<dyn Future<Output = Result<(), ErrorCode>> + Send>;

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: http::Request<Body>,
        options: Option<RequestOptions>,
        _response_processed: Done,
    ) -> Box<dyn Future<Output = Result<(http::Response<Body>, Done), TrappableError<ErrorCode>>> + Send> {
        if !self.grants.allowed_outbound_hosts.allows(request.uri()) {
            eprintln!(
                "component {:?} may not send to {}: add it to allowed_outbound_hosts",
                self.component,
                origin(request.uri())
            );
            return Box::new(async { Err(ErrorCode::HttpRequestDenied.into()) });
        }
        Box::new(async move {
            let (response, done) = default_send_request(request, options).await?;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(done) as Done))
        })
    }
}

/// User information, a path or a query may hold a secret, so they are not printed.
fn origin(uri: &http::Uri) -> String {
    let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(patterns: &[&str], uri: &str) -> bool {
        let patterns: Vec<_> = patterns.iter().map(|pattern| pattern.to_string()).collect();
        AllowedHosts::parse(&patterns).expect("valid patterns").allows(&uri.parse().expect("valid URI"))
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!allows(&[], "https://example.com/"));
    }

    #[test]
    fn scheme_host_and_port_must_all_fit() {
        let only = ["https://example.com"];
        assert!(allows(&only, "https://example.com/path?query"));
        assert!(allows(&only, "https://EXAMPLE.com:443/"));
        assert!(!allows(&only, "http://example.com/"));
        assert!(!allows(&only, "https://example.com:8443/"));
        assert!(!allows(&only, "https://sub.example.com/"));
        assert!(!allows(&only, "https://example.com.evil.test/"));
        assert!(!allows(&only, "https://example.com@evil.test/"));
        assert!(allows(&["http://127.0.0.1:8080/"], "http://127.0.0.1:8080/hook"));
        assert!(allows(&["http://[::1]:8080"], "http://[::1]:8080/hook"));
        assert!(allows(&["http://[::1]"], "http://[::1]/hook"));
    }

    #[test]
    fn a_star_stands_for_a_scheme_a_host_or_a_port() {
        assert!(allows(&["*://*:*"], "http://anything.test:81/"));
        assert!(allows(&["https://*:*"], "https://anything.test:8443/"));
        assert!(!allows(&["https://*:*"], "http://anything.test/"));
        assert!(allows(&["https://*"], "https://anything.test/"));
        assert!(!allows(&["https://*"], "https://anything.test:8443/"));
        assert!(allows(&["http://localhost:*"], "http://localhost:3001/"));
    }

    #[test]
    fn a_star_stands_for_subdomains_but_not_for_the_domain() {
        assert!(allows(&["https://*.example.com"], "https://a.b.example.com/"));
        assert!(!allows(&["https://*.example.com"], "https://example.com/"));
        assert!(!allows(&["https://*.example.com"], "https://evilexample.com/"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "example.com",
            "*://example.com",
            "https://",
            "https://a.*.example.com",
            "https://*example.com",
            "https://example.com/path",
            "http://10.0.0.0/8",
            "http://example.com:80..90",
            "http://self",
            "insecure:allow-all",
        ] {
            assert!(AllowedHosts::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
