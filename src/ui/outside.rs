//! URLs that somebody else chose, made harmless: what may become a link, what may become an image, how a destination is
//! called. In scope: `http` and `https`. Out of scope: whether the other side deserves trust, which no syntax tells.

use url::{Host, Url};

/// Longer ones are dropped: nobody reads them, and a page should not carry them.
const LONGEST: usize = 2048;

/// The URL, in its normal form, if it may be a link: `https`, or `http` on this very machine; no user name or password,
/// which are there to make a host look like another; a host of ordinary characters.
pub(super) fn link(url: &str) -> Option<String> {
    trusted(url).map(String::from)
}

/// The URL, in its normal form, if it may be an image: a link whose origin [`image_origin`] can name.
pub(super) fn image(url: &str) -> Option<String> {
    image_origin(url)?;
    link(url)
}

/// The origin of an image as a CSP source. A host that the CSP grammar cannot write (`host-char`: letters, digits, `-`),
/// or could read as something else (`*`, `;`), has none.
pub(super) fn image_origin(url: &str) -> Option<String> {
    let url = trusted(url)?;
    let host = url.host_str()?;
    let nameable = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    nameable.then(|| url.origin().ascii_serialization())
}

/// The host of a web address, with a port that is not the scheme's own, as a person is told it. Names outside ASCII
/// stay in Punycode, where they cannot look like another.
pub(super) fn destination(url: &str) -> Option<String> {
    let url = web(url)?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// Whether the URL is one that a browser may be told to post a form to.
pub(super) fn is_web(url: &str) -> bool {
    web(url).is_some()
}

fn trusted(url: &str) -> Option<Url> {
    if url.len() > LONGEST {
        return None;
    }
    let url = web(url)?;
    let safe_way = url.scheme() == "https" || is_loopback(&url);
    let undisguised = url.username().is_empty() && url.password().is_none() && has_plain_host(&url);
    (safe_way && undisguised).then_some(url)
}

fn web(url: &str) -> Option<Url> {
    Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http"))
}

/// The parser lets a name have characters that no host on the net has, quotes and semicolons among them.
fn has_plain_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_and_local_http_become_links() {
        assert_eq!(link("https://rp.example/about").as_deref(), Some("https://rp.example/about"));
        assert_eq!(link("http://localhost:3000").as_deref(), Some("http://localhost:3000/"));
        assert_eq!(link("http://app.localhost/").as_deref(), Some("http://app.localhost/"));
        assert_eq!(link("http://127.0.0.1/x").as_deref(), Some("http://127.0.0.1/x"));
        assert_eq!(link("http://[::1]:8080/").as_deref(), Some("http://[::1]:8080/"));
    }

    #[test]
    fn nothing_else_becomes_a_link() {
        for url in [
            "",
            "rp.example",
            "//rp.example/",
            "/about",
            "http://rp.example/",
            "http://localhost.rp.example/",
            "javascript:alert(1)",
            " javascript:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "ftp://rp.example/",
            "https://bank.example@rp.example/",
            "https://a:b@rp.example/",
            "https://",
            "https://*.example/",
            "https://a'b/",
            "https://a;b/",
        ] {
            assert_eq!(link(url), None, "{url}");
        }
        assert_eq!(link(&format!("https://rp.example/{}", "a".repeat(LONGEST))), None);
    }

    #[test]
    fn an_image_needs_an_origin_that_a_policy_can_name() {
        assert_eq!(
            image_origin("https://cdn.rp.example:8443/logo.png?x=;").as_deref(),
            Some("https://cdn.rp.example:8443")
        );
        assert_eq!(image_origin("https://RP.example/").as_deref(), Some("https://rp.example"));
        assert_eq!(image_origin("https://b\u{fc}cher.example/").as_deref(), Some("https://xn--bcher-kva.example"));
        for url in [
            "https://*.example/logo.png",
            "https://*/logo.png",
            "https://a;script-src/logo.png",
            "https://a,b/logo.png",
            "https://a'b/logo.png",
            "https://a_b.example/logo.png",
            "https://[2001:db8::1]/logo.png",
            "data:image/png;base64,AAAA",
        ] {
            assert_eq!(image_origin(url), None, "{url}");
            assert_eq!(image(url), None, "{url}");
        }
    }

    #[test]
    fn a_destination_is_called_by_its_host_and_unusual_port() {
        assert_eq!(destination("https://rp.example/cb?a=b").as_deref(), Some("rp.example"));
        assert_eq!(destination("https://bank.example@rp.example:443/").as_deref(), Some("rp.example"));
        assert_eq!(destination("http://localhost:3000/cb").as_deref(), Some("localhost:3000"));
        assert_eq!(destination("com.example.app:/cb"), None);
    }
}
