//! HTML responses: their headers, and the page for each refusal and fault.

use crate::context::Context;
use crate::error::{Error, Refusal, Told};
use crate::http::Response;
use crate::oauth::client_metadata::ClientMetadata;
use crate::platform::Platform;
use crate::tenant::Tenant;
use crate::ui::{self, ClientCard, ErrorPage, Policy, Site};

/// How pages name the tenant.
#[must_use]
pub fn site(tenant: &Tenant) -> Site<'_> {
    Site { name: tenant.name(), base: tenant.path() }
}

/// How pages show a client.
#[must_use]
pub fn card<'a>(client_id: &'a str, client: &'a ClientMetadata) -> ClientCard<'a> {
    ClientCard {
        name: client.client_name.as_deref().unwrap_or(client_id),
        client_uri: client.client_uri.as_deref(),
        logo_uri: client.logo_uri.as_deref(),
        policy_uri: client.policy_uri.as_deref(),
        tos_uri: client.tos_uri.as_deref(),
    }
}

/// A page with the strictest policy that it works under.
#[must_use]
pub fn page(status: u16, html: String, policy: &Policy<'_>) -> Response {
    Response::new(status)
        .with("content-type", "text/html; charset=utf-8")
        .with("cache-control", "no-store")
        .with("content-security-policy", ui::content_security_policy(policy))
        .with("referrer-policy", "same-origin")
        .with("x-frame-options", "DENY")
        .body(html)
}

/// A page without form targets or images from elsewhere.
#[must_use]
pub fn plain(status: u16, html: String) -> Response {
    page(status, html, &Policy { form_action: None, image: None, script: false })
}

/// The page for something that went wrong.
pub fn error<P: Platform>(context: &Context<'_, P>, tenant: Option<&Tenant>, error: &Error) -> Response {
    let site = tenant.map(site);
    match error {
        Error::Refused(refusal) => {
            let Told { status, code, text, .. } = refusal.told();
            if status == 404 {
                return plain(status, ui::not_found(site, &context.request_id));
            }
            // A page has no challenge to offer, so 401 would promise something.
            let status = if status == 401 { 400 } else { status };
            plain(
                status,
                ui::error(&ErrorPage {
                    site,
                    title: title(refusal, code),
                    text: &text,
                    advice: (!is_about_set_up(refusal)).then_some(ErrorPage::START_AGAIN),
                    code: Some(code),
                    request_id: &context.request_id,
                }),
            )
        }
        Error::Broken(_) => plain(
            503,
            ui::error(&ErrorPage {
                site,
                title: "This is not working right now",
                text: "The sign-in service has a problem of its own. Please try again in a minute; \
                       the operator finds more in the log under the number below.",
                advice: Some(ErrorPage::START_AGAIN),
                code: Some("temporarily_unavailable"),
                request_id: &context.request_id,
            }),
        )
        .with("retry-after", "10"),
    }
}

/// Whether the person is the operator, whom no app led here and who is told what to do.
fn is_about_set_up(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::TicketInvalid | Refusal::TicketExpired | Refusal::AlreadySetUp)
}

fn title(refusal: &Refusal, code: &str) -> &'static str {
    match code {
        _ if is_about_set_up(refusal) => "This set-up link does not work",
        "invalid_client" | "unauthorized_client" => "This application is not known here",
        "access_denied" => "This is not allowed",
        _ => "This request cannot be served",
    }
}
