//! What must always hold (design.md §6), checked at every answer against what was acknowledged before the request began.
//!
//! An answer counts from the moment in which the core gives it, and a request from the moment in which it reaches an isolate;
//! whatever overlaps may have happened in either order, and nothing is concluded from it.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use vedette::http::Response;

use crate::executor::Millis;
use crate::history::Thing;
use crate::host::Host;
use crate::model::{Access, Ask, Client, Code, Grant, Refresh, Session, Tenant, Token, Tokens, User};
use crate::operator::Change;
use crate::world::World;

/// Milliseconds after its first use in which an honest client may use a refresh token again: the grace window as documented.
const GRACE: Millis = 30_000;
/// After so long the grace window is over by every clock.
const SURELY_OVER: Millis = 51_000;
/// After so long reuse is noticed, however often the grant is refreshed.
const SURELY_NOTICED: Millis = 3 * SURELY_OVER;

/// A grant can be refreshed for at least so long.
const SURELY_REFRESHABLE: Millis = 89 * 86_400_000;

/// What a request is for, and by whom.
#[derive(Clone)]
pub enum Intent {
    /// Nothing follows from it.
    Plain,
    Authorize {
        ask: Rc<Ask>,
        session: Option<Rc<Session>>,
        consented: bool,
    },
    SignIn {
        ask: Rc<Ask>,
        user: Rc<User>,
        password: String,
        old: Option<Rc<Session>>,
    },
    Consent {
        ask: Rc<Ask>,
        session: Rc<Session>,
    },
    SignOut {
        session: Rc<Session>,
    },
    Redeem {
        code: Rc<Code>,
        by: Caller,
        verifier_is_right: bool,
    },
    Refresh {
        token: Rc<Refresh>,
        by: Caller,
        stolen: bool,
    },
    UserInfo {
        token: Rc<Access>,
    },
    Introspect {
        token: Token,
        by: Caller,
    },
    Revoke {
        token: Token,
        by: Caller,
    },
    Change(Change),
}

/// A client with the secret that it has, or once had.
#[derive(Clone)]
pub struct Caller {
    pub client: Rc<Client>,
    pub secret: Option<String>,
}

impl Caller {
    #[must_use]
    pub fn new(client: &Rc<Client>) -> Self {
        Self { client: Rc::clone(client), secret: client.secret.borrow().clone() }
    }

    fn is(&self, client: &Rc<Client>) -> bool {
        Rc::ptr_eq(&self.client, client)
    }

    /// When its secret was replaced, if that was answered before `moment`.
    fn is_outdated_since(&self, moment: Millis) -> Option<Millis> {
        let old = self.client.old_secrets.borrow();
        old.iter().find(|(text, at)| Some(text) == self.secret.as_ref() && *at < moment).map(|(_, at)| *at)
    }

    /// Whether nothing that anybody asked can make it another one.
    fn is_settled(&self, moment: Millis) -> bool {
        self.client.changes.are_settled_before(moment)
            && self.client.changes.off_since.get().is_none()
            && self.secret == *self.client.secret.borrow()
    }
}

/// What an answer gave.
#[derive(Default)]
pub struct Gained {
    pub session: Option<Rc<Session>>,
    pub code: Option<Rc<Code>>,
    pub tokens: Option<Tokens>,
}

/// A request reaches an isolate: from now on it may have done what it is for.
pub fn begin(world: &World, host: &Host, intent: &Intent) {
    let now = world.now();
    let things = things(intent);
    host.is_about(things.clone());
    match intent {
        Intent::Plain | Intent::Authorize { .. } | Intent::Consent { .. } => {}
        Intent::UserInfo { .. } | Intent::Introspect { .. } => {}
        Intent::SignIn { old, user, .. } => {
            if let Some(old) = old {
                old.sign_ins.set(old.sign_ins.get() + 1);
                old.may_have_moved.set(old.may_have_moved.get() || Rc::ptr_eq(&old.user, user));
                old.ending.ask(now);
            }
        }
        Intent::SignOut { session } => {
            session.ending.ask(now);
            host.note(things, &format!("sign-out of {} begins", session.thing()));
        }
        Intent::Redeem { code, by, .. } => {
            if by.is(code.client()) {
                code.tries.set(code.tries.get() + 1);
            }
            host.note(things, &format!("{} is redeemed by client {}", code.thing(), by.client.number));
        }
        Intent::Refresh { token, by, stolen } => {
            if by.is(token.grant.code.client()) {
                token.first_used.set(token.first_used.get().or(Some(now)));
                // A thief, or who comes too late for the grace window, may be ending the grant.
                if *stolen || token.stepped.get().is_some_and(|at| at + GRACE < now) {
                    token.grant.ending.ask(now);
                }
            }
            let who = if *stolen { " by a thief" } else { "" };
            host.note(things, &format!("{} (generation {}) is used{who}", token.thing(), token.generation));
        }
        Intent::Revoke { token, by } => {
            if by.is(token.client()) {
                match token {
                    Token::Access(token) => token.ending.ask(now),
                    Token::Refresh(token) => token.grant.ending.ask(now),
                }
            }
            host.note(things, &format!("{} is to be revoked", token.thing()));
        }
        Intent::Change(change) => {
            change.begins(world);
            host.note(things, &format!("{} begins", change.words()));
        }
    }
}

fn things(intent: &Intent) -> Vec<Thing> {
    match intent {
        Intent::Plain => Vec::new(),
        Intent::Authorize { session, .. } => session.iter().map(|session| session.thing()).collect(),
        Intent::SignIn { user, old, .. } => {
            old.iter().map(|session| session.thing()).chain([Thing::User(user.number)]).collect()
        }
        Intent::Consent { session, .. } | Intent::SignOut { session } => vec![session.thing()],
        Intent::Redeem { code, .. } => vec![code.thing()],
        Intent::Refresh { token, .. } => vec![token.thing(), token.grant.thing()],
        Intent::UserInfo { token } => of_token(&Token::Access(Rc::clone(token))),
        Intent::Introspect { token, .. } | Intent::Revoke { token, .. } => of_token(token),
        Intent::Change(change) => change.things(),
    }
}

fn of_token(token: &Token) -> Vec<Thing> {
    token.grant().map(|grant| grant.thing()).into_iter().chain([token.thing()]).collect()
}

/// The core has answered: checks the answer, and remembers what it promised.
pub fn answered(world: &World, host: &Host, intent: &Intent, began: Millis, response: &Response) -> Gained {
    check_no_secret_leaks(world, intent, response);
    let answer = Answer { world, host, began, response };
    if let Some(tenant) = tenant_of(intent).filter(|_| response.status == 404) {
        answer.to_somebody_who_finds_nothing(tenant);
    }
    match intent {
        Intent::Plain => Gained::default(),
        Intent::Authorize { ask, session, consented } => answer.to_authorize(ask, session.as_ref(), *consented),
        Intent::SignIn { ask, user, password, old } => answer.to_sign_in(ask, user, password, old.as_ref()),
        Intent::Consent { ask, session } => Gained { code: answer.code(ask, Some(session)), ..Gained::default() },
        Intent::SignOut { session } => answer.to_sign_out(session),
        Intent::Redeem { code, by, verifier_is_right } => answer.to_redeem(code, by, *verifier_is_right),
        Intent::Refresh { token, by, .. } => answer.to_refresh(token, by),
        Intent::UserInfo { token } => answer.to_userinfo(token),
        Intent::Introspect { token, by } => answer.to_introspect(token, by),
        Intent::Revoke { token, by } => answer.to_revoke(token, by),
        Intent::Change(change) => {
            change.answered(world, host, began, response);
            Gained::default()
        }
    }
}

fn tenant_of(intent: &Intent) -> Option<&Rc<Tenant>> {
    match intent {
        Intent::Plain | Intent::Change(_) => None,
        Intent::Authorize { ask, .. } | Intent::SignIn { ask, .. } | Intent::Consent { ask, .. } => {
            Some(&ask.client.tenant)
        }
        Intent::SignOut { session } => Some(&session.user.tenant),
        Intent::Redeem { by, .. } | Intent::Refresh { by, .. } => Some(&by.client.tenant),
        Intent::Introspect { by, .. } | Intent::Revoke { by, .. } => Some(&by.client.tenant),
        Intent::UserInfo { token } => Some(&token.client.tenant),
    }
}

struct Answer<'a> {
    world: &'a World,
    host: &'a Host,
    began: Millis,
    response: &'a Response,
}

impl Answer<'_> {
    fn violate(&self, property: u8, things: impl IntoIterator<Item = Thing>, sentence: String) {
        self.world.violate(property, things, sentence);
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.response.body).unwrap_or_default()
    }

    /// In a history.
    fn refusal(&self) -> String {
        let error = self.json()["error"].as_str().unwrap_or_default().to_owned();
        format!("{} {error} ({})", self.response.status, self.host.refusal())
    }

    fn is_error(&self, code: &str) -> bool {
        self.response.status < 500 && self.json()["error"] == code
    }

    fn text(&self, body: &Value, name: &str) -> Option<String> {
        body[name].as_str().map(str::to_owned)
    }

    /// Seconds for people.
    fn ago(&self, at: Millis) -> String {
        let (between, side) = if at <= self.began { (self.began - at, "before") } else { (at - self.began, "after") };
        format!("{}.{:03} s {side} the request began", between / 1000, between % 1000)
    }

    fn to_somebody_who_finds_nothing(&self, tenant: &Rc<Tenant>) {
        if let Some(at) = tenant.made_at.get().filter(|at| at + COPIES_RUN_OUT < self.began) {
            let sentence =
                format!("tenant {} was not found, though its making was answered {}", tenant.number, self.ago(at));
            self.violate(8, [Thing::Tenant(tenant.number)], sentence);
        }
    }

    fn to_authorize(&self, ask: &Rc<Ask>, session: Option<&Rc<Session>>, consented: bool) -> Gained {
        let code = self.code(ask, session);
        if let Some(session) = session {
            let page = String::from_utf8_lossy(&self.response.body);
            let asks_to_sign_in = self.response.status == 200 && page.contains("/sign-in\"");
            let asks_to_consent = self.response.status == 200 && page.contains("/consent\"");
            if ask.prompt.is_none() && session.surely_lives() && (asks_to_sign_in || (asks_to_consent && consented)) {
                let what = if asks_to_sign_in { "a password" } else { "a consent" };
                self.violate(
                    8,
                    [session.thing()],
                    format!(
                        "a browser with {} was asked for {what} again, though that was answered before",
                        session.thing()
                    ),
                );
            }
        }
        Gained { code, ..Gained::default() }
    }

    /// A code in the redirect.
    fn code(&self, ask: &Rc<Ask>, session: Option<&Rc<Session>>) -> Option<Rc<Code>> {
        let location = self.response.header("location")?;
        let (_, after) = location.split_once("code=")?;
        let text = after.split('&').next().unwrap_or_default().to_owned();
        let session = session?;
        let code = Rc::new(Code {
            number: self.world.number("code"),
            text,
            ask: Rc::clone(ask),
            session: Rc::clone(session),
            began: self.began,
            tries: Default::default(),
            grant: Default::default(),
            given: Default::default(),
            refusals: Default::default(),
        });
        self.world.secrets.borrow_mut().add("a code", &code.text);
        self.host.note(
            vec![code.thing(), session.thing()],
            &format!("gives {} to client {} for {}", code.thing(), ask.client.number, session.thing()),
        );
        self.world.known.codes.borrow_mut().push(Rc::clone(&code));
        Some(code)
    }

    fn to_sign_in(&self, ask: &Rc<Ask>, user: &Rc<User>, password: &str, old: Option<&Rc<Session>>) -> Gained {
        let Some((name, value)) = session_cookie(self.response) else { return Gained::default() };
        let session = Rc::new(Session {
            number: self.world.number("session"),
            user: Rc::clone(user),
            began: self.began,
            begun: self.world.now(),
            ending: Default::default(),
            moved_to: Default::default(),
            may_have_moved: Default::default(),
            sign_ins: Default::default(),
        });
        self.world.secrets.borrow_mut().add("a session cookie", &value);
        self.host.note(
            vec![session.thing(), Thing::User(user.number)],
            &format!("begins {} of user {}", session.thing(), user.number),
        );
        if let Some(at) = user.changes.off_since.get().filter(|at| *at < self.began) {
            let sentence = format!("user {} signed in, whose disabling was answered {}", user.number, self.ago(at));
            self.violate(4, [Thing::User(user.number), session.thing()], sentence);
        }
        let was_changed = user.old_passwords.borrow().iter().any(|(old, at)| old == password && *at < self.began);
        if was_changed {
            let sentence = format!("user {} signed in with a password that was replaced before", user.number);
            self.violate(4, [Thing::User(user.number), session.thing()], sentence);
        }
        // Under other masters the old cookie said nothing.
        if let Some(old) = old.filter(|_| !self.masters_may_differ()) {
            let words = if Rc::ptr_eq(&old.user, user) {
                old.moved_to.borrow_mut().get_or_insert_with(|| Rc::clone(&session));
                "takes over what was granted in"
            } else {
                "ends"
            };
            old.ending.answer(self.world.now());
            self.host.note(vec![session.thing(), old.thing()], &format!("{} {words} {}", session.thing(), old.thing()));
        }
        self.world.known.cookies.borrow_mut().push((name, value, Rc::clone(&session)));
        let code = self.code(ask, Some(&session));
        Gained { code, session: Some(session), tokens: None }
    }

    /// Whether isolates may have different masters of a tenant, as they may until their copies have run out.
    fn masters_may_differ(&self) -> bool {
        let asked = self.world.known.masters_asked.get();
        asked.is_some_and(|at| self.began < at + crate::model::SETTLED)
    }

    fn to_sign_out(&self, session: &Rc<Session>) -> Gained {
        let cleared =
            self.response.headers.iter().any(|(name, value)| {
                *name == "set-cookie" && value.contains("-session-") && value.contains("Max-Age=0")
            });
        if cleared && self.response.status < 400 && !self.masters_may_differ() {
            session.ending.answer(self.world.now());
            self.host.note(vec![session.thing()], &format!("sign-out of {} is answered", session.thing()));
        }
        Gained::default()
    }

    fn to_redeem(&self, code: &Rc<Code>, by: &Caller, verifier_is_right: bool) -> Gained {
        let now = self.world.now();
        let is_its_own = by.is(code.client());
        if self.response.status != 200 {
            self.host.note(vec![code.thing()], &format!("{} is refused: {}", code.thing(), self.refusal()));
            if is_its_own && verifier_is_right && self.is_error("invalid_grant") {
                // Under new masters a code of the old ones is no code at all.
                if !self.masters_may_differ() {
                    code.refusals.borrow_mut().push((self.began, now));
                }
                let honest = code.tries.get() == 1
                    && code.session.surely_lives()
                    && now < code.began + 40_000
                    && by.is_settled(code.began);
                if honest {
                    let sentence =
                        format!("the only redemption of {} was refused, though nothing of it had ended", code.thing());
                    self.violate(8, [code.thing(), code.session.thing()], sentence);
                }
            }
            return Gained::default();
        }
        let things = [code.thing(), code.session.thing()];
        if !is_its_own {
            let sentence = format!(
                "{} of client {} was redeemed by client {}",
                code.thing(),
                code.client().number,
                by.client.number
            );
            self.violate(1, things, sentence);
        }
        if !verifier_is_right {
            self.violate(1, things, format!("{} was redeemed without its code_verifier", code.thing()));
        }
        if let Some((_, at)) = code.given.get() {
            let sentence = format!("{} gave tokens twice, first {}", code.thing(), self.ago(at));
            self.violate(1, things, sentence);
        }
        if let Some((at, why)) = code.session.ended_before(self.began) {
            let sentence = format!("{} was redeemed, but {why}; that was answered {}", code.thing(), self.ago(at));
            let user = Thing::User(code.session.user.number);
            self.violate(4, things.into_iter().chain([user]), sentence);
        }
        self.check_caller(by, &things);
        code.given.set(Some((self.began, now)));
        let grant = Rc::new(Grant {
            number: self.world.number("grant"),
            code: Rc::clone(code),
            ending: Default::default(),
            why_ended: Default::default(),
            last_refresh: Default::default(),
        });
        *code.grant.borrow_mut() = Some(Rc::clone(&grant));
        let gained = self.tokens(&grant, 0);
        if let Some(tokens) = &gained.tokens {
            let mut things = vec![code.thing(), grant.thing(), tokens.access.thing()];
            things.extend(tokens.refresh.as_ref().map(|token| token.thing()));
            self.host.note(things, &format!("{} gives {}{}", code.thing(), grant.thing(), in_words(tokens)));
        }
        gained
    }

    fn to_refresh(&self, token: &Rc<Refresh>, by: &Caller) -> Gained {
        let now = self.world.now();
        let grant = &token.grant;
        let things = [token.thing(), grant.thing(), grant.code.thing()];
        let is_its_own = by.is(grant.code.client());
        let later_used = self.later_generations(token).any(|later| later.first_used.get().is_some());
        if self.response.status != 200 {
            self.host
                .note(vec![token.thing(), grant.thing()], &format!("{} is refused: {}", token.thing(), self.refusal()));
            if is_its_own && self.is_error("invalid_grant") {
                let quiet = grant.last_refresh.get().is_none_or(|at| at + 2 * SURELY_OVER < self.began);
                if token.stepped.get().is_some_and(|at| quiet || at + SURELY_NOTICED < self.began) {
                    grant.end(now, "reuse of a refresh token was answered");
                }
                let first = token.first_used.get().unwrap_or(now);
                let honest = grant.surely_lives()
                    && now < grant.code.began + SURELY_REFRESHABLE
                    && !later_used
                    && now - first <= GRACE
                    && by.is_settled(first);
                if honest {
                    let sentence = format!(
                        "an honest client was signed out: {} of {} was refused, first used {}.{:03} s ago",
                        token.thing(),
                        grant.thing(),
                        (now - first) / 1000,
                        (now - first) % 1000,
                    );
                    self.violate(2, things, sentence);
                }
            }
            grant.last_refresh.set(Some(grant.last_refresh.get().unwrap_or_default().max(self.began)));
            return Gained::default();
        }
        if !is_its_own {
            self.violate(2, things, format!("{} was used by client {}", token.thing(), by.client.number));
        }
        if let Some((at, why)) = grant.ended_before(self.began) {
            let sentence = format!("{} was honoured, but {why}; that was answered {}", token.thing(), self.ago(at));
            self.violate(property_of(why), self.things_of(grant).into_iter().chain(things), sentence);
        }
        let stepped_twice = self
            .later_generations(token)
            .find_map(|later| later.stepped.get().filter(|at| *at < self.began).map(|at| (later.generation, at)));
        if let Some((generation, at)) = stepped_twice {
            let sentence = format!(
                "{} of generation {} was honoured, though generation {generation} had been used {}",
                token.thing(),
                token.generation,
                self.ago(at),
            );
            self.violate(2, things, sentence);
        }
        if let Some(at) = token.stepped.get().filter(|at| at + SURELY_OVER < self.began) {
            let sentence =
                format!("{} was honoured again beyond the grace window; it was used {}", token.thing(), self.ago(at));
            self.violate(2, things, sentence);
        }
        self.check_caller(by, &things);
        token.stepped.set(token.stepped.get().or(Some(now)));
        grant.last_refresh.set(Some(grant.last_refresh.get().unwrap_or_default().max(now)));
        let gained = self.tokens(grant, token.generation + 1);
        if let Some(tokens) = &gained.tokens {
            let mut things = vec![token.thing(), grant.thing(), tokens.access.thing()];
            things.extend(tokens.refresh.as_ref().map(|token| token.thing()));
            self.host.note(things, &format!("{} gives{}", token.thing(), in_words(tokens)));
        }
        gained
    }

    fn later_generations(&self, token: &Rc<Refresh>) -> impl Iterator<Item = Rc<Refresh>> {
        let known = self.world.known.refresh.borrow();
        let later: Vec<_> = known
            .iter()
            .filter(|other| Rc::ptr_eq(&other.grant, &token.grant) && other.generation > token.generation)
            .cloned()
            .collect();
        later.into_iter()
    }

    fn things_of(&self, grant: &Rc<Grant>) -> Vec<Thing> {
        let (heir, _) = grant.code.session.heir();
        vec![
            grant.thing(),
            grant.code.thing(),
            grant.code.session.thing(),
            heir.thing(),
            Thing::User(grant.user().number),
        ]
    }

    /// Whether the client may still act, with this secret.
    fn check_caller(&self, by: &Caller, things: &[Thing]) {
        let client = &by.client;
        let things = || things.iter().copied().chain([Thing::Client(client.number)]);
        if let Some(at) = client.changes.off_since.get().filter(|at| *at < self.began) {
            let sentence =
                format!("client {} was served, whose disabling was answered {}", client.number, self.ago(at));
            self.violate(4, things(), sentence);
        }
        if let Some(at) = by.is_outdated_since(self.began) {
            let sentence = format!(
                "client {} was let in with a secret whose rotation was answered {}",
                client.number,
                self.ago(at)
            );
            self.violate(4, things(), sentence);
        }
    }

    /// The tokens in a response.
    fn tokens(&self, grant: &Rc<Grant>, generation: i64) -> Gained {
        let body = self.json();
        let client = grant.code.client();
        let Some(text) = self.text(&body, "access_token") else { return Gained::default() };
        let access = self.access(text, client, Some(grant));
        let id_token = self.text(&body, "id_token");
        let mut secrets = self.world.secrets.borrow_mut();
        if let Some(id_token) = &id_token {
            secrets.add("an ID token", id_token);
        }
        let refresh = self.text(&body, "refresh_token").map(|text| {
            secrets.add("a refresh token", &text);
            let token = Rc::new(Refresh {
                number: self.world.number("refresh token"),
                text,
                grant: Rc::clone(grant),
                generation,
                first_used: Default::default(),
                stepped: Default::default(),
            });
            self.world.known.refresh.borrow_mut().push(Rc::clone(&token));
            token
        });
        drop(secrets);
        if let Some(id_token) = &id_token {
            self.check_key(&client.tenant, id_token);
        }
        Gained { tokens: Some(Tokens { access, id_token, refresh }), ..Gained::default() }
    }

    fn access(&self, text: String, client: &Rc<Client>, grant: Option<&Rc<Grant>>) -> Rc<Access> {
        self.world.secrets.borrow_mut().add("an access token", &text);
        self.check_key(&client.tenant, &text);
        let access = Rc::new(Access {
            number: self.world.number("access token"),
            grant: grant.cloned(),
            client: Rc::clone(client),
            kid: header(&text)["kid"].as_str().unwrap_or_default().to_owned(),
            expires_at: claims(&text)["exp"].as_i64().unwrap_or_default(),
            ending: Default::default(),
            text,
        });
        self.world.known.access.borrow_mut().push(Rc::clone(&access));
        access
    }

    /// Property 5: what signs is a key that the database has.
    fn check_key(&self, tenant: &Rc<Tenant>, token: &str) {
        let kid = header(token)["kid"].as_str().unwrap_or_default().to_owned();
        let thing = self.world.key(&kid);
        let rows = self.world.look(
            "SELECT revoked_at FROM signing_keys WHERE tenant_id = ?1 AND kid = ?2",
            vec![tenant.id.borrow().as_str().into(), kid.as_str().into()],
        );
        if rows.is_empty() {
            self.violate(5, [thing], format!("a token was signed by {thing}, which the database does not have"));
        }
        if let Some(at) =
            self.world.known.revoked_keys.borrow().get(&kid).filter(|at| **at + COPIES_RUN_OUT < self.began)
        {
            let sentence = format!("{thing} signed a token, though its revocation was answered {}", self.ago(*at));
            self.violate(4, [thing], sentence);
        }
    }

    fn to_userinfo(&self, token: &Rc<Access>) -> Gained {
        self.check_honoured(
            &Token::Access(Rc::clone(token)),
            self.response.status == 200,
            "UserInfo",
            self.response.status < 500,
        );
        Gained::default()
    }

    fn to_introspect(&self, token: &Token, by: &Caller) -> Gained {
        if self.response.status == 200 {
            let things = of_token(token);
            self.check_caller(by, &things);
            let may_see = by.is(token.client()) || (by.client.resource_server && matches!(token, Token::Access(_)));
            let active = self.json()["active"] == true;
            if active && !may_see {
                self.violate(
                    6,
                    things,
                    format!("client {} was told about {}, which is not for it", by.client.number, token.thing()),
                );
            }
            self.check_honoured(token, active, "introspection", may_see);
        }
        Gained::default()
    }

    /// Whether honouring a token was right, and, where the answer is `conclusive`, whether not honouring it was.
    fn check_honoured(&self, token: &Token, honoured: bool, by: &str, conclusive: bool) {
        let mut things = of_token(token);
        let client = token.client();
        let key = match token {
            Token::Access(access) => Some(access.kid.clone()),
            Token::Refresh(_) => None,
        };
        if honoured {
            self.host.note(things.clone(), &format!("{by} honours {}", token.thing()));
            let by_itself = match token {
                Token::Access(access) => access.ending.answered.get().filter(|at| *at < self.began),
                Token::Refresh(_) => None,
            };
            let by_client = client.changes.off_since.get().filter(|at| *at < self.began);
            let by_key = key
                .and_then(|kid| self.world.known.revoked_keys.borrow().get(&kid).copied())
                .filter(|at| *at < self.began);
            let reasons = [
                by_itself.map(|at| (at, "it was revoked")),
                by_client.map(|at| (at, "its client was disabled")),
                by_key.map(|at| (at, "the key that signed it was revoked")),
                token.grant().and_then(|grant| grant.ended_before(self.began)),
            ];
            if let Some((at, why)) = reasons.into_iter().flatten().next() {
                if let Some(grant) = token.grant() {
                    things.extend(self.things_of(grant));
                }
                things.push(Thing::Client(client.number));
                if let Token::Access(access) = token {
                    things.push(self.world.key(&access.kid));
                }
                let sentence =
                    format!("{by} honoured {}, but {why}; that was answered {}", token.thing(), self.ago(at));
                self.violate(property_of(why), things, sentence);
            }
            return;
        }
        self.host.note(
            things.clone(),
            &format!("{by} does not honour {}: {} {}", token.thing(), self.response.status, self.host.refusal()),
        );
        let (Token::Access(access), true) = (token, conclusive) else { return };
        let lives = access.ending.is_untouched()
            && access.grant.as_ref().is_none_or(|grant| grant.surely_lives())
            && access.expires_at > self.world.unix() + 6
            && client.changes.are_settled_before(self.began)
            && !self.world.known.keys_may_be_revoked.get();
        if lives {
            things.extend(token.grant().map(|grant| self.things_of(grant)).unwrap_or_default());
            let sentence = format!("{by} refused {}, though nothing of it had ended", token.thing());
            self.violate(8, things, sentence);
        }
    }

    fn to_revoke(&self, token: &Token, by: &Caller) -> Gained {
        if self.response.status == 200 && by.is(token.client()) {
            let now = self.world.now();
            self.check_caller(by, &of_token(token));
            match token {
                Token::Access(token) => token.ending.answer(now),
                Token::Refresh(token) => token.grant.end(now, "its revocation was answered"),
            }
            self.host.note(of_token(token), &format!("the revocation of {} is answered", token.thing()));
        }
        Gained::default()
    }
}

/// After so long no isolate uses a copy from before, and no copy names a later time than it was read at.
pub const COPIES_RUN_OUT: Millis = 75_000;

/// Which property a reason belongs to.
fn property_of(why: &str) -> u8 {
    if why.contains("replay") {
        1
    } else if why.contains("reuse") {
        2
    } else {
        4
    }
}

fn in_words(tokens: &Tokens) -> String {
    let refresh = tokens.refresh.as_ref().map(|token| format!(", {} (generation {})", token.thing(), token.generation));
    format!(": {}{}", tokens.access.thing(), refresh.unwrap_or_default())
}

/// Property 7, for pages and URLs. A URL may carry a code, and a page the sealed request of its own form.
fn check_no_secret_leaks(world: &World, intent: &Intent, response: &Response) {
    let secrets = world.secrets.borrow();
    let in_url =
        response.header("location").and_then(|url| secrets.found_in(url.as_bytes())).filter(|what| *what != "a code");
    let is_error = response.status >= 400;
    let in_error = if is_error { secrets.found_in(&response.body) } else { None };
    drop(secrets);
    if let Some(what) = in_url.or(in_error) {
        world.violate(
            7,
            things(intent),
            format!("{what} stands in clear in {}", if is_error { "an error" } else { "a URL" }),
        );
    }
}

/// The session cookie that a response sets.
#[must_use]
pub fn session_cookie(response: &Response) -> Option<(String, String)> {
    let set = response.headers.iter().filter(|(name, _)| *name == "set-cookie").map(|(_, value)| value);
    let mut cookies =
        set.filter(|value| !value.contains("Max-Age=0")).filter_map(|value| value.split(';').next()?.split_once('='));
    cookies.find(|(name, _)| name.contains("-session-")).map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    part.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

/// The header of a JWS.
#[must_use]
pub fn header(token: &str) -> Value {
    part(token, 0)
}

/// The claims of a JWT.
#[must_use]
pub fn claims(token: &str) -> Value {
    part(token, 1)
}
