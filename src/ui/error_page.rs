//! What a person sees when nothing can be sent back to the client.

use super::{PRODUCT, Site, render};
use askama::Template;

#[derive(Clone, Copy, Debug)]
pub struct ErrorPage<'a> {
    /// None before a tenant is known: the page then asks for its assets at the root, `/assets/…`.
    pub site: Option<Site<'a>>,
    /// A few words, "This sign-in link does not work".
    pub title: &'a str,
    /// What happened, for the person, in a sentence or two.
    pub text: &'a str,
    /// What the person can do now, if `text` does not say it.
    pub advice: Option<&'a str>,
    /// The specification's error code, for whoever is asked for help.
    pub code: Option<&'a str>,
    pub request_id: &'a str,
}

impl ErrorPage<'_> {
    /// Advice to those whom an app led here.
    pub const START_AGAIN: &'static str = "Go back to the app that you came from and start again.";
}

#[must_use]
pub fn error(page: &ErrorPage) -> String {
    let site = page.site.unwrap_or(Site { name: PRODUCT, base: "" });
    render(&View { site, page })
}

/// The page for an address where nothing is.
#[must_use]
pub fn not_found(site: Option<Site>, request_id: &str) -> String {
    error(&ErrorPage {
        site,
        title: "There is nothing here",
        text: "No page has this address. If you typed it, check the spelling; if a link brought you here, the link is wrong.",
        advice: Some("Go back to the page that you came from."),
        code: None,
        request_id,
    })
}

#[derive(Template)]
#[template(path = "error.html")]
struct View<'a> {
    site: Site<'a>,
    page: &'a ErrorPage<'a>,
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{self, SITE};
    use super::*;

    #[test]
    fn an_error_says_what_to_do_and_what_to_pass_on() {
        let page = ErrorPage {
            site: Some(SITE),
            title: "This sign-in link does not work",
            text: "The app asked to send you back to an address that it has not registered.",
            advice: Some(ErrorPage::START_AGAIN),
            code: Some("invalid_request"),
            request_id: "7Q4M-K2ZD",
        };
        let html = error(&page);
        hostile::assert_sound(&html);
        for words in [page.title, page.text, "invalid_request", "7Q4M-K2ZD", "start again"] {
            assert!(html.contains(words), "{words}\n{html}");
        }
    }

    #[test]
    fn an_error_before_any_tenant_has_its_assets_at_the_root() {
        let html = not_found(None, "7Q4M-K2ZD");
        hostile::assert_sound(&html);
        assert!(html.contains(r#"href="/assets/style-"#), "{html}");
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            error(&ErrorPage {
                site: Some(hostile::site(value)),
                title: value,
                text: value,
                advice: Some(value),
                code: Some(value),
                request_id: value,
            })
        });
    }
}
