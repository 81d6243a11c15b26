//! What a browser does before there is something to measure: sign in, allow.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use url::form_urlencoded::Serializer;

use super::load::expect;
use super::wire::{self, Connection};

pub const FORM: &str = "application/x-www-form-urlencoded";

/// A browser that follows no redirect.
pub struct Browser {
    connection: Connection,
    authority: String,
    cookies: BTreeMap<String, String>,
}

pub struct Page {
    pub location: Option<String>,
    pub body: String,
}

impl Browser {
    pub fn new(port: u16, authority: &str) -> Browser {
        Browser { connection: Connection::new(port), authority: authority.to_owned(), cookies: BTreeMap::new() }
    }

    pub fn get(&mut self, path: &str, status: u16) -> Result<Page> {
        let request = wire::get(&self.authority, path, &[("accept", "text/html"), ("cookie", &self.cookie())]);
        self.send(&request, status).with_context(|| format!("GET {}", path.split('?').next().unwrap_or_default()))
    }

    pub fn post(&mut self, path: &str, fields: &[(&str, &str)], status: u16) -> Result<Page> {
        let request = self.form(path, fields);
        self.send(&request, status).with_context(|| format!("POST {path}"))
    }

    /// The bytes of a posted form.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        let origin = format!("http://{}", self.authority);
        let headers = [
            ("accept", "text/html"),
            ("origin", origin.as_str()),
            ("sec-fetch-site", "same-origin"),
            ("cookie", &self.cookie()),
        ];
        wire::post(&self.authority, path, &headers, FORM, &encoded(fields))
    }

    /// The value of a `Cookie` header.
    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn send(&mut self, request: &[u8], status: u16) -> Result<Page> {
        let answer = self.connection.exchange(request)?;
        for cookie in answer.headers("set-cookie") {
            if let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        expect(&answer, status)?;
        Ok(Page { location: answer.headers("location").next().map(str::to_owned), body: answer.text().to_owned() })
    }
}

impl Page {
    /// The sealed request that a page's form carries.
    pub fn sealed_request(&self) -> Result<&str> {
        let found = self.body.split_once("name=\"request\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        Ok(found.context("the page has no form with a request")?.0)
    }

    /// Whether this is the page that asks for consent.
    pub fn asks_for_consent(&self) -> bool {
        self.body.contains("id=\"allow\"")
    }

    /// The code in the redirect to the client.
    pub fn code(&self) -> Result<String> {
        let Some(location) = &self.location else { bail!("no redirect to the client") };
        code_of(location)
    }
}

/// The code of an authorization response.
pub fn code_of(location: &str) -> Result<String> {
    let query = location.split_once('?').map_or("", |(_, query)| query);
    let code = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code");
    Ok(code.with_context(|| format!("no code in the redirect to {location}"))?.1.into_owned())
}

pub fn encoded(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}
