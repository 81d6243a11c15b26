//! Relying parties and resource servers: they call the endpoints where clients authenticate, and verify every token that they
//! get against the JWKS that they have, which they fetch again only when it has run out.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use crate::call;
use crate::executor::Millis;
use crate::model::{Ask, Client, Code, Refresh, Tenant, Token, Tokens};
use crate::oracle::{Caller, Intent, header};
use crate::world::{CachedJwks, Reply, World};

/// A client's server in one region.
pub struct Party {
    pub world: World,
    pub client: Rc<Client>,
    pub region: usize,
    jwks: RefCell<Option<CachedJwks>>,
}

impl Party {
    #[must_use]
    pub fn new(world: &World, client: &Rc<Client>, region: usize) -> Self {
        Self { world: world.clone(), client: Rc::clone(client), region, jwks: RefCell::default() }
    }

    /// Something to ask a person for.
    #[must_use]
    pub fn ask(&self, offline: bool, prompt: Option<&'static str>) -> Rc<Ask> {
        let is_public = self.client.secret.borrow().is_none();
        let verifier = is_public.then(|| {
            let mut bytes = [0; 32];
            self.world.chance.fill(&mut bytes);
            crate::secrets::base64url(&bytes)
        });
        Rc::new(Ask { client: Rc::clone(&self.client), verifier, offline, prompt })
    }

    /// Redeems a code once; tokens that come are verified.
    pub async fn redeem(&self, code: &Rc<Code>) -> Option<Tokens> {
        let reply =
            redeem(&self.world, self.region, code, &Caller::new(&self.client), code.ask.verifier.as_deref()).await?;
        let tokens = reply.gained.tokens?;
        self.verify_all(&tokens).await;
        Some(tokens)
    }

    /// Refreshes as an honest client does: an answer that did not come is asked for again, as long as the grace window lasts.
    pub async fn refresh(&self, token: &Rc<Refresh>) -> Refreshed {
        let began = self.world.now();
        loop {
            let caller = Caller::new(&self.client);
            let reply = refresh(&self.world, self.region, token, &caller, false).await;
            if let Some(reply) = reply {
                if let Some(tokens) = reply.gained.tokens {
                    self.verify_all(&tokens).await;
                    return Refreshed::To(tokens);
                }
                if reply.response.status == 400 {
                    return Refreshed::Over;
                }
            }
            self.world.sleep(self.world.chance.between(100, 4000)).await;
            if self.world.now() - began > 28_000 {
                // Whoever comes later may be taken for a thief.
                return Refreshed::Unknown;
            }
        }
    }

    async fn verify_all(&self, tokens: &Tokens) {
        self.verify(&tokens.access.text).await;
        if let Some(id_token) = &tokens.id_token {
            self.verify(id_token).await;
        }
    }

    /// Property 3: the signature is by a key of the JWKS that this party has.
    pub async fn verify(&self, token: &str) {
        let Some(jwks) = self.jwks().await else { return };
        let kid = header(token)["kid"].as_str().unwrap_or_default().to_owned();
        if jwks.kids.contains(&kid) {
            return;
        }
        // A revoked key's tokens are excepted, and those of a key that had to take over before all the world could know it.
        let excepted = self.world.look(
            "SELECT k.kid FROM signing_keys AS k WHERE k.tenant_id = ?1 AND k.kid = ?2 AND (k.revoked_at IS NOT NULL \
             OR EXISTS (SELECT 1 FROM signing_keys AS r WHERE r.tenant_id = k.tenant_id AND r.alg = k.alg AND r.region = k.region \
             AND abs(r.revoked_at - k.activates_at) <= 30 AND k.published_at > r.revoked_at - ?3))",
            vec![
                self.client.tenant.id.borrow().as_str().into(),
                kid.as_str().into(),
                vedette::keys::schedule::PUBLICATION_LEAD.into(),
            ],
        );
        if excepted.is_empty() {
            let thing = self.world.key(&kid);
            let age = (self.world.now() - jwks.asked_at) / 1000;
            let sentence = format!(
                "client {} cannot verify a token by {thing} against the JWKS that it fetched {age} s ago",
                self.client.number
            );
            self.world.violate(3, [thing, crate::history::Thing::Tenant(self.client.tenant.number)], sentence);
        }
    }

    /// The JWKS that this party has, or a new one when that has run out.
    async fn jwks(&self) -> Option<CachedJwks> {
        let have = self.jwks.borrow().clone().filter(|jwks| self.world.now() < jwks.asked_at + jwks.max_age);
        if have.is_some() {
            return have;
        }
        let fetched = fetch_jwks(&self.world, self.region, &self.client.tenant).await?;
        *self.jwks.borrow_mut() = Some(fetched.clone());
        Some(fetched)
    }

    pub async fn userinfo(&self, tokens: &Tokens) -> Option<Reply> {
        userinfo(&self.world, self.region, tokens).await
    }
}

/// What came of refreshing.
pub enum Refreshed {
    To(Tokens),
    /// The grant has ended.
    Over,
    /// Nobody answered in time.
    Unknown,
}

/// From the region's shared cache, as long as that may answer by itself.
async fn fetch_jwks(world: &World, region: usize, tenant: &Rc<Tenant>) -> Option<CachedJwks> {
    let cached = world.regions[region].jwks.borrow().get(&tenant.number).cloned();
    if let Some(cached) = cached.filter(|cached| world.now() < cached.asked_at + cached.max_age) {
        return Some(cached);
    }
    let asked_at = world.now();
    let reply = world.send(region, Intent::Plain, call::get(&format!("{}/jwks", tenant.issuer))).await?;
    if reply.response.status != 200 {
        return None;
    }
    let body: Value = serde_json::from_slice(&reply.response.body).ok()?;
    let kids: BTreeSet<String> =
        body["keys"].as_array()?.iter().filter_map(|key| key["kid"].as_str()).map(str::to_owned).collect();
    let control = reply.response.header("cache-control").unwrap_or_default();
    let max_age: Millis = control.split("max-age=").nth(1).and_then(|text| text.parse().ok()).unwrap_or_default();
    check_revoked(world, asked_at, &kids);
    let things = kids.iter().map(|kid| world.key(kid)).collect();
    world.note(
        world.regions[region].name.clone(),
        things,
        format!("a JWKS of {} keys is fetched for tenant {}", kids.len(), tenant.number),
    );
    let fetched = CachedJwks { kids: Rc::new(kids), asked_at, max_age: max_age * 1000 };
    // Not every region has a shared cache before the issuer.
    if region.is_multiple_of(2) {
        world.regions[region].jwks.borrow_mut().insert(tenant.number, fetched.clone());
    }
    Some(fetched)
}

/// A revoked key leaves JWKS when all copies from before have run out.
fn check_revoked(world: &World, asked_at: Millis, kids: &BTreeSet<String>) {
    let revoked = world.known.revoked_keys.borrow();
    let late = revoked.iter().find(|(kid, at)| kids.contains(*kid) && **at + crate::oracle::COPIES_RUN_OUT < asked_at);
    if let Some((kid, at)) = late {
        let thing = world.key(kid);
        let sentence = format!("{thing} is in a JWKS {} s after its revocation was answered", (asked_at - at) / 1000);
        world.violate(4, [thing], sentence);
    }
}

fn endpoint(client: &Client, path: &str) -> String {
    format!("{}{path}", client.tenant.issuer)
}

pub async fn redeem(
    world: &World,
    region: usize,
    code: &Rc<Code>,
    by: &Caller,
    verifier: Option<&str>,
) -> Option<Reply> {
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code.text.as_str()),
        ("redirect_uri", code.client().redirect_uri.as_str()),
    ];
    pairs.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    let request = call::by_client(&endpoint(&by.client, "/token"), &by.client.id, by.secret.as_deref(), &pairs);
    let verifier_is_right = verifier == code.ask.verifier.as_deref();
    world.send(region, Intent::Redeem { code: Rc::clone(code), by: by.clone(), verifier_is_right }, request).await
}

pub async fn refresh(world: &World, region: usize, token: &Rc<Refresh>, by: &Caller, stolen: bool) -> Option<Reply> {
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", token.text.as_str())];
    let request = call::by_client(&endpoint(&by.client, "/token"), &by.client.id, by.secret.as_deref(), &pairs);
    world.send(region, Intent::Refresh { token: Rc::clone(token), by: by.clone(), stolen }, request).await
}

pub async fn userinfo(world: &World, region: usize, tokens: &Tokens) -> Option<Reply> {
    let request = call::bearer(call::get(&endpoint(&tokens.access.client, "/userinfo")), &tokens.access.text);
    world.send(region, Intent::UserInfo { token: Rc::clone(&tokens.access) }, request).await
}

pub async fn introspect(world: &World, region: usize, token: &Token, by: &Caller) -> Option<Reply> {
    let pairs = [("token", token.text())];
    let request = call::by_client(&endpoint(&by.client, "/introspect"), &by.client.id, by.secret.as_deref(), &pairs);
    world.send(region, Intent::Introspect { token: token.clone(), by: by.clone() }, request).await
}

pub async fn revoke(world: &World, region: usize, token: &Token, by: &Caller) -> Option<Reply> {
    let pairs = [("token", token.text())];
    let request = call::by_client(&endpoint(&by.client, "/revoke"), &by.client.id, by.secret.as_deref(), &pairs);
    world.send(region, Intent::Revoke { token: token.clone(), by: by.clone() }, request).await
}
