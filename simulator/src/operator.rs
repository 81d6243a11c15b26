//! The operator: all that an operator may do, in one list, and the doing of it through the management API.

use std::rc::Rc;

use serde_json::{Value, json};
use vedette::http::{Method, Request, Response};

use crate::call;
use crate::executor::Millis;
use crate::history::Thing;
use crate::host::Host;
use crate::model::{Client, SETTLED, Tenant, User};
use crate::oracle::Intent;
use crate::world::World;

/// One thing that an operator does. A new one needs a line in each of [`Change`]'s functions, and one in [`Operator::draw`].
#[derive(Clone)]
pub enum Change {
    CreateTenant(Rc<Tenant>),
    DisableUser(Rc<User>),
    EnableUser(Rc<User>),
    NewPassword(Rc<User>, String),
    DisableClient(Rc<Client>),
    EnableClient(Rc<Client>),
    RotateSecret(Rc<Client>),
    /// The keys of one algorithm, or of all.
    RotateKeys(Rc<Tenant>, Option<&'static str>),
    /// By its `kid`.
    RevokeKey(Rc<Tenant>, String, Thing),
    SetRegions(Rc<Tenant>, Vec<String>),
    Maintain,
    /// Under the root of this id.
    RewrapMasters(String),
    ReplaceMasters(String),
}

impl Change {
    /// In a history.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::CreateTenant(tenant) => format!("making tenant {}", tenant.number),
            Self::DisableUser(user) => format!("disabling user {}", user.number),
            Self::EnableUser(user) => format!("enabling user {}", user.number),
            Self::NewPassword(user, _) => format!("giving user {} another password", user.number),
            Self::DisableClient(client) => format!("disabling client {}", client.number),
            Self::EnableClient(client) => format!("enabling client {}", client.number),
            Self::RotateSecret(client) => format!("rotating the secret of client {}", client.number),
            Self::RotateKeys(tenant, alg) => {
                format!("rotating the {} keys of tenant {}", alg.unwrap_or("signing"), tenant.number)
            }
            Self::RevokeKey(tenant, _, key) => format!("revoking {key} of tenant {}", tenant.number),
            Self::SetRegions(tenant, regions) => format!("giving tenant {} the regions {regions:?}", tenant.number),
            Self::Maintain => "maintenance".to_owned(),
            Self::RewrapMasters(_) => "wrapping the masters anew".to_owned(),
            Self::ReplaceMasters(_) => "replacing the masters".to_owned(),
        }
    }

    #[must_use]
    pub fn things(&self) -> Vec<Thing> {
        match self {
            Self::CreateTenant(tenant) => vec![Thing::Tenant(tenant.number)],
            Self::DisableUser(user) | Self::EnableUser(user) | Self::NewPassword(user, _) => {
                vec![Thing::User(user.number)]
            }
            Self::DisableClient(client) | Self::EnableClient(client) | Self::RotateSecret(client) => {
                vec![Thing::Client(client.number)]
            }
            Self::RotateKeys(tenant, _) | Self::SetRegions(tenant, _) => vec![Thing::Tenant(tenant.number)],
            Self::RevokeKey(tenant, _, key) => vec![Thing::Tenant(tenant.number), *key],
            // There are at most three tenants, and these concern all of them.
            Self::Maintain | Self::RewrapMasters(_) | Self::ReplaceMasters(_) => (1..=3).map(Thing::Tenant).collect(),
        }
    }

    /// The request that asks for it; `api` is the address of the management API.
    fn request(&self, api: &str) -> Request {
        let of_user = |user: &User| format!("{api}/tenants/{}/users/{}", user.tenant.id.borrow(), user.id);
        let of_client = |client: &Client| format!("{api}/tenants/{}/clients/{}", client.tenant.id.borrow(), client.id);
        let patch = |url: String, body: Value| call::json(Method::Patch, &url, &body);
        match self {
            Self::CreateTenant(tenant) => {
                let body = json!({"issuer": tenant.issuer, "name": "Another", "registration": "closed"});
                call::json(Method::Post, &format!("{api}/tenants"), &body)
            }
            Self::DisableUser(user) => patch(of_user(user), json!({"disabled": true})),
            Self::EnableUser(user) => patch(of_user(user), json!({"disabled": false})),
            Self::NewPassword(user, password) => patch(of_user(user), json!({"password": password})),
            Self::DisableClient(client) => patch(of_client(client), json!({"disabled": true})),
            Self::EnableClient(client) => patch(of_client(client), json!({"disabled": false})),
            Self::RotateSecret(client) => call::to(Method::Post, &format!("{}/secret", of_client(client))),
            Self::RotateKeys(tenant, alg) => {
                let url = format!("{api}/tenants/{}/keys/rotate", tenant.id.borrow());
                match alg {
                    Some(alg) => call::json(Method::Post, &url, &json!({ "alg": alg })),
                    None => call::to(Method::Post, &url),
                }
            }
            Self::RevokeKey(tenant, kid, _) => {
                call::to(Method::Post, &format!("{api}/tenants/{}/keys/{kid}/revoke", tenant.id.borrow()))
            }
            Self::SetRegions(tenant, regions) => {
                patch(format!("{api}/tenants/{}", tenant.id.borrow()), json!({ "regions": regions }))
            }
            Self::Maintain => call::to(Method::Post, &api.replace("/admin/api", "/maintenance")),
            Self::RewrapMasters(root) => {
                call::json(Method::Post, &format!("{api}/root-secret/rewrap"), &json!({ "root_id": root }))
            }
            Self::ReplaceMasters(root) => {
                call::json(Method::Post, &format!("{api}/root-secret/replace-masters"), &json!({ "root_id": root }))
            }
        }
    }

    /// From now on it may have happened.
    pub fn begins(&self, world: &World) {
        let now = world.now();
        let may_make_keys = |most: usize| {
            let allowed = &world.known.keys_allowed;
            allowed.set(allowed.get() + most);
        };
        match self {
            Self::CreateTenant(_) | Self::SetRegions(..) | Self::Maintain | Self::RewrapMasters(_) => {}
            Self::RotateKeys(..) => may_make_keys(1),
            Self::RevokeKey(..) => {
                may_make_keys(2);
                world.known.keys_may_be_revoked.set(true);
            }
            Self::ReplaceMasters(_) => {
                world.known.masters_asked.set(Some(now));
                may_make_keys(2);
                world.known.keys_may_be_revoked.set(true);
                world.known.users.borrow().iter().for_each(|user| user.changes.asked.set(Some(now)));
            }
            Self::DisableUser(user) | Self::NewPassword(user, _) => user.changes.asked.set(Some(now)),
            Self::EnableUser(user) => {
                user.changes.asked.set(Some(now));
                user.changes.off_since.set(None);
            }
            Self::DisableClient(client) => client.changes.asked.set(Some(now)),
            Self::RotateSecret(client) => {
                client.changes.asked.set(Some(now));
                client.rotations.borrow_mut().push(now);
            }
            Self::EnableClient(client) => {
                client.changes.asked.set(Some(now));
                client.changes.off_since.set(None);
            }
        }
    }

    /// It was answered that it has happened, or that it has not.
    pub fn answered(&self, world: &World, host: &Host, began: Millis, response: &Response) {
        let now = world.now();
        host.note(self.things(), &format!("{} is answered {}", self.words(), response.status));
        if response.status >= 300 {
            return;
        }
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match self {
            Self::CreateTenant(tenant) => {
                *tenant.id.borrow_mut() = text("id");
                tenant.made_at.set(Some(now));
            }
            Self::DisableUser(user) => {
                user.ends.borrow_mut().push((now, now));
                user.changes.off_since.set(Some(now));
            }
            Self::NewPassword(user, password) => {
                let old = user.password.replace(password.clone());
                // The answer to asking again names the same one.
                if old != *password {
                    user.old_passwords.borrow_mut().push((old, now));
                }
                user.ends.borrow_mut().push((now, now));
            }
            Self::DisableClient(client) => client.changes.off_since.set(Some(now)),
            Self::EnableUser(_) | Self::EnableClient(_) => {}
            Self::RotateKeys(..) | Self::SetRegions(..) | Self::Maintain | Self::RewrapMasters(_) => {}
            Self::RevokeKey(_, kid, _) => {
                world.known.revoked_keys.borrow_mut().entry(kid.clone()).or_insert(now);
            }
            Self::ReplaceMasters(_) => {
                world.known.users.borrow().iter().for_each(|user| user.ends.borrow_mut().push((began, now)));
                let rows = world.look("SELECT kid FROM signing_keys WHERE revoked_at IS NOT NULL", Vec::new());
                let mut revoked = world.known.revoked_keys.borrow_mut();
                rows.iter().filter_map(|row| row.text(0).ok()).for_each(|kid| {
                    revoked.entry(kid).or_insert(now);
                });
            }
            Self::RotateSecret(client) => {
                let secret = text("client_secret");
                world.secrets.borrow_mut().add("a client secret", &secret);
                // Of two rotations at about the same time nobody knows which one came last.
                let mut rotations = client.rotations.borrow_mut();
                rotations.retain(|other| *other + SETTLED > began);
                let is_alone = rotations.len() == 1;
                let mut perhaps = client.perhaps_current.borrow_mut();
                perhaps.extend(client.secret.replace(Some(secret)));
                if is_alone {
                    client.old_secrets.borrow_mut().extend(perhaps.drain(..).map(|old| (old, now)));
                }
            }
        }
    }
}

/// Who operates the deployment, by an operator client of the first tenant.
pub struct Operator {
    pub world: World,
    pub home: Rc<Tenant>,
    pub client_id: String,
    pub client_secret: String,
}

impl Operator {
    /// Operates until `until`: every now and then something.
    pub async fn work(&self, until: Millis) {
        let pause = self.world.chance.between(5_000, 90_000);
        loop {
            self.world.sleep(self.world.chance.between(1_000, 2 * pause)).await;
            if self.world.now() >= until {
                return;
            }
            let Some(change) = self.draw() else { continue };
            self.insist(change).await;
        }
    }

    /// What to do next, if there is anything.
    fn draw(&self) -> Option<Change> {
        let world = &self.world;
        let users = world.known.users.borrow();
        let clients = world.known.clients.borrow();
        let now = world.now();
        // What was disabled comes back when no request from before is under way any more.
        let long_off = |changes: &crate::model::Changes| changes.off_since.get().is_some_and(|at| at + SETTLED < now);
        let is_on = |changes: &crate::model::Changes| changes.off_since.get().is_none();
        if let Some(user) = users.iter().find(|user| long_off(&user.changes)) {
            return Some(Change::EnableUser(Rc::clone(user)));
        }
        if let Some(client) = clients.iter().find(|client| long_off(&client.changes)) {
            return Some(Change::EnableClient(Rc::clone(client)));
        }
        let user = world.chance.one(&users).filter(|user| is_on(&user.changes)).cloned();
        let client = world.chance.one(&clients).filter(|client| is_on(&client.changes)).cloned();
        let tenant = world.chance.one(&world.known.tenants.borrow()).cloned()?;
        match world.chance.below(20) {
            0..=3 => user.map(Change::DisableUser),
            4..=8 => Some(Change::RotateKeys(tenant, world.chance.in_thousand(600).then_some("ES256"))),
            9..=10 => self.active_key(&tenant).map(|kid| {
                let thing = world.key(&kid);
                Change::RevokeKey(tenant, kid, thing)
            }),
            11..=12 => Some(Change::Maintain),
            13 => {
                let regions = world.regions.iter().map(|region| region.name.clone());
                Some(Change::SetRegions(tenant, regions.filter(|_| world.chance.in_thousand(600)).collect()))
            }
            14 => {
                let password = format!("another password, number {:06}", world.number("password"));
                world.secrets.borrow_mut().add("a password", &password);
                user.map(|user| Change::NewPassword(user, password))
            }
            15..=16 => client.filter(|client| !client.resource_server).map(Change::DisableClient),
            _ => client.filter(|client| client.secret.borrow().is_some()).map(Change::RotateSecret),
        }
    }

    /// The `kid` of some key of the tenant that signs now, by a clock that is right.
    fn active_key(&self, tenant: &Tenant) -> Option<String> {
        let rows = self.world.look(
            "SELECT kid FROM signing_keys WHERE tenant_id = ?1 AND revoked_at IS NULL AND activates_at <= ?2 \
             AND alg IN ('ES256', 'RS256') ORDER BY activates_at DESC, kid",
            vec![tenant.id.borrow().as_str().into(), self.world.unix().into()],
        );
        let kids: Vec<String> = rows.iter().take(3).filter_map(|row| row.text(0).ok()).collect();
        self.world.chance.one(&kids).cloned()
    }

    /// A new root secret in three steps, each when the one before has reached every isolate.
    pub async fn rotate_root(&self) {
        let world = &self.world;
        let old = world.root_secret.borrow().clone();
        let mut bytes = [0; 32];
        world.chance.fill(&mut bytes);
        let new = crate::secrets::base64url(&bytes);
        world.secrets.borrow_mut().add("the root secret", &new);
        let id = vedette::root::Root::new(vedette::seal::KeyMaterial::new(bytes)).id;
        self.deploy(format!("{old},{new}")).await;
        self.deploy(format!("{new},{old}")).await;
        let change = if world.chance.in_thousand(150) { Change::ReplaceMasters(id) } else { Change::RewrapMasters(id) };
        if self.insist(change).await {
            self.deploy(new).await;
        }
    }

    /// A changed secret reaches isolates at different times: each when it is replaced.
    async fn deploy(&self, root_secret: String) {
        let world = &self.world;
        *world.root_secret.borrow_mut() = root_secret;
        world.note("", (1..=3).map(Thing::Tenant).collect(), "the root secret is changed");
        let mut regions: Vec<usize> = (0..world.regions.len()).collect();
        while !regions.is_empty() {
            world.sleep(world.chance.between(100, 20_000)).await;
            world.end_isolates(regions.swap_remove(world.chance.index(regions.len())));
        }
    }

    /// Asks again and again, each time in some region, until it is answered that it was done; gives up on a refusal.
    pub async fn insist(&self, change: Change) -> bool {
        for _ in 0..8 {
            let region = self.world.any_region();
            let token = match change {
                Change::Maintain => Some(crate::host::MAINTENANCE_SECRET.to_owned()),
                _ => self.token(region).await,
            };
            if let Some(token) = token {
                let request = call::bearer(change.request(&self.api()), &token);
                if let Some(reply) = self.world.send(region, Intent::Change(change.clone()), request).await {
                    match reply.response.status {
                        200..=299 => return true,
                        401 | 503 => {}
                        _ => return false,
                    }
                }
            }
            self.world.sleep(self.world.chance.between(500, 3000)).await;
        }
        false
    }

    pub fn api(&self) -> String {
        format!("{}/admin/api", self.home.issuer)
    }

    /// An access token for the management API.
    pub async fn token(&self, region: usize) -> Option<String> {
        let url = format!("{}/token", self.home.issuer);
        let pairs = [("grant_type", "client_credentials")];
        let request = call::by_client(&url, &self.client_id, Some(&self.client_secret), &pairs);
        let reply = self.world.send(region, Intent::Plain, request).await?;
        let body: Value = serde_json::from_slice(&reply.response.body).ok()?;
        body["access_token"].as_str().map(str::to_owned)
    }
}
