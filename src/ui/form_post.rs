//! OAuth 2.0 Form Post Response Mode: a form that sends itself, or waits for its button where scripts are off.

use super::{ErrorPage, Site, error, outside, render};
use askama::Template;

/// Needs a policy with `script` and with `form_action` set to `action`.
#[derive(Clone, Copy, Template)]
#[template(path = "form_post.html")]
pub struct FormPost<'a> {
    pub site: Site<'a>,
    /// The redirect URI, `https` or `http`.
    pub action: &'a str,
    /// The response's parameters, in their order.
    pub fields: &'a [(&'a str, &'a str)],
}

#[must_use]
pub fn form_post(page: &FormPost) -> String {
    if outside::is_web(page.action) {
        return render(page);
    }
    error(&ErrorPage {
        site: Some(page.site),
        title: "We cannot send you back",
        text: "The app asked for an answer by form at an address that takes no forms.",
        advice: Some(ErrorPage::START_AGAIN),
        code: Some("invalid_request"),
        request_id: "",
    })
}

impl FormPost<'_> {
    fn destination(&self) -> String {
        outside::destination(self.action).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::hostile::{self, SITE};
    use super::*;

    #[test]
    fn the_form_has_every_parameter_a_script_and_a_button() {
        let html = form_post(&FormPost {
            site: SITE,
            action: "https://rp.example/cb?a=1&b=2",
            fields: &[("code", "c0de"), ("state", "a\"b")],
        });
        hostile::assert_sound(&html);
        assert!(html.contains(r#"<form method="post" action="https://rp.example/cb?a=1&#38;b=2">"#), "{html}");
        assert!(html.contains(r#"<input type="hidden" name="code" value="c0de">"#), "{html}");
        assert!(html.contains(r#"<input type="hidden" name="state" value="a&#34;b">"#), "{html}");
        assert!(html.contains(r#"src="/t/acme/assets/form_post-"#), "{html}");
        assert!(html.contains("<button"), "{html}");
    }

    #[test]
    fn nothing_is_posted_to_an_address_that_runs_script() {
        let html = form_post(&FormPost { site: SITE, action: "javascript:alert(1)", fields: &[("code", "c0de")] });
        assert!(!html.contains("<form") && !html.contains("javascript:") && !html.contains("c0de"), "{html}");
    }

    #[test]
    fn hostile_values_stay_text() {
        hostile::assert_stays_text(|value| {
            let action = format!("https://rp.example/{value}");
            form_post(&FormPost { site: hostile::site(value), action: &action, fields: &[(value, value)] })
        });
    }
}
