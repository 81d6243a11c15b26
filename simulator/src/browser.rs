//! A person at a browser: cookies that come back, forms that are filled in and, when nothing comes, sent again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};
use vedette::http::Request;
use vedette::oauth::form;

use crate::call;
use crate::model::{Ask, Client, Code, Session, User};
use crate::oracle::Intent;
use crate::world::{Reply, World};

pub struct Browser {
    pub world: World,
    pub user: Rc<User>,
    cookies: RefCell<BTreeMap<String, String>>,
    session: RefCell<Option<Rc<Session>>>,
    /// Clients that the person allowed with the session of now, and whether offline, as far as the browser heard of it.
    consented: RefCell<BTreeSet<(usize, bool)>>,
    /// The last ID token that a client got for this browser's session, for signing out.
    pub id_token: RefCell<Option<(String, Rc<Client>)>>,
}

impl Browser {
    #[must_use]
    pub fn new(world: &World, user: &Rc<User>) -> Self {
        Self {
            world: world.clone(),
            user: Rc::clone(user),
            cookies: RefCell::default(),
            session: RefCell::default(),
            consented: RefCell::default(),
            id_token: RefCell::default(),
        }
    }

    /// A browser of somebody who has nothing but this cookie.
    #[must_use]
    pub fn with_cookie(world: &World, user: &Rc<User>, name: &str, value: &str, session: &Rc<Session>) -> Self {
        let browser = Self::new(world, user);
        browser.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        browser.session.replace(Some(Rc::clone(session)));
        browser
    }

    #[must_use]
    pub fn session(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone()
    }

    /// Goes through the pages of an authorization request, in whichever regions the person's way leads through.
    pub async fn authorize(&self, region: usize, ask: &Rc<Ask>) -> Option<Rc<Code>> {
        let mut reply = self.begin(region, ask).await?;
        for _ in 0..4 {
            if let Some(code) = &reply.gained.code {
                return Some(Rc::clone(code));
            }
            if reply.response.status != 200 && reply.response.status != 422 {
                return None;
            }
            let html = String::from_utf8_lossy(&reply.response.body).into_owned();
            let (action, sealed) = call::page_form(&html)?;
            // Reading and typing.
            self.world.sleep(self.world.chance.between(300, 6000)).await;
            let region = if self.world.chance.in_thousand(150) { self.world.any_region() } else { region };
            reply = self.submit(region, ask, &action, &sealed).await?;
        }
        None
    }

    async fn begin(&self, region: usize, ask: &Rc<Ask>) -> Option<Reply> {
        let request = call::get(&format!("{}/authorize?{}", self.user.tenant.issuer, query(&self.world, ask)));
        for _ in 0..3 {
            let consented = [ask.offline, true]
                .into_iter()
                .any(|offline| self.consented.borrow().contains(&(ask.client.number, offline)));
            let intent = Intent::Authorize { ask: Rc::clone(ask), session: self.session(), consented };
            if let Some(reply) = self.send(region, intent, request.clone()).await {
                return Some(reply);
            }
        }
        None
    }

    async fn submit(&self, region: usize, ask: &Rc<Ask>, action: &str, sealed: &str) -> Option<Reply> {
        let url = self.absolute(action);
        for _ in 0..2 {
            let session = self.session();
            let (intent, request) = if action.ends_with("/sign-in") {
                let password = self.user.password.borrow().clone();
                let fields = [("request", sealed), ("username", self.user.username.as_str()), ("password", &password)];
                let request = call::form(&url, &fields);
                let user = Rc::clone(&self.user);
                (Intent::SignIn { ask: Rc::clone(ask), user, password, old: session }, request)
            } else {
                let session = session?;
                (
                    Intent::Consent { ask: Rc::clone(ask), session },
                    call::form(&url, &[("request", sealed), ("answer", "allow")]),
                )
            };
            let is_consent = matches!(intent, Intent::Consent { .. });
            if let Some(reply) = self.send(region, intent, request).await {
                if is_consent && reply.gained.code.is_some() {
                    self.consented.borrow_mut().insert((ask.client.number, ask.offline));
                }
                return Some(reply);
            }
        }
        None
    }

    /// Signs out, with the hint that makes it one step, or over the page that asks; whether that was answered.
    pub async fn sign_out(&self, region: usize) -> bool {
        let Some(session) = self.session() else { return false };
        let issuer = &self.user.tenant.issuer;
        let hint = self.id_token.borrow().clone();
        for _ in 0..3 {
            let reply = match &hint {
                Some((hint, client)) => {
                    let query = form::encode([("id_token_hint", hint.as_str()), ("client_id", &client.id)]);
                    let request = call::get(&format!("{issuer}/end_session?{query}"));
                    self.send(region, Intent::SignOut { session: Rc::clone(&session) }, request).await
                }
                None => {
                    let asked = self.send(region, Intent::Plain, call::get(&format!("{issuer}/end_session"))).await;
                    let html = asked.map(|reply| String::from_utf8_lossy(&reply.response.body).into_owned());
                    let Some((action, sealed)) = html.as_deref().and_then(call::page_form) else { continue };
                    let request = call::form(&self.absolute(&action), &[("request", &sealed), ("answer", "sign-out")]);
                    self.send(region, Intent::SignOut { session: Rc::clone(&session) }, request).await
                }
            };
            if reply.is_some_and(|reply| reply.response.status < 400) {
                self.session.replace(None);
                self.id_token.replace(None);
                return true;
            }
        }
        false
    }

    fn absolute(&self, path: &str) -> String {
        let issuer = &self.user.tenant.issuer;
        let origin = issuer.match_indices('/').nth(2).map_or(issuer.as_str(), |(at, _)| &issuer[..at]);
        format!("{origin}{path}")
    }

    async fn send(&self, region: usize, intent: Intent, request: Request) -> Option<Reply> {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = call::with(request, "accept", "text/html");
        let request = if cookies.is_empty() { request } else { call::with(request, "cookie", &cookies.join("; ")) };
        let reply = self.world.send(region, intent, request).await?;
        self.keep(&reply);
        Some(reply)
    }

    fn keep(&self, reply: &Reply) {
        let mut cookies = self.cookies.borrow_mut();
        for (_, cookie) in reply.response.headers.iter().filter(|(name, _)| *name == "set-cookie") {
            let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            if cookie.contains("Max-Age=0") {
                cookies.remove(name);
                self.session.replace(None);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(session) = &reply.gained.session {
            self.session.replace(Some(Rc::clone(session)));
            self.consented.borrow_mut().clear();
        }
    }
}

/// The parameters of an authorization request.
fn query(world: &World, ask: &Ask) -> String {
    let scope = if ask.offline { "openid profile offline_access" } else { "openid profile" };
    let nonce = world.number("nonce").to_string();
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", ask.client.id.as_str()),
        ("redirect_uri", &ask.client.redirect_uri),
        ("scope", scope),
        ("state", "s"),
        ("nonce", &nonce),
    ];
    let challenge =
        ask.verifier.as_ref().map(|verifier| crate::secrets::base64url(&Sha256::digest(verifier.as_bytes())));
    if let Some(challenge) = &challenge {
        pairs.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
    }
    pairs.extend(ask.prompt.map(|prompt| ("prompt", prompt)));
    form::encode(pairs)
}
