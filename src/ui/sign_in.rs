//! The sign-in page.

use super::{ClientCard, Site, render};
use askama::Template;

/// Posts `request`, `username`, `password` to `{base}/sign-in`.
#[derive(Clone, Copy, Template)]
#[template(path = "sign_in.html")]
pub struct SignIn<'a> {
    pub site: Site<'a>,
    /// Whom the person signs in for, if anybody.
    pub client: Option<ClientCard<'a>>,
    /// The sealed request.
    pub request: &'a str,
    /// What the user name field holds: a `login_hint`, or what was typed before.
    pub username: &'a str,
    pub problem: Option<SignInProblem>,
}

/// Why the form is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProblem {
    WrongNameOrPassword,
    TooManyAttempts {
        retry_after_minutes: u32,
    },
    /// The page was open for longer than its request lives, and this one carries a fresh request.
    Expired,
}

#[must_use]
pub fn sign_in(page: &SignIn) -> String {
    render(page)
}

impl SignInProblem {
    fn text(self) -> String {
        match self {
            Self::WrongNameOrPassword => "That username and password don’t match. Check both and try again.".to_owned(),
            Self::TooManyAttempts { retry_after_minutes } => format!(
                "Too many attempts. To keep the account safe, please wait {} before you try again.",
                duration(retry_after_minutes)
            ),
            Self::Expired => "This page was open for too long. Please sign in again.".to_owned(),
        }
    }

    /// Whether what was typed is at fault, and not only the moment.
    fn is_in_the_fields(self) -> bool {
        self == Self::WrongNameOrPassword
    }
}

fn duration(minutes: u32) -> String {
    match minutes {
        0 | 1 => "a minute".to_owned(),
        2..=90 => format!("{minutes} minutes"),
        _ => format!("{} hours", minutes.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{self, CLIENT, SITE};
    use super::*;

    const PAGE: SignIn = SignIn { site: SITE, client: Some(CLIENT), request: "sealed", username: "", problem: None };

    #[test]
    fn the_form_posts_name_password_and_request_to_the_issuer() {
        let html = sign_in(&PAGE);
        hostile::assert_sound(&html);
        assert!(html.contains(r#"<form method="post" action="/t/acme/sign-in">"#), "{html}");
        assert!(html.contains(r#"<input type="hidden" name="request" value="sealed">"#), "{html}");
        assert!(html.contains(r#"name="username""#) && html.contains(r#"name="password""#), "{html}");
        assert!(html.contains(r#"id="sign-in""#), "{html}");
    }

    #[test]
    fn the_client_is_named_with_logo_policy_and_terms() {
        let html = sign_in(&PAGE);
        assert!(html.contains("<bdi>Fieldnotes</bdi>"), "{html}");
        assert!(html.contains(r#"src="https://fieldnotes.example/logo.png""#), "{html}");
        assert!(html.contains(r#"href="https://fieldnotes.example/privacy""#), "{html}");
        assert!(html.contains(r#"href="https://fieldnotes.example/terms""#), "{html}");
    }

    #[test]
    fn the_first_empty_field_has_the_focus() {
        let field_with_focus = |html: &str| {
            let (before, _) = html.split_once(" autofocus").unwrap();
            before.rsplit_once("name=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
        };
        assert_eq!(field_with_focus(&sign_in(&PAGE)), "username");
        assert_eq!(field_with_focus(&sign_in(&SignIn { username: "alice", ..PAGE })), "password");
    }

    #[test]
    fn a_problem_is_announced_and_tied_to_the_fields() {
        let html = sign_in(&SignIn { problem: Some(SignInProblem::WrongNameOrPassword), ..PAGE });
        assert!(html.contains(r#"role="alert""#) && html.contains("don’t match"), "{html}");
        assert_eq!(html.matches(r#"aria-describedby="problem""#).count(), 2, "{html}");
        assert_eq!(html.matches("aria-invalid").count(), 2, "{html}");
        assert!(html.contains("<title>Error: "), "{html}");

        let html =
            sign_in(&SignIn { problem: Some(SignInProblem::TooManyAttempts { retry_after_minutes: 5 }), ..PAGE });
        assert!(html.contains("wait 5 minutes") && !html.contains("aria-invalid"), "{html}");
    }

    #[test]
    fn waiting_times_are_round() {
        assert_eq!(duration(0), "a minute");
        assert_eq!(duration(15), "15 minutes");
        assert_eq!(duration(91), "2 hours");
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            let (site, client) = (hostile::site(value), Some(hostile::client(value)));
            sign_in(&SignIn { site, client, request: value, username: value, problem: None })
        });
    }
}
