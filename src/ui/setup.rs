//! First-run set-up: the form behind the one-time link, and the page that shows the operator client once.

use super::{PRODUCT, Site, render};
use askama::Template;
use std::borrow::Cow;

/// Posts `ticket`, `issuer_name`, `username`, `password`, `email` and `registration` (`open` or absent) to `{base}/setup`.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub base: &'a str,
    pub ticket: &'a str,
    /// The issuer URL that the ticket is for.
    pub issuer: &'a str,
    /// The display name.
    pub issuer_name: &'a str,
    pub username: &'a str,
    pub email: &'a str,
    pub registration_open: bool,
    /// Why the form is shown again, in a sentence.
    pub problem: Option<&'a str>,
}

#[must_use]
pub fn setup(page: &Setup) -> String {
    render(&SetupView { site: Site { name: PRODUCT, base: page.base }, page })
}

/// Shown once: the secret is stored hashed, and nobody can show it again.
#[derive(Clone, Copy)]
pub struct SetupDone<'a> {
    pub base: &'a str,
    pub issuer: &'a str,
    /// The administrator.
    pub username: &'a str,
    /// The operator client.
    pub client_id: &'a str,
    pub client_secret: &'a str,
}

#[must_use]
pub fn setup_done(page: &SetupDone) -> String {
    render(&SetupDoneView { site: Site { name: PRODUCT, base: page.base }, page })
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupView<'a> {
    site: Site<'a>,
    page: &'a Setup<'a>,
}

#[derive(Template)]
#[template(path = "setup_done.html")]
struct SetupDoneView<'a> {
    site: Site<'a>,
    page: &'a SetupDone<'a>,
}

impl SetupDoneView<'_> {
    /// An endpoint's URL as a word of a POSIX shell.
    fn endpoint(&self, path: &str) -> String {
        shell_word(&format!("{}{path}", self.page.issuer.trim_end_matches('/'))).into_owned()
    }

    fn client_id(&self) -> Cow<'_, str> {
        shell_word(self.page.client_id)
    }
}

/// The text as one word of a POSIX shell.
fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::super::hostile;
    use super::*;

    const PAGE: Setup = Setup {
        base: "/t/acme",
        ticket: "t1cket",
        issuer: "https://id.example/t/acme",
        issuer_name: "",
        username: "",
        email: "",
        registration_open: false,
        problem: None,
    };

    const DONE: SetupDone = SetupDone {
        base: "/t/acme",
        issuer: "https://id.example/t/acme",
        username: "alice",
        client_id: "0p3rat0r",
        client_secret: "s3cr3t",
    };

    #[test]
    fn the_form_posts_everything_that_set_up_needs() {
        let html = setup(&PAGE);
        hostile::assert_sound(&html);
        assert!(html.contains(r#"<form method="post" action="/t/acme/setup">"#), "{html}");
        assert!(html.contains(r#"<input type="hidden" name="ticket" value="t1cket">"#), "{html}");
        for name in ["issuer_name", "username", "password", "email", "registration"] {
            assert!(html.contains(&format!(r#"name="{name}""#)), "{name}\n{html}");
        }
        assert!(html.contains(r#"value="open""#) && !html.contains(" checked"), "{html}");
        assert!(html.contains(r#"id="set-up""#) && html.contains(PAGE.issuer), "{html}");
    }

    #[test]
    fn a_form_shown_again_keeps_what_was_typed_but_the_password() {
        let html = setup(&Setup {
            issuer_name: "Acme ID",
            username: "alice",
            email: "alice@example.com",
            registration_open: true,
            problem: Some("Choose a longer password."),
            ..PAGE
        });
        hostile::assert_sound(&html);
        for part in
            ["Acme ID", "alice", "alice@example.com", " checked", "Choose a longer password.", r#"role="alert""#]
        {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }

    #[test]
    fn the_operator_client_is_shown_with_a_way_to_use_it() {
        let html = setup_done(&DONE);
        hostile::assert_sound(&html);
        for part in [
            "0p3rat0r",
            "s3cr3t",
            "alice",
            r#"href="/t/acme/.well-known/openid-configuration""#,
            "curl -u 0p3rat0r -d grant_type=client_credentials https://id.example/t/acme/token",
            "https://id.example/t/acme/admin/api/tenants",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        assert_eq!(html.matches("s3cr3t").count(), 1, "only where it can be copied from, not in a command line");
    }

    #[test]
    fn a_command_line_has_values_as_single_words() {
        assert_eq!(shell_word("https://id.example:8443/token"), "https://id.example:8443/token");
        assert_eq!(shell_word("a b$(c)'d"), r"'a b$(c)'\''d'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            setup(&Setup {
                base: value,
                ticket: value,
                issuer: value,
                issuer_name: value,
                username: value,
                email: value,
                registration_open: true,
                problem: Some(value),
            })
        });
        hostile::assert_stays_text(|value| {
            setup_done(&SetupDone {
                base: value,
                issuer: value,
                username: value,
                client_id: value,
                client_secret: value,
            })
        });
    }
}
