//! The consent page.

use super::{ClientCard, ConsentIcon, ConsentItem, Site, outside, render};
use askama::Template;

/// Posts `request` and `answer` (`allow`, `deny` or `switch`) to `{base}/consent`.
#[derive(Clone, Copy, Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    pub site: Site<'a>,
    pub client: ClientCard<'a>,
    /// How the signed-in account is called: its user name.
    pub account: &'a str,
    /// The sealed request.
    pub request: &'a str,
    /// Where both answers lead. A name is what a client says of itself; this is where the person's data goes.
    pub redirect_uri: &'a str,
    pub items: &'a [ConsentItem],
}

#[must_use]
pub fn consent(page: &Consent) -> String {
    render(page)
}

impl Consent<'_> {
    fn destination(&self) -> Option<String> {
        outside::destination(self.redirect_uri)
    }
}

#[cfg(test)]
mod tests {
    use super::super::consent_items;
    use super::super::hostile::{self, CLIENT, SITE};
    use super::*;

    fn page(items: &[ConsentItem]) -> Consent<'_> {
        Consent {
            site: SITE,
            client: CLIENT,
            account: "alice",
            request: "sealed",
            redirect_uri: "https://app.fieldnotes.example/cb",
            items,
        }
    }

    #[test]
    fn the_person_can_allow_deny_or_switch_the_account() {
        let html = consent(&page(&consent_items(&["openid"], &[])));
        hostile::assert_sound(&html);
        assert!(html.contains(r#"<form method="post" action="/t/acme/consent">"#), "{html}");
        assert!(html.contains(r#"<input type="hidden" name="request" value="sealed">"#), "{html}");
        for (id, value) in [("allow", "allow"), ("deny", "deny"), ("switch-account", "switch")] {
            let button = format!(r#"id="{id}" name="answer" value="{value}""#);
            assert!(html.contains(&button), "{button}\n{html}");
        }
    }

    #[test]
    fn the_page_says_who_asks_for_what_on_whose_behalf_and_where_it_goes() {
        let html = consent(&page(&consent_items(&["openid", "offline_access", "notes:read"], &["birthdate"])));
        for words in
            ["Fieldnotes", "alice", "app.fieldnotes.example", "while you are away", "notes:read", "your date of birth"]
        {
            assert!(html.contains(words), "{words}\n{html}");
        }
    }

    #[test]
    fn a_native_app_has_no_host_to_show() {
        let html = consent(&Consent { redirect_uri: "com.example.app:/cb", ..page(&[]) });
        assert!(html.contains("this device") && !html.contains("com.example.app"), "{html}");
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            consent(&Consent {
                site: hostile::site(value),
                client: hostile::client(value),
                account: value,
                request: value,
                redirect_uri: "https://rp.example/",
                items: &consent_items(&[value], &[value]),
            })
        });
    }
}
