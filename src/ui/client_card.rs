//! A client as its pages show it, OpenID Connect Dynamic Client Registration §2: name, logo, home page, policy, terms.

use super::outside;
use std::borrow::Cow;

/// What a client says about itself. URLs that are neither `https` nor `http` on localhost are not shown.
#[derive(Clone, Copy, Debug)]
pub struct ClientCard<'a> {
    /// `client_name`; when empty the page names the host of `client_uri` instead.
    pub name: &'a str,
    pub client_uri: Option<&'a str>,
    pub logo_uri: Option<&'a str>,
    pub policy_uri: Option<&'a str>,
    pub tos_uri: Option<&'a str>,
}

impl ClientCard<'_> {
    pub(super) fn display_name(&self) -> Cow<'_, str> {
        match self.name.trim() {
            "" => {
                self.home_page().and_then(|url| outside::destination(&url)).map_or(Cow::Borrowed("the app"), Cow::Owned)
            }
            name => Cow::Borrowed(name),
        }
    }

    /// Stands where a logo would.
    pub(super) fn initial(&self) -> String {
        initial(&self.display_name())
    }

    pub(super) fn logo(&self) -> Option<String> {
        self.logo_uri.and_then(outside::image)
    }

    pub(super) fn home_page(&self) -> Option<String> {
        self.client_uri.and_then(outside::link)
    }

    /// Words and address of each link.
    pub(super) fn links(&self) -> Vec<(&'static str, String)> {
        [("Website", self.client_uri), ("Privacy policy", self.policy_uri), ("Terms of service", self.tos_uri)]
            .into_iter()
            .filter_map(|(words, url)| Some((words, url.and_then(outside::link)?)))
            .collect()
    }
}

/// The first letter or digit, in upper case; empty when there is none.
pub(super) fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map(|c| c.to_uppercase().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMELESS: ClientCard =
        ClientCard { name: " ", client_uri: None, logo_uri: None, policy_uri: None, tos_uri: None };

    #[test]
    fn a_client_without_a_name_is_called_by_its_host() {
        assert_eq!(NAMELESS.display_name(), "the app");
        let card = ClientCard { client_uri: Some("https://rp.example/about"), ..NAMELESS };
        assert_eq!(card.display_name(), "rp.example");
    }

    #[test]
    fn only_harmless_addresses_are_shown() {
        let card = ClientCard {
            client_uri: Some("javascript:alert(1)"),
            logo_uri: Some("http://rp.example/logo.png"),
            policy_uri: Some("https://rp.example/policy"),
            tos_uri: Some("data:text/html,x"),
            ..NAMELESS
        };
        assert_eq!(card.logo(), None);
        assert_eq!(card.links(), [("Privacy policy", "https://rp.example/policy".to_owned())]);
    }

    #[test]
    fn the_initial_is_the_first_letter() {
        assert_eq!(initial("  \u{201c}\u{e9}clair\u{201d}"), "\u{c9}");
        assert_eq!(initial("\u{1f600}"), "");
    }
}
