//! The Content-Security-Policy of a page, CSP Level 3. No source list holds anything that a client wrote: of a redirect
//! URI only its scheme gets in, of a logo only an origin that [`outside::image_origin`] made.

use super::outside;
use url::Url;

/// What a page needs beyond its own style sheet and forms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy<'a> {
    /// The redirect URI (or its origin) where answering this page's form may lead: `redirect_uri`,
    /// `post_logout_redirect_uri`, the action of [`super::form_post`].
    pub form_action: Option<&'a str>,
    /// The client's `logo_uri`; give the same value that the page's [`super::ClientCard`] has.
    pub image: Option<&'a str>,
    /// Whether the page runs our script: only [`super::form_post`] does.
    pub script: bool,
}

/// The header's value.
#[must_use]
pub fn content_security_policy(policy: &Policy) -> String {
    let image = policy.image.and_then(outside::image_origin).map(|origin| format!(" {origin}")).unwrap_or_default();
    let form_action = policy.form_action.and_then(form_action).unwrap_or_default();
    let script = if policy.script { " script-src 'self';" } else { "" };
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self'{image};{script} form-action 'self'{form_action}; \
         base-uri 'none'; frame-ancestors 'none'"
    )
}

/// The scheme of a redirect URI as a source, with a space before it.
///
/// Only the scheme, because browsers check every hop: Chromium 156 stays on our page, without a word to the person, when
/// the redirect URI of a client that we did name redirects on to another of its hosts (seen). Naming the origin would
/// stop nobody: who may register a client could have his own named. And a host source cannot say `[::1]` or `a_b`.
fn form_action(redirect_uri: &str) -> Option<String> {
    let url = Url::parse(redirect_uri).ok()?;
    match url.scheme() {
        "https" => Some(" https:".to_owned()),
        // It covers https as well (CSP 3 §6.7.2.9).
        "http" => Some(" http:".to_owned()),
        // They would let a form run script or stay here in disguise; they are no redirect URIs anyway.
        "javascript" | "data" | "blob" | "filesystem" | "about" | "file" | "vbscript" => None,
        // RFC 3986 §3.1 leaves letters, digits, `+`, `-`, `.`, and the parser holds to it.
        scheme => Some(format!(" {scheme}:")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_action_of(redirect_uri: &str) -> String {
        let policy = content_security_policy(&Policy { form_action: Some(redirect_uri), ..Policy::default() });
        let (_, rest) = policy.split_once("form-action 'self'").unwrap();
        rest.split_once(';').unwrap().0.trim().to_owned()
    }

    #[test]
    fn a_plain_page_gets_the_strict_policy() {
        assert_eq!(
            content_security_policy(&Policy::default()),
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
    }

    #[test]
    fn a_page_gets_its_script_the_logo_of_its_client_and_the_way_back() {
        let policy = Policy {
            form_action: Some("https://rp.example/cb"),
            image: Some("https://cdn.rp.example/logo.png"),
            script: true,
        };
        assert_eq!(
            content_security_policy(&policy),
            "default-src 'none'; style-src 'self'; img-src 'self' https://cdn.rp.example; script-src 'self'; \
             form-action 'self' https:; base-uri 'none'; frame-ancestors 'none'"
        );
    }

    #[test]
    fn a_form_may_lead_back_to_every_kind_of_redirect_uri() {
        assert_eq!(form_action_of("https://rp.example/cb"), "https:");
        assert_eq!(form_action_of("https://rp.example"), "https:");
        assert_eq!(form_action_of("http://127.0.0.1:49152/cb"), "http:");
        assert_eq!(form_action_of("http://[::1]:49152/cb"), "http:");
        assert_eq!(form_action_of("com.example.app:/cb"), "com.example.app:");
        assert_eq!(form_action_of("com.example.app:"), "com.example.app:");
        for refused in ["javascript:alert(1)", "data:text/html,x", "'unsafe-inline'", "*", "", "rp.example"] {
            assert_eq!(form_action_of(refused), "", "{refused}");
        }
    }

    #[test]
    fn no_value_of_a_client_adds_a_directive_or_a_source() {
        for hostile in [
            "https://rp.example; script-src *",
            "https://a;script-src/",
            "https://a,default-src/",
            "https://a b/",
            "https://a\r\nset-cookie:x/",
            "https://*/",
            "https://'unsafe-inline'/",
            "x; script-src *:/cb",
            "x'unsafe-inline':/cb",
            "com.example.app: *; script-src *",
        ] {
            let policy =
                content_security_policy(&Policy { form_action: Some(hostile), image: Some(hostile), script: false });
            let directives: Vec<&str> = policy.split("; ").collect();
            assert_eq!(directives.len(), 6, "{policy}");
            assert!(!policy.contains(['*', ',', '\r', '\n']) && !policy.contains("unsafe"), "{policy}");
            assert!(directives.iter().all(|directive| directive.split(' ').count() <= 3), "{policy}");
        }
    }
}
