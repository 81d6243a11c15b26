//! Something that answers an issuer's requests: Vedette on one of its hosts, or the floor. And what each endpoint is sent.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::endpoint::Endpoint;
use super::journey::{Browser, FORM, code_of, encoded};
use super::load::{self, Lane, Repeated, Window, Work, expect, member};
use super::usage;
use super::wire::{self, Answer, Connection};
use crate::http;

pub const SCOPE: &str = "openid profile email address phone offline_access";

/// RFC 7636 appendix B's. One for all codes: it is hashed for each all the same.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const NONCE: &str = "n-0S6_WzA2Mj";

/// Minting for one round: codes live a minute, and the round comes after it.
const MINTING_LIMIT: Duration = Duration::from_secs(25);

/// Requests per second to prepare codes for when nothing is known yet.
const FIRST_GUESS: f64 = 1000.0;

pub struct Target {
    name: &'static str,
    pub port: u16,
    /// The process whose CPU time counts.
    pub server: u32,
    authority: String,
    /// What stands before the paths of documents.
    prefix: &'static str,
    connections: usize,
    client: Client,
    codes: Codes,
    /// What only Vedette is asked for.
    person: Option<Person>,
}

#[derive(Clone)]
struct Client {
    id: String,
    basic: String,
    redirect_uri: String,
}

struct Person {
    username: String,
    password: String,
    admin_token: String,
    /// Signed in.
    cookie: String,
}

/// Where codes come from.
enum Codes {
    /// From `/authorize`, asked by a signed-in browser.
    Minted(Vec<u8>),
    /// One that is as good as any other.
    Any(String),
}

pub struct Tokens {
    pub access_token: String,
    pub refresh_token: String,
    pub id_token: String,
}

impl Target {
    /// The issuer on `port`, with alice signed in and her consent given.
    pub fn vedette(port: u16, state: &Path, connections: usize) -> Result<Target> {
        let path = state.join("demo.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let demo: Value = serde_json::from_str(&text)?;
        let text = |name: &str| http::member(&demo, name);
        let (client_id, client_secret) = (text("client_id")?, text("client_secret")?);
        let client = Client {
            basic: format!("Basic {}", BASE64_STANDARD.encode(format!("{client_id}:{client_secret}"))),
            id: client_id,
            redirect_uri: text("redirect_uri")?,
        };
        let mut target = Target {
            name: "Vedette",
            port,
            server: usage::listener(port)?,
            authority: format!("localhost:{port}"),
            prefix: "",
            connections,
            client,
            codes: Codes::Any(String::new()),
            person: None,
        };
        let (username, password) = (text("username")?, text("password")?);
        let cookie = target.sign_in(&username, &password)?;
        target.codes = Codes::Minted(wire::get(&target.authority, &target.authorize(&[]), &[("cookie", &cookie)]));
        target.person = Some(Person { username, password, admin_token: text("admin_token")?, cookie });
        Ok(target)
    }

    /// A stand-in for `vedette` on another port, whose clients send the same bytes.
    ///
    /// Below `prefix` the floor has the documents a second time, with one log line a request.
    pub fn floor(port: u16, vedette: &Target, prefix: &'static str) -> Result<Target> {
        let code = vedette.codes(1)?.pop().context("no code was minted")?;
        Ok(Target {
            name: "the floor",
            port,
            server: usage::listener(port)?,
            authority: format!("localhost:{port}"),
            prefix,
            connections: vedette.connections,
            client: vedette.client.clone(),
            codes: Codes::Any(code),
            person: None,
        })
    }

    pub fn client_id(&self) -> &str {
        &self.client.id
    }

    pub fn username(&self) -> &str {
        self.person.as_ref().map_or("", |person| &person.username)
    }

    /// What loads an endpoint, all connections ready.
    pub fn driver(&self, endpoint: Endpoint) -> Result<Driver<'_>> {
        match endpoint {
            Endpoint::CodeExchange => self.redeeming(),
            Endpoint::Refresh => self.refreshing(),
            Endpoint::SignIn => self.repeating(self.request(endpoint)?, 1),
            _ => self.repeating(self.request(endpoint)?, self.connections),
        }
    }

    /// The one request that is repeated.
    fn request(&self, endpoint: Endpoint) -> Result<Vec<u8>> {
        let person = || self.person.as_ref().context("the floor has no such endpoint");
        Ok(match endpoint {
            Endpoint::Discovery => self.get(&format!("{}/.well-known/openid-configuration", self.prefix), &[]),
            Endpoint::Jwks => self.get(&format!("{}/jwks", self.prefix), &[]),
            Endpoint::Health => self.get("/health", &[]),
            Endpoint::ClientCredentials => self.token_request(&[("grant_type", "client_credentials")]),
            Endpoint::UserInfo => self.bearer("/userinfo", &self.tokens()?.access_token),
            Endpoint::SignInPage => self.get(&self.authorize(&[]), &[]),
            Endpoint::AuthorizeCode => self.get(&self.authorize(&[]), &[("cookie", &person()?.cookie)]),
            Endpoint::Introspect => self.client_request("/introspect", &[("token", &self.tokens()?.access_token)]),
            Endpoint::Revoke => self.client_request("/revoke", &[("token", &self.tokens()?.access_token)]),
            Endpoint::EndSessionPage => {
                let hint = encoded(&[("id_token_hint", &self.tokens()?.id_token)]);
                self.get(&format!("/end_session?{hint}"), &[("cookie", &person()?.cookie)])
            }
            Endpoint::AdminApi => self.bearer("/admin/api/tenants", &person()?.admin_token),
            Endpoint::Register => {
                let metadata = r#"{"client_name":"Bench","redirect_uris":["https://client.example/callback"]}"#;
                wire::post(&self.authority, "/register", &[], "application/json", metadata)
            }
            Endpoint::Consent => self.consent_request(person()?)?,
            Endpoint::SignIn => self.sign_in_request(person()?)?,
            Endpoint::CodeExchange | Endpoint::Refresh => bail!("{} is no repeated request", endpoint.name()),
        })
    }

    fn repeating(&self, request: Vec<u8>, connections: usize) -> Result<Driver<'_>> {
        let status = Connection::new(self.port).exchange(&request).and_then(|answer| {
            if !(200..400).contains(&answer.status) {
                expect(&answer, 200)?;
            }
            Ok(answer.status)
        })?;
        let work = |_| -> Result<Box<dyn Work>> { Ok(Box::new(Repeated { request: request.clone(), status })) };
        self.lanes(connections, work).map(|lanes| Driver { target: self, lanes, supply: None })
    }

    fn redeeming(&self) -> Result<Driver<'_>> {
        let supply = Supply::default();
        let work =
            |_| -> Result<Box<dyn Work>> { Ok(Box::new(Redeeming { supply: supply.clone(), request: Vec::new() })) };
        let lanes = self.lanes(self.connections, work)?;
        Ok(Driver { target: self, lanes, supply: Some(supply) })
    }

    fn refreshing(&self) -> Result<Driver<'_>> {
        let mut codes = self.codes(self.connections)?;
        let work = |_| -> Result<Box<dyn Work>> {
            let tokens = self.redeem(&codes.pop().context("too few codes were minted")?)?;
            let request =
                |token: &str| self.token_request(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
            // All of a request but the token is the same each time, and no token needs encoding.
            let blank = String::from_utf8(request(""))?;
            let (head, body) = blank.split_once("\r\n\r\n").context("a request has a head and a body")?;
            let head = head.rsplit_once(' ').context("content-length is the last header")?.0;
            let mut chain = Refreshing { head: head.to_owned(), body: body.to_owned(), request: Vec::new() };
            chain.prepare(&tokens.refresh_token);
            Ok(Box::new(chain))
        };
        self.lanes(self.connections, work).map(|lanes| Driver { target: self, lanes, supply: None })
    }

    fn lanes(&self, count: usize, mut work: impl FnMut(usize) -> Result<Box<dyn Work>>) -> Result<Vec<Lane>> {
        (0..count).map(|index| Ok(Lane { connection: Connection::new(self.port), work: work(index)? })).collect()
    }

    /// About `count` codes, none older than [`MINTING_LIMIT`].
    fn codes(&self, count: usize) -> Result<Vec<String>> {
        let request = match &self.codes {
            Codes::Any(code) => return Ok(vec![code.clone(); count]),
            Codes::Minted(request) => request,
        };
        let minted = Arc::new(Mutex::new(Minted { wanted: count, codes: Vec::with_capacity(count) }));
        let work =
            |_| -> Result<Box<dyn Work>> { Ok(Box::new(Minting { request: request.clone(), minted: minted.clone() })) };
        let mut lanes = self.lanes(self.connections.min(count), work)?;
        load::drive(&mut lanes, self.server, MINTING_LIMIT).context("minting codes")?;
        let mut minted = minted.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut minted.codes))
    }

    /// A fresh grant's tokens.
    pub fn tokens(&self) -> Result<Tokens> {
        self.redeem(&self.codes(1)?.pop().context("no code was minted")?)
    }

    fn redeem(&self, code: &str) -> Result<Tokens> {
        let body = self.once(&self.redemption(code))?;
        Ok(Tokens {
            access_token: member(&body, "access_token")?.to_owned(),
            refresh_token: member(&body, "refresh_token")?.to_owned(),
            id_token: member(&body, "id_token")?.to_owned(),
        })
    }

    pub fn refresh(&self, token: &str) -> Result<Value> {
        let request = self.token_request(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
        Ok(serde_json::from_str(&self.once(&request)?)?)
    }

    /// The body of the endpoint's answer to its repeated request.
    pub fn body(&self, endpoint: Endpoint) -> Result<String> {
        self.once(&self.request(endpoint)?)
    }

    pub fn ask(&self, path: &str, body: Option<&Value>) -> Result<String> {
        self.once(&match body {
            None => self.get(path, &[]),
            Some(body) => wire::post(&self.authority, path, &[], "application/json", &body.to_string()),
        })
    }

    fn once(&self, request: &[u8]) -> Result<String> {
        let mut connection = Connection::new(self.port);
        let answer = connection.exchange(request)?;
        expect(&answer, 200)?;
        Ok(answer.text().to_owned())
    }

    fn redemption(&self, code: &str) -> Vec<u8> {
        self.token_request(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.client.redirect_uri),
            ("code_verifier", VERIFIER),
        ])
    }

    fn token_request(&self, fields: &[(&str, &str)]) -> Vec<u8> {
        self.client_request("/token", fields)
    }

    fn client_request(&self, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
        wire::post(&self.authority, path, &[("authorization", &self.client.basic)], FORM, &encoded(fields))
    }

    fn bearer(&self, path: &str, token: &str) -> Vec<u8> {
        self.get(path, &[("authorization", &format!("Bearer {token}"))])
    }

    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        wire::get(&self.authority, path, headers)
    }

    /// An authorization request, with further parameters.
    fn authorize(&self, more: &[(&str, &str)]) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut fields = vec![
            ("response_type", "code"),
            ("client_id", self.client.id.as_str()),
            ("redirect_uri", self.client.redirect_uri.as_str()),
            ("scope", SCOPE),
            ("state", "af0ifjsldkj"),
            ("nonce", NONCE),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        fields.extend_from_slice(more);
        format!("/authorize?{}", encoded(&fields))
    }

    /// Signs in, allows what is asked, and answers the browser's cookies.
    fn sign_in(&self, username: &str, password: &str) -> Result<String> {
        let mut browser = Browser::new(self.port, &self.authority);
        let page = browser.get(&self.authorize(&[]), 200)?;
        let fields = [("request", page.sealed_request()?), ("username", username), ("password", password)];
        let page = browser.post("/sign-in", &fields, 200)?;
        if !page.asks_for_consent() {
            bail!("signing in did not lead to the consent page");
        }
        browser.post("/consent", &[("request", page.sealed_request()?), ("answer", "allow")], 303)?.code()?;
        Ok(browser.cookie())
    }

    /// The sign-in form of a browser that is not signed in yet.
    fn sign_in_request(&self, person: &Person) -> Result<Vec<u8>> {
        let mut browser = Browser::new(self.port, &self.authority);
        let page = browser.get(&self.authorize(&[]), 200)?;
        let fields =
            [("request", page.sealed_request()?), ("username", &person.username), ("password", &person.password)];
        Ok(browser.form("/sign-in", &fields))
    }

    /// The consent form of somebody who has just signed in.
    fn consent_request(&self, person: &Person) -> Result<Vec<u8>> {
        let mut browser = Browser::new(self.port, &self.authority);
        let page = browser.get(&self.authorize(&[("prompt", "consent")]), 200)?;
        let fields =
            [("request", page.sealed_request()?), ("username", &person.username), ("password", &person.password)];
        let page = browser.post("/sign-in", &fields, 200)?;
        if !page.asks_for_consent() {
            bail!("prompt=consent did not lead to the consent page");
        }
        Ok(browser.form("/consent", &[("request", page.sealed_request()?), ("answer", "allow")]))
    }
}

/// All connections to one endpoint of one target.
pub struct Driver<'a> {
    target: &'a Target,
    lanes: Vec<Lane>,
    /// What has to be made before each window.
    supply: Option<Supply>,
}

impl Driver<'_> {
    /// Loads for `length`. `rate` is how many requests a second went through before.
    pub fn run(&mut self, length: Duration, rate: Option<f64>) -> Result<Window> {
        if let Some(supply) = &self.supply {
            // Half as many again, so that a quicker round does not run dry; one that does is shorter.
            let count = rate.unwrap_or(FIRST_GUESS) * length.as_secs_f64() * 1.5 + 100.0;
            let codes = self.target.codes(count as usize)?;
            *supply.lock() = codes.iter().map(|code| self.target.redemption(code)).collect();
        }
        load::drive(&mut self.lanes, self.target.server, length)
            .with_context(|| format!("loading {}", self.target.name))
    }
}

/// Requests that may be sent once each.
#[derive(Clone, Default)]
struct Supply(Arc<Mutex<Vec<Vec<u8>>>>);

impl Supply {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Redeeming {
    supply: Supply,
    request: Vec<u8>,
}

impl Work for Redeeming {
    fn request(&mut self) -> Option<&[u8]> {
        self.request = self.supply.lock().pop()?;
        Some(&self.request)
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        expect(answer, 200)
    }
}

/// Each answer's refresh token is the next request's.
struct Refreshing {
    /// Up to the value of content-length.
    head: String,
    /// Up to the token.
    body: String,
    request: Vec<u8>,
}

impl Refreshing {
    fn prepare(&mut self, token: &str) {
        let Refreshing { head, body, .. } = self;
        let length = body.len() + token.len();
        self.request = format!("{head} {length}\r\n\r\n{body}{token}").into_bytes();
    }
}

impl Work for Refreshing {
    fn request(&mut self) -> Option<&[u8]> {
        Some(&self.request)
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        expect(answer, 200)?;
        let token = member(answer.text(), "refresh_token")?.to_owned();
        self.prepare(&token);
        Ok(())
    }
}

struct Minted {
    wanted: usize,
    codes: Vec<String>,
}

struct Minting {
    request: Vec<u8>,
    minted: Arc<Mutex<Minted>>,
}

impl Work for Minting {
    fn request(&mut self) -> Option<&[u8]> {
        let mut minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        minted.wanted = minted.wanted.checked_sub(1)?;
        Some(&self.request)
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        expect(answer, 303)?;
        let code = code_of(answer.headers("location").next().unwrap_or_default())?;
        self.minted.lock().unwrap_or_else(PoisonError::into_inner).codes.push(code);
        Ok(())
    }
}
