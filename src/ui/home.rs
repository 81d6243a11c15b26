//! The page at the issuer's root, for whoever wonders what lives there.

use super::{Site, render};
use askama::Template;

#[derive(Clone, Copy, Template)]
#[template(path = "home.html")]
pub struct Home<'a> {
    pub site: Site<'a>,
    pub issuer: &'a str,
    /// How the signed-in account is called, if somebody is signed in.
    pub account: Option<&'a str>,
    /// A sealed request for `{base}/end_session`: with it the page signs out at once, without it by way of the question.
    pub request: Option<&'a str>,
}

#[must_use]
pub fn home(page: &Home) -> String {
    render(page)
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{self, SITE};
    use super::*;

    const PAGE: Home = Home { site: SITE, issuer: "https://id.example/t/acme", account: None, request: None };

    #[test]
    fn the_issuer_and_its_discovery_document_are_named() {
        let html = home(&PAGE);
        hostile::assert_sound(&html);
        assert!(html.contains("https://id.example/t/acme"), "{html}");
        assert!(html.contains(r#"href="/t/acme/.well-known/openid-configuration""#), "{html}");
        assert!(!html.contains("end_session"), "{html}");
    }

    #[test]
    fn who_is_signed_in_can_sign_out() {
        let html = home(&Home { account: Some("alice"), ..PAGE });
        hostile::assert_sound(&html);
        assert!(html.contains("alice") && html.contains(r#"<a href="/t/acme/end_session" id="sign-out">"#), "{html}");
        let html = home(&Home { account: Some("alice"), request: Some("sealed"), ..PAGE });
        hostile::assert_sound(&html);
        assert!(html.contains(r#"action="/t/acme/end_session""#) && html.contains(r#"id="sign-out""#), "{html}");
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            home(&Home { site: hostile::site(value), issuer: value, account: Some(value), request: Some(value) })
        });
    }
}
