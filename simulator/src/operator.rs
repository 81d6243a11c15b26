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
        }
    }

    #[must_use]
    pub fn things(&self) -> Vec<Thing> {
        match self {
            Self::CreateTenant(tenant) => vec![Thing::Tenant(tenant.number)],
            Self::DisableUser(user) | Self::EnableUser(user) | Self::NewPassword(user, _) => vec![Thing::User(user.number)],
            Self::DisableClient(client) | Self::EnableClient(client) | Self::RotateSecret(client) => {
                vec![Thing::Client(client.number)]
            }
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
        }
    }

    /// From now on it may have happened.
    pub fn begins(&self, now: Millis) {
        match self {
            Self::CreateTenant(_) => {}
            Self::DisableUser(user) | Self::NewPassword(user, _) => user.changes.asked.set(Some(now)),
            Self::EnableUser(user) => {
                user.changes.asked.set(Some(now));
                user.changes.off_since.set(None);
            }
            Self::DisableClient(client) | Self::RotateSecret(client) => client.changes.asked.set(Some(now)),
            Self::EnableClient(client) => {
                client.changes.asked.set(Some(now));
                client.changes.off_since.set(None);
            }
        }
    }

    /// It was answered that it has happened, or that it has not.
    pub fn answered(&self, world: &World, host: &Host, _began: Millis, response: &Response) {
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
                user.ends.borrow_mut().push(now);
                user.changes.off_since.set(Some(now));
            }
            Self::NewPassword(user, password) => {
                let old = user.password.replace(password.clone());
                user.old_passwords.borrow_mut().push((old, now));
                user.ends.borrow_mut().push(now);
            }
            Self::DisableClient(client) => client.changes.off_since.set(Some(now)),
            Self::EnableUser(_) | Self::EnableClient(_) => {}
            Self::RotateSecret(client) => {
                let secret = text("client_secret");
                world.secrets.borrow_mut().add("a client secret", &secret);
                if let Some(old) = client.secret.replace(Some(secret)) {
                    client.old_secrets.borrow_mut().push((old, now));
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
        match world.chance.below(10) {
            0..=2 => user.map(Change::DisableUser),
            3 => {
                let password = format!("another password, number {:06}", world.number("password"));
                world.secrets.borrow_mut().add("a password", &password);
                user.map(|user| Change::NewPassword(user, password))
            }
            4..=5 => client.filter(|client| !client.resource_server).map(Change::DisableClient),
            _ => client.filter(|client| client.secret.borrow().is_some()).map(Change::RotateSecret),
        }
    }

    /// Asks again and again, each time in some region, until it is answered that it was done; gives up on a refusal.
    pub async fn insist(&self, change: Change) -> bool {
        for _ in 0..8 {
            let region = self.world.any_region();
            if let Some(token) = self.token(region).await {
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
