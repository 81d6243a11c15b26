//! The pages that people see: values in, HTML out.
//!
//! In scope: the text, its escaping, the assets and the Content-Security-Policy that fits them. Out of scope: requests,
//! cookies, storage. Nothing here does I/O, and every page works without JavaScript and without its style sheet.
//!
//! Three rules hold for all pages. Values reach the HTML only through askama's escaper; text that a client chose stands in
//! `<bdi>`, so that it cannot reorder the words around it; and a client's URLs become links or images only through
//! [`outside`], which knows the harmless schemes. Pages that carry sealed requests, tickets or codes have no `Debug`.

mod assets;
mod client_card;
mod consent;
mod consent_words;
mod end_session;
mod error_page;
mod form_post;
mod home;
#[cfg(test)]
mod hostile;
mod outside;
mod policy;
mod setup;
mod sign_in;

pub use assets::{Asset, asset};
pub use client_card::ClientCard;
pub use consent::{Consent, consent};
pub use consent_words::{ConsentIcon, ConsentItem, consent_items};
pub use end_session::{EndSessionConfirm, SignedOut, end_session_confirm, signed_out};
pub use error_page::{ErrorPage, error, not_found};
pub use form_post::{FormPost, form_post};
pub use home::{Home, home};
pub use policy::{Policy, content_security_policy};
pub use setup::{Setup, SetupDone, setup, setup_done};
pub use sign_in::{SignIn, SignInProblem, sign_in};

use askama::Template;

/// The issuer as its pages show it.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Display name of the issuer.
    pub name: &'a str,
    /// Path prefix of the issuer, `""` or like `/t/acme`: every action and asset URL of a page starts with it.
    pub base: &'a str,
}

/// What pages say that belong to no tenant yet.
const PRODUCT: &str = "Vedette";

/// A template of ours fails only if formatting into a `String` fails, which leaves nobody to tell but the person.
fn render(page: &impl Template) -> String {
    page.render().unwrap_or_else(|_| {
        String::from(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Something went wrong</title>\
             <h1>Something went wrong</h1><p>This page could not be made. Please go back and try again.</p></html>",
        )
    })
}
