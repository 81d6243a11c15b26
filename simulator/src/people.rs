//! What people and thieves do all day.

use std::rc::Rc;

use crate::browser::Browser;
use crate::call;
use crate::executor::Millis;
use crate::model::{Access, Client, Code, Refresh, SETTLED, Session, Token, Tokens};
use crate::oracle::{Caller, Intent};
use crate::party::{self, Party, Refreshed};
use crate::world::World;

/// One device of a person, and the application on it.
pub struct Device {
    pub world: World,
    pub browser: Browser,
    pub party: Party,
    /// A resource server of the same tenant.
    pub resource: Option<Rc<Party>>,
    pub region: usize,
}

impl Device {
    /// Uses the application until `until`.
    pub async fn live(&self, until: Millis) {
        let world = &self.world;
        let mut held: Option<Tokens> = None;
        let pace = world.chance.between(3_000, 45_000);
        world.sleep(world.chance.between(0, 30_000)).await;
        while world.now() < until {
            held = match held {
                None => self.sign_in().await,
                Some(tokens) => self.go_on(tokens).await,
            };
            world.sleep(world.chance.between(200, pace)).await;
        }
    }

    async fn sign_in(&self) -> Option<Tokens> {
        let world = &self.world;
        let prompt = world.chance.in_thousand(120).then_some("login");
        let ask = self.party.ask(world.chance.in_thousand(700), prompt);
        let code = self.browser.authorize(self.region, &ask).await?;
        if world.chance.in_thousand(100) {
            // The person left, or the application is slow.
            world.sleep(world.chance.between(1_000, 70_000)).await;
        }
        let tokens = self.party.redeem(&code).await?;
        self.remember(&tokens);
        Some(tokens)
    }

    fn remember(&self, tokens: &Tokens) {
        if let Some(id_token) = tokens.id_token.clone() {
            let client = Rc::clone(&self.party.client);
            *self.browser.id_token.borrow_mut() = self.browser.session().map(|_| (id_token, client));
        }
    }

    async fn go_on(&self, tokens: Tokens) -> Option<Tokens> {
        let world = &self.world;
        match world.chance.below(100) {
            0..=19 => {
                self.party.userinfo(&tokens).await;
            }
            20..=34 => {
                if let Some(resource) = &self.resource {
                    resource.verify(&tokens.access.text).await;
                    let by = Caller::new(&resource.client);
                    party::introspect(world, resource.region, &Token::Access(Rc::clone(&tokens.access)), &by).await;
                }
            }
            35..=69 => return self.refresh(tokens).await,
            70..=77 => {
                // Another authorization in the same browser, as single sign-on has it.
                return self.sign_in().await.or(Some(tokens));
            }
            78..=84 => {
                self.browser.sign_out(self.region).await;
                return tokens.refresh.is_some().then_some(tokens);
            }
            85..=89 => {
                let by = Caller::new(&self.party.client);
                let token = match &tokens.refresh {
                    Some(refresh) if world.chance.in_thousand(500) => Token::Refresh(Rc::clone(refresh)),
                    _ => Token::Access(Rc::clone(&tokens.access)),
                };
                party::revoke(world, self.region, &token, &by).await;
                return None;
            }
            90..=93 => return None,
            _ => world.sleep(world.chance.between(10_000, 120_000)).await,
        }
        Some(tokens)
    }

    async fn refresh(&self, tokens: Tokens) -> Option<Tokens> {
        let token = tokens.refresh.clone()?;
        if self.world.chance.in_thousand(200) {
            // Two workers of the application do it at once, and either answer will do.
            let (first, second) = (self.party.refresh(&token), self.party.refresh(&token));
            let (first, second) = both(first, second).await;
            return match (first, second) {
                (Refreshed::To(tokens), other) | (other, Refreshed::To(tokens)) => {
                    let other = if let Refreshed::To(other) = other { Some(other) } else { None };
                    Some(other.filter(|_| self.world.chance.in_thousand(500)).unwrap_or(tokens))
                }
                _ => None,
            };
        }
        match self.party.refresh(&token).await {
            Refreshed::To(tokens) => Some(tokens),
            Refreshed::Over | Refreshed::Unknown => None,
        }
    }
}

/// Polls two futures side by side.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let mut first = std::pin::pin!(first);
    let mut second = std::pin::pin!(second);
    let (mut a, mut b) = (None, None);
    std::future::poll_fn(move |context| {
        if a.is_none()
            && let std::task::Poll::Ready(output) = first.as_mut().poll(context)
        {
            a = Some(output);
        }
        if b.is_none()
            && let std::task::Poll::Ready(output) = second.as_mut().poll(context)
        {
            b = Some(output);
        }
        match (a.take(), b.take()) {
            (Some(a), Some(b)) => std::task::Poll::Ready((a, b)),
            (one, other) => {
                (a, b) = (one, other);
                std::task::Poll::Pending
            }
        }
    })
    .await
}

/// Whoever got hold of codes, tokens and cookies, and tries them everywhere.
pub struct Thief {
    pub world: World,
}

impl Thief {
    pub async fn steal(&self, until: Millis) {
        let world = &self.world;
        let mut codes_seen = 0;
        let pace = world.chance.between(2_000, 18_000);
        loop {
            world.sleep(world.chance.between(50, pace)).await;
            if world.now() >= until {
                return;
            }
            let new_code = {
                let codes = world.known.codes.borrow();
                let new = codes.last().filter(|_| codes.len() > codes_seen).cloned();
                codes_seen = codes.len();
                new
            };
            match (new_code, world.chance.below(100)) {
                (Some(code), 0..=24) => self.use_code(&code).await,
                (_, 0..=29) => {
                    let code = recent(world, &world.known.codes.borrow());
                    if let Some(code) = code {
                        self.use_code(&code).await;
                    }
                }
                (_, 30..=44) => self.use_refresh_token().await,
                (_, 45..=54) => self.use_cookie().await,
                _ => self.use_what_has_ended().await,
            }
        }
    }

    /// Through the client itself (an injected code), through another client, or without the verifier.
    async fn use_code(&self, code: &Rc<Code>) {
        let world = &self.world;
        let region = world.any_region();
        let own = Caller::new(code.client());
        match world.chance.below(4) {
            0..=1 => {
                party::redeem(world, region, code, &own, code.ask.verifier.as_deref()).await;
            }
            2 if code.ask.verifier.is_some() => {
                party::redeem(
                    world,
                    region,
                    code,
                    &own,
                    Some("a verifier that was guessed and is of the length it has to be"),
                )
                .await;
            }
            _ => {
                let others: Vec<Rc<Client>> = {
                    let clients = world.known.clients.borrow();
                    let same = |client: &&Rc<Client>| Rc::ptr_eq(&client.tenant, &code.client().tenant);
                    clients.iter().filter(same).filter(|client| !Rc::ptr_eq(client, code.client())).cloned().collect()
                };
                if let Some(other) = world.chance.one(&others) {
                    party::redeem(world, region, code, &Caller::new(other), code.ask.verifier.as_deref()).await;
                }
            }
        }
    }

    async fn use_refresh_token(&self) {
        let world = &self.world;
        let token = recent(world, &world.known.refresh.borrow());
        let Some(token) = token else { return };
        // A token that was used already is what a thief mostly gets; now and then he is the first.
        if token.stepped.get().is_none() && !world.chance.in_thousand(100) {
            return;
        }
        let by = Caller::new(token.grant.code.client());
        party::refresh(world, world.any_region(), &token, &by, true).await;
    }

    /// A cookie that was once somebody's session.
    async fn use_cookie(&self) {
        let world = &self.world;
        let stolen = recent(world, &world.known.cookies.borrow());
        let Some((name, value, session)) = stolen else { return };
        self.follow_cookie(&name, &value, &session).await;
    }

    async fn follow_cookie(&self, name: &str, value: &str, session: &Rc<Session>) {
        let world = &self.world;
        let clients: Vec<Rc<Client>> = {
            let clients = world.known.clients.borrow();
            clients
                .iter()
                .filter(|client| Rc::ptr_eq(&client.tenant, &session.user.tenant) && !client.resource_server)
                .cloned()
                .collect()
        };
        let Some(client) = world.chance.one(&clients) else { return };
        let party = Party::new(world, client, world.any_region());
        let ask = party.ask(false, Some("none"));
        let browser = Browser::with_cookie(world, &session.user, name, value, session);
        if let Some(code) = browser.authorize(world.any_region(), &ask).await {
            party.redeem(&code).await;
        }
    }

    /// Property 4 in every region: whatever has ended is presented again, soon after and later.
    async fn use_what_has_ended(&self) {
        let world = &self.world;
        let region = world.any_region();
        let now = world.now();
        let ended = |grant: &Rc<crate::model::Grant>| grant.ended_before(now).is_some();
        match world.chance.below(4) {
            0..=1 => {
                let dead: Vec<Rc<Access>> = {
                    let known = world.known.access.borrow();
                    let is_dead = |token: &&Rc<Access>| {
                        token.ending.is_known_at(now)
                            || token.client.changes.off_since.get().is_some()
                            || world.known.revoked_keys.borrow().contains_key(&token.kid)
                            || token.grant.as_ref().is_some_and(ended)
                    };
                    known.iter().rev().take(60).filter(is_dead).cloned().collect()
                };
                let Some(token) =
                    dead.first().filter(|_| world.chance.in_thousand(500)).or_else(|| world.chance.one(&dead))
                else {
                    return;
                };
                let resources: Vec<Rc<Client>> = {
                    let clients = world.known.clients.borrow();
                    clients
                        .iter()
                        .filter(|client| client.resource_server && Rc::ptr_eq(&client.tenant, &token.client.tenant))
                        .cloned()
                        .collect()
                };
                match resources.first().filter(|_| world.chance.in_thousand(300)) {
                    Some(client) => {
                        party::introspect(world, region, &Token::Access(Rc::clone(token)), &Caller::new(client)).await;
                    }
                    None => {
                        let tokens = Tokens { access: Rc::clone(token), id_token: None, refresh: None };
                        party::userinfo(world, region, &tokens).await;
                    }
                }
            }
            2 => {
                let dead: Vec<Rc<Refresh>> = {
                    let known = world.known.refresh.borrow();
                    known.iter().rev().take(60).filter(|token| ended(&token.grant)).cloned().collect()
                };
                if let Some(token) = world.chance.one(&dead) {
                    let by = Caller::new(token.grant.code.client());
                    party::refresh(world, region, token, &by, true).await;
                }
            }
            _ => {
                let dead = {
                    let known = world.known.cookies.borrow();
                    let is_dead =
                        |(_, _, session): &&(String, String, Rc<Session>)| session.ended_before(now).is_some();
                    let dead: Vec<_> = known.iter().rev().take(30).filter(is_dead).cloned().collect();
                    world.chance.one(&dead).cloned()
                };
                if let Some((name, value, session)) = dead {
                    self.follow_cookie(&name, &value, &session).await;
                }
            }
        }
        self.use_old_secret(region).await;
    }

    async fn use_old_secret(&self, region: usize) {
        let world = &self.world;
        let old = {
            let clients = world.known.clients.borrow();
            let all: Vec<(Rc<Client>, String)> = clients
                .iter()
                .flat_map(|client| {
                    client
                        .old_secrets
                        .borrow()
                        .iter()
                        .map(|(text, _)| (Rc::clone(client), text.clone()))
                        .collect::<Vec<_>>()
                })
                .collect();
            world.chance.one(&all).cloned()
        };
        let Some((client, secret)) = old else { return };
        let by = Caller { client, secret: Some(secret) };
        let token = {
            let known = world.known.access.borrow();
            known.iter().rev().find(|token| Rc::ptr_eq(&token.client, &by.client)).cloned()
        };
        let Some(token) = token else { return };
        if world.chance.in_thousand(500) {
            party::introspect(world, region, &Token::Access(token), &by).await;
        } else {
            party::revoke(world, region, &Token::Access(token), &by).await;
        }
    }
}

/// One of the last few.
fn recent<T: Clone>(world: &World, of: &[T]) -> Option<T> {
    let from = of.len().saturating_sub(12);
    world.chance.one(of.get(from..).unwrap_or_default()).cloned()
}

/// Somebody who presents a value of one tenant to another one, and noise beside it: the answers must not differ.
pub struct Confused {
    pub world: World,
}

impl Confused {
    pub async fn try_everywhere(&self, until: Millis) {
        let world = &self.world;
        loop {
            world.sleep(world.chance.between(5_000, 60_000)).await;
            if world.now() >= until {
                return;
            }
            self.try_one().await;
        }
    }

    async fn try_one(&self) {
        let world = &self.world;
        let foreign = match world.chance.below(5) {
            0 => recent(world, &world.known.codes.borrow())
                .map(|code| ("code", code.text.clone(), Rc::clone(code.client()))),
            1 => recent(world, &world.known.refresh.borrow())
                .map(|token| ("refresh_token", token.text.clone(), Rc::clone(token.grant.code.client()))),
            2 => recent(world, &world.known.access.borrow())
                .map(|token| ("token", token.text.clone(), Rc::clone(&token.client))),
            3 => recent(world, &world.known.access.borrow())
                .map(|token| ("bearer", token.text.clone(), Rc::clone(&token.client))),
            _ => recent(world, &world.known.access.borrow()).and_then(|token| {
                let secret = token.client.secret.borrow().clone()?;
                Some(("client", secret, Rc::clone(&token.client)))
            }),
        };
        let Some((kind, value, owner)) = foreign else { return };
        let here = {
            let clients = world.known.clients.borrow();
            let elsewhere = |client: &&Rc<Client>| {
                !Rc::ptr_eq(&client.tenant, &owner.tenant)
                    && client.secret.borrow().is_some()
                    && client.changes.off_since.get().is_none()
                    && client.changes.asked.get().is_none_or(|at| at + SETTLED < world.now())
            };
            let others: Vec<Rc<Client>> = clients.iter().filter(elsewhere).cloned().collect();
            world.chance.one(&others).cloned()
        };
        let Some(here) = here else { return };
        let region = world.any_region();
        let mut noise = [0; 48];
        world.chance.fill(&mut noise);
        let noise = crate::secrets::base64url(&noise);
        let (Some(foreign), Some(other)) = (
            self.present(region, kind, &value, &owner, &here).await,
            self.present(region, kind, &noise, &owner, &here).await,
        ) else {
            return;
        };
        let unclear = |answer: &(u16, String)| answer.0 >= 500;
        let changed = here.changes.asked.get().is_some_and(|at| at + SETTLED >= world.now());
        if unclear(&foreign) || unclear(&other) || changed || foreign == other {
            return;
        }
        let things = [crate::history::Thing::Client(owner.number), crate::history::Thing::Client(here.number)];
        let sentence = format!(
            "tenant {} does not take a {kind} of tenant {} for noise: it answers {} {} and not {} {}",
            here.tenant.number, owner.tenant.number, foreign.0, foreign.1, other.0, other.1,
        );
        world.violate(6, things, sentence);
    }

    /// Status and error of what the tenant of `here` answers.
    async fn present(
        &self,
        region: usize,
        kind: &str,
        value: &str,
        owner: &Rc<Client>,
        here: &Rc<Client>,
    ) -> Option<(u16, String)> {
        let issuer = &here.tenant.issuer;
        let secret = here.secret.borrow().clone();
        let by_here = |path: &str, pairs: &[(&str, &str)]| {
            call::by_client(&format!("{issuer}{path}"), &here.id, secret.as_deref(), pairs)
        };
        let request = match kind {
            "code" => by_here(
                "/token",
                &[("grant_type", "authorization_code"), ("code", value), ("redirect_uri", &here.redirect_uri)],
            ),
            "refresh_token" => by_here("/token", &[("grant_type", "refresh_token"), ("refresh_token", value)]),
            "token" => by_here("/introspect", &[("token", value)]),
            "bearer" => call::bearer(call::get(&format!("{issuer}/userinfo")), value),
            // A client of the one tenant at the other; noise is a wrong secret.
            _ => call::by_client(&format!("{issuer}/introspect"), &owner.id, Some(value), &[("token", "noise")]),
        };
        let reply = self.world.send(region, Intent::Plain, request).await?;
        let body: serde_json::Value = serde_json::from_slice(&reply.response.body).unwrap_or_default();
        let words = |name: &str| body[name].to_string();
        Some((reply.response.status, format!("{} {} {}", words("error"), words("error_description"), words("active"))))
    }
}
