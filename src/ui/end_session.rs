//! The pages of OpenID Connect RP-Initiated Logout 1.0: the question (§2, "the OP SHOULD ask the End-User") and the end.

use super::{ClientCard, Site, render};
use askama::Template;

/// Posts `request` and `answer` (`sign-out` or `stay`) to `{base}/end_session`.
#[derive(Clone, Copy, Template)]
#[template(path = "end_session_confirm.html")]
pub struct EndSessionConfirm<'a> {
    pub site: Site<'a>,
    /// How the signed-in account is called, if the page may say so.
    pub account: Option<&'a str>,
    /// The sealed request.
    pub request: &'a str,
}

#[must_use]
pub fn end_session_confirm(page: &EndSessionConfirm) -> String {
    render(page)
}

/// Shown where no `post_logout_redirect_uri` leads on.
#[derive(Clone, Copy, Debug, Template)]
#[template(path = "signed_out.html")]
pub struct SignedOut<'a> {
    pub site: Site<'a>,
    /// The client that the person came from, to go back to.
    pub client: Option<ClientCard<'a>>,
}

#[must_use]
pub fn signed_out(page: &SignedOut) -> String {
    render(page)
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{self, CLIENT, SITE};
    use super::*;

    #[test]
    fn the_person_can_sign_out_or_stay() {
        for account in [Some("alice"), None] {
            let html = end_session_confirm(&EndSessionConfirm { site: SITE, account, request: "sealed" });
            hostile::assert_sound(&html);
            assert!(html.contains(r#"<form method="post" action="/t/acme/end_session">"#), "{html}");
            assert!(html.contains(r#"<input type="hidden" name="request" value="sealed">"#), "{html}");
            assert!(html.contains(r#"id="sign-out" name="answer" value="sign-out""#), "{html}");
            assert!(html.contains(r#"id="stay" name="answer" value="stay""#), "{html}");
            assert_eq!(html.contains("alice"), account.is_some(), "{html}");
        }
    }

    #[test]
    fn after_signing_out_the_way_back_is_the_home_page_of_the_client() {
        let html = signed_out(&SignedOut { site: SITE, client: Some(CLIENT) });
        hostile::assert_sound(&html);
        assert!(html.contains(r#"href="https://fieldnotes.example/""#), "{html}");
        hostile::assert_sound(&signed_out(&SignedOut { site: SITE, client: None }));
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            end_session_confirm(&EndSessionConfirm { site: hostile::site(value), account: Some(value), request: value })
        });
        hostile::assert_stays_text(|value| {
            signed_out(&SignedOut { site: hostile::site(value), client: Some(hostile::client(value)) })
        });
    }
}
