//! Redirect URIs: what may be registered, and the proof that one is (RFC 6749 §3.1.2, RFC 8252 §7, RFC 9700 §4.1).
//!
//! Matching is comparison of the exact text. The one exception exists in the demo only: clients marked `demo_redirects` take
//! any http URI on 127.0.0.1 or localhost.

use url::{Host, Url};

use crate::error::Refusal;

/// A redirect URI that was found in its client's registration. Nothing else can be redirected to, and only
/// [`RegisteredRedirect::find`] and [`RegisteredRedirect::stored`] make one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RegisteredRedirect(String);

impl RegisteredRedirect {
    /// The requested URI, if it is one of the registered ones. `any_loopback` is the demo's exception.
    pub fn find(requested: &str, registered: &[String], any_loopback: bool) -> Result<Self, Refusal> {
        if registered.iter().any(|uri| uri == requested) || (any_loopback && is_plain_loopback(requested)) {
            Ok(Self(requested.to_owned()))
        } else {
            Err(Refusal::RedirectUriNotRegistered)
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is http or https, so that a form can be posted to it.
    #[must_use]
    pub fn is_web(&self) -> bool {
        self.0.starts_with("https://") || self.0.starts_with("http://")
    }

    /// This URI with response parameters in its query, after those it was registered with.
    #[must_use]
    pub fn with_query(&self, parameters: &str) -> String {
        let separator = match self.0.find('?') {
            None => "?",
            Some(at) if at + 1 == self.0.len() || self.0.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{}{separator}{parameters}", self.0)
    }

    /// This URI with response parameters in its fragment.
    #[must_use]
    pub fn with_fragment(&self, parameters: &str) -> String {
        format!("{}#{parameters}", self.0)
    }
}

/// What of http may be registered is loopback.
fn is_plain_loopback(uri: &str) -> bool {
    uri.starts_with("http://") && check_web(uri).is_ok()
}

/// Whether the URI's host is this machine (RFC 8252 §7.3, and `localhost`).
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether an application runs on a web server or on the person's device (OpenID Connect Registration §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationType {
    #[default]
    Web,
    Native,
}

/// Checks a URI that somebody wants to register for redirects: https; http on loopback; for native applications also
/// private-use schemes (RFC 8252 §7.1: a reverse domain name). No fragment, no user information, no wildcards.
pub fn check_registrable(uri: &str, application_type: ApplicationType) -> Result<(), &'static str> {
    check_characters(uri)?;
    let url = Url::parse(uri).map_err(|_| "is not an absolute URI")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has user information");
    }
    // The parser reads `https:host/path` as it reads `https://host/path`; a browser that is sent there reads a path of ours.
    let has_authority = uri.split_once(':').is_some_and(|(_, rest)| rest.starts_with("//") && !rest.starts_with("///"));
    if matches!(url.scheme(), "https" | "http") && !has_authority {
        return Err("lacks the two slashes before its host");
    }
    // What is compared later is the text.
    if !uri.starts_with(url.scheme()) {
        return Err("has a scheme that is not in lower case");
    }
    match url.scheme() {
        "https" if url.has_host() => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("uses http on a host that is not loopback; use https"),
        scheme if application_type == ApplicationType::Native && scheme.contains('.') => Ok(()),
        _ if application_type == ApplicationType::Native => {
            Err("has a private-use scheme that is not a reverse domain name, such as com.example.app")
        }
        _ => Err("has a scheme that only native applications may use; use https"),
    }
}

/// What holds for every URI that we may send a browser to.
fn check_characters(uri: &str) -> Result<(), &'static str> {
    if uri.len() > 1000 {
        return Err("is longer than 1000 characters");
    }
    if uri.contains('#') {
        return Err("has a fragment");
    }
    if !uri.bytes().all(|b| matches!(b, 0x21..=0x7e) && !b"\"<>\\^`{|}*".contains(&b)) {
        return Err("has a character that URIs may not have");
    }
    Ok(())
}

/// As [`check_web`], for a page that only people are led to: it may name a part of itself.
pub fn check_page(uri: &str) -> Result<(), &'static str> {
    check_web(uri.split('#').next().unwrap_or_default())
}

/// Checks a URI that a page may link to or that we may send a browser to after sign-out: https, or http on loopback.
pub fn check_web(uri: &str) -> Result<(), &'static str> {
    check_registrable(uri, ApplicationType::Web)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn registered() -> Vec<String> {
        vec!["https://rp.example/cb".to_owned(), "https://rp.example/cb?a=b".to_owned()]
    }

    #[test]
    fn only_the_exact_text_matches() {
        for other in [
            "https://rp.example/cb/",
            "https://rp.example/cb?a=b&c=d",
            "https://rp.example/CB",
            "https://rp.example:443/cb",
            "https://rp.example/cb#x",
            "https://rp.example/cb/../cb",
            "http://127.0.0.1:9/cb",
        ] {
            assert!(RegisteredRedirect::find(other, &registered(), false).is_err(), "{other}");
        }
        assert!(RegisteredRedirect::find("https://rp.example/cb", &registered(), false).is_ok());
    }

    #[test]
    fn the_demo_takes_any_port_on_loopback_and_nothing_else() {
        for good in ["http://127.0.0.1:9/cb", "http://localhost:1234/x?y=z"] {
            assert!(RegisteredRedirect::find(good, &[], true).is_ok(), "{good}");
        }
        for bad in [
            "http://localhost.evil.example/",
            "https://evil.example/",
            "http://localhost@evil.example/",
            "http://evil@localhost/",
            "http://localhost:1/#x",
            "javascript:alert(1)",
            "http://localhost\\@evil.example/",
            "http:localhost/",
            "http:///localhost/",
        ] {
            assert!(RegisteredRedirect::find(bad, &[], true).is_err(), "{bad}");
        }
    }

    #[test]
    fn response_parameters_follow_registered_ones() {
        let plain = RegisteredRedirect("https://rp/cb".to_owned());
        let query = RegisteredRedirect("https://rp/cb?a=b".to_owned());
        assert_eq!(plain.with_query("code=1"), "https://rp/cb?code=1");
        assert_eq!(query.with_query("code=1"), "https://rp/cb?a=b&code=1");
        assert_eq!(query.with_fragment("code=1"), "https://rp/cb?a=b#code=1");
    }

    #[test]
    fn what_may_be_registered() {
        use ApplicationType::{Native, Web};
        for (uri, kind) in [
            ("https://rp.example/cb", Web),
            ("http://localhost:3000/cb", Web),
            ("http://127.0.0.1/cb", Native),
            ("http://[::1]:9/cb", Native),
            ("com.example.app:/cb", Native),
        ] {
            assert_eq!(check_registrable(uri, kind), Ok(()), "{uri}");
        }
        for (uri, kind) in [
            ("http://rp.example/cb", Web),
            ("https://rp.example/cb#f", Web),
            ("https://*.example/cb", Web),
            ("com.example.app:/cb", Web),
            ("myapp:/cb", Native),
            ("javascript:alert(1)", Web),
            ("data:text/html,x", Native),
            ("https://user@rp.example/", Web),
            ("https:rp.example/cb", Web),
            ("https:///rp.example/cb", Web),
            ("http:localhost/cb", Native),
            ("/relative", Web),
            ("", Web),
        ] {
            assert!(check_registrable(uri, kind).is_err(), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn what_is_not_registered_never_matches(uri in ".{0,60}") {
            prop_assume!(!registered().contains(&uri));
            prop_assert!(RegisteredRedirect::find(&uri, &registered(), false).is_err());
        }
    }
}
