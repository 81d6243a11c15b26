//! What the world's people, clients and operators know: who and what there is, what was given to whom, and what was answered
//! when. The oracle reads it; nothing of it is known to the core.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::executor::Millis;
use crate::history::Thing;

/// No request and no batch that it sent is still under way after so long.
pub const SETTLED: Millis = 90_000;

/// When something was ended: first asked for, and last answered.
#[derive(Default)]
pub struct Ending {
    /// The first request that may have ended it began.
    pub asked: Cell<Option<Millis>>,
    /// It was answered that it has ended.
    pub answered: Cell<Option<Millis>>,
}

impl Ending {
    pub fn ask(&self, at: Millis) {
        self.asked.set(Some(self.asked.get().map_or(at, |before| before.min(at))));
    }

    pub fn answer(&self, at: Millis) {
        self.answered.set(Some(self.answered.get().map_or(at, |before| before.min(at))));
    }

    /// Whether it was answered before `moment`.
    pub fn is_known_at(&self, moment: Millis) -> bool {
        self.answered.get().is_some_and(|at| at < moment)
    }

    /// Whether nobody has even asked.
    pub fn is_untouched(&self) -> bool {
        self.asked.get().is_none()
    }
}

/// Something that is switched off and on again, or changed again and again.
#[derive(Default)]
pub struct Changes {
    /// When a change was last asked for.
    pub asked: Cell<Option<Millis>>,
    /// Since when it is known to be off; `None` while it is on, or somebody asked to switch it on.
    pub off_since: Cell<Option<Millis>>,
}

impl Changes {
    /// Whether nothing that was asked can still have happened after `moment`.
    pub fn are_settled_before(&self, moment: Millis) -> bool {
        self.asked.get().is_none_or(|at| at + SETTLED < moment)
    }
}

pub struct Tenant {
    pub number: usize,
    pub issuer: String,
    pub id: RefCell<String>,
    /// When its making was answered.
    pub made_at: Cell<Option<Millis>>,
    pub changes: Changes,
}

pub struct User {
    pub number: usize,
    pub tenant: Rc<Tenant>,
    pub id: String,
    pub username: String,
    pub password: RefCell<String>,
    /// A disabling, a new password or new masters: what was begun before the one moment is over, as was answered at the other.
    pub ends: RefCell<Vec<(Millis, Millis)>>,
    /// Passwords that were replaced, and when that was answered.
    pub old_passwords: RefCell<Vec<(String, Millis)>>,
    pub changes: Changes,
}

pub struct Client {
    pub number: usize,
    pub tenant: Rc<Tenant>,
    pub id: String,
    pub secret: RefCell<Option<String>>,
    /// Secrets that were replaced, and when that was answered.
    pub old_secrets: RefCell<Vec<(String, Millis)>>,
    /// When the last rotations of the secret began, and secrets that one of them may have made the current one.
    pub rotations: RefCell<Vec<Millis>>,
    pub perhaps_current: RefCell<Vec<String>>,
    pub redirect_uri: String,
    pub resource_server: bool,
    pub changes: Changes,
}

/// A browser that signed in.
pub struct Session {
    pub number: usize,
    pub user: Rc<User>,
    /// When the request that began it began.
    pub began: Millis,
    /// When it was answered.
    pub begun: Millis,
    pub ending: Ending,
    /// The session that took over what was granted in it, and whether one may have.
    pub moved_to: RefCell<Option<Rc<Session>>>,
    pub may_have_moved: Cell<bool>,
    /// Requests that began to sign in anew in this browser.
    pub sign_ins: Cell<usize>,
}

/// What a relying party asked for.
pub struct Ask {
    pub client: Rc<Client>,
    pub verifier: Option<String>,
    pub offline: bool,
    pub prompt: Option<&'static str>,
}

pub struct Code {
    pub number: usize,
    pub text: String,
    pub ask: Rc<Ask>,
    pub session: Rc<Session>,
    /// When the request that made it began.
    pub began: Millis,
    /// Redemptions by its own client that began.
    pub tries: Cell<usize>,
    pub grant: RefCell<Option<Rc<Grant>>>,
    /// When the redemption that gave tokens began and was answered.
    pub given: Cell<Option<(Millis, Millis)>>,
    /// When redemptions by its own client began that were answered `invalid_grant`, and when they were answered.
    pub refusals: RefCell<Vec<(Millis, Millis)>>,
}

pub struct Grant {
    pub number: usize,
    pub code: Rc<Code>,
    pub ending: Ending,
    pub why_ended: Cell<&'static str>,
    /// The last moment of which it is known that somebody refreshed.
    pub last_refresh: Cell<Option<Millis>>,
}

pub struct Access {
    pub number: usize,
    pub text: String,
    pub grant: Option<Rc<Grant>>,
    pub client: Rc<Client>,
    pub kid: String,
    /// Unix seconds.
    pub expires_at: i64,
    pub ending: Ending,
}

pub struct Refresh {
    pub number: usize,
    pub text: String,
    pub grant: Rc<Grant>,
    pub generation: i64,
    /// When a request with it first began.
    pub first_used: Cell<Option<Millis>>,
    /// When a request with it was first answered with its successor.
    pub stepped: Cell<Option<Millis>>,
}

/// What a token response gave.
#[derive(Clone)]
pub struct Tokens {
    pub access: Rc<Access>,
    pub id_token: Option<String>,
    pub refresh: Option<Rc<Refresh>>,
}

impl User {
    /// When it was answered that what began at `began` is over, if that was before `moment`.
    fn ended(&self, began: Millis, moment: Millis) -> Option<Millis> {
        let ends = self.ends.borrow();
        ends.iter().find(|(before, answered)| began < *before && *answered < moment).map(|(_, answered)| *answered)
    }
}

impl Session {
    pub fn thing(&self) -> Thing {
        Thing::Session(self.number)
    }

    /// Where what was granted in it is now, and whether that is certain.
    pub fn heir(self: &Rc<Self>) -> (Rc<Session>, bool) {
        let mut heir = Rc::clone(self);
        let mut certain = true;
        loop {
            let next = heir.moved_to.borrow().clone();
            certain &= heir.sign_ins.get() <= 1;
            match next {
                Some(next) => heir = next,
                None => {
                    certain &= !heir.may_have_moved.get();
                    return (heir, certain);
                }
            }
        }
    }

    /// Whether it lives for certain: nobody has asked for anything that ends it.
    pub fn surely_lives(&self) -> bool {
        self.ending.is_untouched()
            && !self.may_have_moved.get()
            && self.moved_to.borrow().is_none()
            && self.user.changes.are_settled_before(self.began)
    }

    /// When and by what it is known to have ended, if that was before `moment`.
    pub fn ended_before(&self, moment: Millis) -> Option<(Millis, &'static str)> {
        let signed_out = self.ending.answered.get().filter(|at| *at < moment);
        let by_user = self.user.ended(self.began, moment);
        signed_out
            .map(|at| (at, "the session was signed out of"))
            .or_else(|| by_user.map(|at| (at, "the user was disabled, or got another password or master")))
    }
}

impl Code {
    pub fn thing(&self) -> Thing {
        Thing::Code(self.number)
    }

    pub fn client(&self) -> &Rc<Client> {
        &self.ask.client
    }

    /// When a replay was first answered. A redemption that was refused while the code may already have been too old for a fast
    /// clock is none, unless tokens had been given by then.
    pub fn replayed_at(&self) -> Option<Millis> {
        let (_, given) = self.given.get()?;
        let surely_young = self.began + 45_000;
        let refusals = self.refusals.borrow();
        refusals
            .iter()
            .filter(|(began, ended)| *began >= given || *ended <= surely_young)
            .map(|(_, ended)| *ended)
            .min()
    }
}

impl Grant {
    pub fn thing(&self) -> Thing {
        Thing::Grant(self.number)
    }

    pub fn user(&self) -> &Rc<User> {
        &self.code.session.user
    }

    pub fn end(&self, at: Millis, why: &'static str) {
        if self.ending.answered.get().is_none() {
            self.why_ended.set(why);
        }
        self.ending.ask(at);
        self.ending.answer(at);
    }

    /// When and by what it is known to have ended, if that was before `moment`.
    pub fn ended_before(&self, moment: Millis) -> Option<(Millis, &'static str)> {
        if self.ending.is_known_at(moment) {
            return self.ending.answered.get().map(|at| (at, self.why_ended.get()));
        }
        if let Some(at) = self.code.replayed_at().filter(|at| *at < moment) {
            return Some((at, "a replay of its code was answered"));
        }
        let session = &self.code.session;
        let by_user = self.user().ended(session.began, moment);
        if let Some(at) = by_user {
            return Some((at, "the user was disabled, or got another password or master"));
        }
        let (heir, certain) = session.heir();
        match heir.ending.answered.get().filter(|at| *at < moment) {
            Some(at) if certain && !self.code.ask.offline => Some((at, "its session was signed out of")),
            _ => None,
        }
    }

    /// Whether it lives for certain: nobody has asked for anything that ends it.
    pub fn surely_lives(&self) -> bool {
        let session = &self.code.session;
        let (heir, certain) = session.heir();
        let in_session = self.code.ask.offline || (certain && heir.ending.is_untouched());
        self.ending.is_untouched()
            && self.code.tries.get() <= 1
            && in_session
            && session.user.changes.are_settled_before(session.began)
            && self.code.client().changes.off_since.get().is_none()
    }
}

impl Access {
    pub fn thing(&self) -> Thing {
        Thing::Access(self.number)
    }
}

impl Refresh {
    pub fn thing(&self) -> Thing {
        Thing::Refresh(self.number)
    }
}

/// What a client or a thief presents where tokens are asked about.
#[derive(Clone)]
pub enum Token {
    Access(Rc<Access>),
    Refresh(Rc<Refresh>),
}

impl Token {
    pub fn text(&self) -> &str {
        match self {
            Self::Access(token) => &token.text,
            Self::Refresh(token) => &token.text,
        }
    }

    pub fn thing(&self) -> Thing {
        match self {
            Self::Access(token) => token.thing(),
            Self::Refresh(token) => token.thing(),
        }
    }

    pub fn grant(&self) -> Option<&Rc<Grant>> {
        match self {
            Self::Access(token) => token.grant.as_ref(),
            Self::Refresh(token) => Some(&token.grant),
        }
    }

    pub fn client(&self) -> &Rc<Client> {
        match self {
            Self::Access(token) => &token.client,
            Self::Refresh(token) => token.grant.code.client(),
        }
    }
}
