//! A deployment: a world, one isolate in it, and the tenant that its requests go to.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vedette::http::{Method, Response};
use vedette::memory::{MemoryPlatform, World, block_on};
use vedette::platform::{SecretName, Variable};
use vedette::{Isolate, setup, store};

use super::{Answer, Call};

/// The issuer that set-up makes, unless a test wants another one.
pub const ISSUER: &str = "https://id.example.com";
/// Its first administrator.
pub const USERNAME: &str = "admin";
/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";
pub const ROOT_SECRET: [u8; 32] = *b"root secret of the native tests!";

/// A clone is the same deployment; some methods answer it as seen from elsewhere.
#[derive(Clone)]
pub struct Deployment {
    pub world: World,
    pub host: MemoryPlatform,
    pub isolate: Rc<Isolate>,
    /// The issuer that [`Deployment::call`] calls, and its tenant.
    pub issuer: String,
    pub tenant_id: String,
    /// The operator client, of the tenant that set-up made.
    pub client_id: String,
    pub client_secret: String,
    /// An access token of it.
    pub admin_token: String,
    /// The issuer of that tenant.
    pub home: String,
}

impl Deployment {
    /// Set up at [`ISSUER`], with registration open.
    #[must_use]
    pub fn new() -> Self {
        Self::at(ISSUER)
    }

    /// Set up at this issuer.
    #[must_use]
    pub fn at(issuer: &str) -> Self {
        Self::seeded(issuer, 0)
    }

    /// With another sequence of random bytes.
    #[must_use]
    pub fn seeded(issuer: &str, seed: u64) -> Self {
        Self::in_world(World::with_seed(store::MIGRATIONS, seed), issuer)
    }

    /// In a world that was prepared for it.
    #[must_use]
    pub fn in_world(world: World, issuer: &str) -> Self {
        let mut deployment = Self::before_set_up(world, issuer);
        let made = deployment.send(deployment.set_up()).expect(201);
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        deployment.tenant_id = text("tenant_id");
        deployment.client_id = text("client_id");
        deployment.client_secret = text("client_secret");
        deployment.renew_admin_token();
        deployment
    }

    /// What there is before anybody has set anything up.
    #[must_use]
    pub fn before_set_up(world: World, issuer: &str) -> Self {
        world.set_secret(SecretName::Root, URL_SAFE_NO_PAD.encode(ROOT_SECRET));
        world.set_variable(Variable::Surface, "all");
        Self {
            host: world.instance(),
            world,
            isolate: Rc::default(),
            issuer: issuer.to_owned(),
            tenant_id: String::new(),
            client_id: String::new(),
            client_secret: String::new(),
            admin_token: String::new(),
            home: issuer.to_owned(),
        }
    }

    /// A set-up link's ticket, minted now.
    #[must_use]
    pub fn ticket(&self) -> String {
        let root = URL_SAFE_NO_PAD.encode(ROOT_SECRET);
        setup::mint_ticket(&root, &self.issuer, self.world.now().0, [7; 16]).expect("a ticket")
    }

    /// The call that sets up.
    #[must_use]
    pub fn set_up(&self) -> Call {
        self.post("/setup").header("accept", "application/json").form(&[
            ("ticket", &self.ticket()),
            ("issuer_name", "Example"),
            ("username", USERNAME),
            ("password", PASSWORD),
            ("email", "admin@example.com"),
            ("registration", "open"),
        ])
    }

    /// Another isolate of the same deployment, with nothing in its memory.
    #[must_use]
    pub fn other_isolate(&self) -> Self {
        Self { host: self.world.instance(), isolate: Rc::default(), ..self.clone() }
    }

    /// Another tenant of the same deployment, seen from the same isolate.
    #[must_use]
    pub fn another_tenant(&self, issuer: &str) -> Self {
        let tenant = json!({"issuer": issuer, "name": "Another", "registration": "open"});
        let made = self.send(self.admin(Method::Post, "/tenants").json(&tenant)).expect(201);
        let tenant_id = made["id"].as_str().expect("an id").to_owned();
        Self { issuer: issuer.to_owned(), tenant_id, ..self.clone() }
    }
}

/// Calls.
impl Deployment {
    /// A request to the issuer: `path` begins behind the issuer's own and may carry a query.
    #[must_use]
    pub fn call(&self, method: Method, path: &str) -> Call {
        Call::to(method, &format!("{}{path}", self.issuer))
    }

    #[must_use]
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::Get, path)
    }

    #[must_use]
    pub fn post(&self, path: &str) -> Call {
        self.call(Method::Post, path)
    }

    /// Serves a request, and leaves what it deferred for later.
    pub async fn handle(&self, call: Call) -> Response {
        vedette::handle(&self.host, &self.isolate, call.0).await
    }

    /// Serves a request, and does what it deferred.
    pub fn send(&self, call: Call) -> Answer {
        let response = block_on(self.handle(call));
        block_on(self.world.run_deferred());
        response.into()
    }

    /// An access token by client credentials, if the client gets one.
    #[must_use]
    pub fn client_token(&self, id: &str, secret: &str) -> Option<String> {
        let call = Call::to(Method::Post, &format!("{}/token", self.home));
        let answer = self.send(call.basic(id, secret).form(&[("grant_type", "client_credentials")]));
        answer.body["access_token"].as_str().map(str::to_owned)
    }

    /// For after a time that access tokens do not live.
    pub fn renew_admin_token(&mut self) {
        self.admin_token = self.client_token(&self.client_id, &self.client_secret).expect("an access token");
    }

    /// A call to the management API: `path` begins behind `/admin/api`.
    #[must_use]
    pub fn admin(&self, method: Method, path: &str) -> Call {
        Call::to(method, &format!("{}/admin/api{path}", self.home)).bearer(&self.admin_token)
    }

    /// A call to the management API about this tenant: `path` begins behind its id.
    #[must_use]
    pub fn manage(&self, method: Method, path: &str) -> Call {
        self.admin(method, &format!("/tenants/{}{path}", self.tenant_id))
    }

    /// Changes something of this tenant.
    #[track_caller]
    pub fn patch(&self, path: &str, change: &Value) -> Value {
        self.send(self.manage(Method::Patch, path).json(change)).expect(200)
    }
}

/// Behind everybody's back.
impl Deployment {
    /// How many rows there are of what follows FROM; `?1` is the tenant.
    #[must_use]
    pub fn count(&self, rows: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {rows}");
        self.world.with_db(|db| db.query_row(&sql, [&self.tenant_id], |row| row.get(0))).expect("a number")
    }

    /// How often this event is in the tenant's audit.
    #[must_use]
    pub fn audited(&self, event: &str) -> i64 {
        self.count(&format!("audit_events WHERE tenant_id = ?1 AND event = '{event}'"))
    }

    pub fn execute(&self, sql: &str) {
        self.world.with_db(|db| db.execute_batch(sql)).expect("SQL");
    }

    /// The last line in the log.
    #[must_use]
    pub fn last_log(&self) -> Value {
        let log = self.world.log();
        serde_json::from_str(log.last().expect("a line")).expect("a line of JSON")
    }
}
