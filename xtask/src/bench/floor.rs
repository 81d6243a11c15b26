//! The floor (tools/bench/floor.mjs): started on a copy of Vedette's database, and made to show that it does its work.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use vedette::jose::jwk::PublicJwk;
use vedette::jose::jws::Unverified;
use vedette::memory::{World, block_on};
use vedette::platform::UnixTime;
use vedette::store::grants::{self, Attempt, NewGrant};
use vedette::store::tokens::Presented;
use vedette::store::{clients, tokens};

use super::endpoint::Endpoint;
use super::target::{SCOPE, Target};
use crate::process::{self, Output, Task};
use crate::{paths, storage};

const START_LIMIT: Duration = Duration::from_secs(60);

pub struct Floor {
    target: Target,
    /// The same with a log line for each document.
    logged: Target,
    _task: Task,
}

impl Floor {
    /// Starts the floor beside `vedette`, whose databases are in `host_directory`, and checks it.
    pub fn start(vedette: &Target, host_directory: &Path, directory: &Path) -> Result<Floor> {
        let persist = directory.join("v3");
        copy_database(&host_directory.join("v3/d1"), &persist.join("d1"))?;
        let port = super::free_port()?;
        let configuration = json!({
            "config": paths::root().join("wrangler.toml"),
            "persist": persist,
            "port": port,
            "bindings": {
                "DISCOVERY": vedette.body(Endpoint::Discovery)?,
                "JWKS": vedette.body(Endpoint::Jwks)?,
                "FLOOR": { "sql": sql() },
            },
        });
        let mut node = super::node(&paths::root().join("tools/bench/serve-floor.mjs"))?;
        node.env("VEDETTE_FLOOR", configuration.to_string());
        storage::quiet_wrangler(&mut node, directory)?;
        let mut task = Task::spawn("the floor", &node, Output::Stderr)?;
        wait_until_listening(port, &mut task)?;
        let target = Target::floor(port, vedette, "")?;
        let logged = Target::floor(port, vedette, "/logged")?;
        let who = json!({ "client": vedette.client_id(), "username": vedette.username(), "scope": SCOPE });
        target.ask("/floor/prepare", Some(&who)).context("preparing the floor")?;
        check(&target, vedette).context("the floor does not do its work")?;
        Ok(Floor { target, logged, _task: task })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub fn logged(&self) -> &Target {
        &self.logged
    }
}

/// The statements that Vedette runs, as Vedette makes them.
fn sql() -> Value {
    let attempt = Attempt {
        tenant_id: "",
        grant_id: "",
        client_id: "",
        secret_hash: None,
        id: "",
        now: UnixTime(0),
        address: None,
        request_id: "",
    };
    let grant = NewGrant {
        user_id: "",
        session_id: "",
        scope: "",
        claims: "",
        auth_time: UnixTime(0),
        acr: "",
        amr: "",
        offline: true,
    };
    json!({
        "redeem": grants::redeem(&attempt, &grant).map(|statement| statement.sql),
        "refresh": grants::refresh(&attempt, 0).map(|statement| statement.sql),
        "client": clients::by_id("", "").sql,
        "standing": tokens::standing("", Presented { client_id: "", jti: "", grant_id: None, kid: "" }).sql,
    })
}

/// Vedette is running and has nothing to do. SQLite rebuilds what is not copied (the index of the write-ahead log).
fn copy_database(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let (path, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if path.is_dir() {
            copy_database(&path, &target)?;
        } else if path.extension().is_none_or(|extension| extension != "sqlite-shm") {
            fs::create_dir_all(to)?;
            fs::copy(&path, &target).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

fn wait_until_listening(port: u16, task: &mut Task) -> Result<()> {
    let until = Instant::now() + START_LIMIT;
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        task.check_running()?;
        ensure!(Instant::now() < until, "nothing listens on the floor's port after {} s", START_LIMIT.as_secs());
        process::pause(Duration::from_millis(40))?;
    }
    Ok(())
}

/// Documents are the same bytes, signatures verify, each token request changes the rows that it should.
fn check(floor: &Target, vedette: &Target) -> Result<()> {
    for endpoint in [Endpoint::Discovery, Endpoint::Jwks] {
        ensure!(floor.body(endpoint)? == vedette.body(endpoint)?, "{} is another document", endpoint.title());
    }
    let keys = keys(floor)?;

    let before = Rows::of(floor)?;
    let issued = floor.tokens()?;
    let redeemed = Rows::of(floor)?;
    ensure!(redeemed.grants == before.grants + 1, "redeeming a code made no grant");
    ensure!(redeemed.audit_events == before.audit_events + 1, "redeeming a code left no audit event");
    check_signed(&issued.access_token, "ES256", &keys)?;
    check_signed(&issued.id_token, "RS256", &keys)?;

    let refreshed = floor.refresh(&issued.refresh_token)?;
    let after = Rows::of(floor)?;
    ensure!(after.generations == redeemed.generations + 1, "refreshing did not step the grant");
    ensure!(after.audit_events == redeemed.audit_events + 1, "refreshing left no audit event");
    check_signed(text(&refreshed, "access_token")?, "ES256", &keys)?;
    check_signed(text(&refreshed, "id_token")?, "RS256", &keys)?;

    let own: Value = serde_json::from_str(&floor.body(Endpoint::ClientCredentials)?)?;
    check_signed(text(&own, "access_token")?, "ES256", &keys)?;

    let person = |target: &Target| -> Result<Value> { Ok(serde_json::from_str(&target.body(Endpoint::UserInfo)?)?) };
    let (ours, theirs) = (person(vedette)?, person(floor)?);
    ensure!(ours == theirs, "UserInfo says {theirs} and Vedette {ours}");
    Ok(())
}

fn keys(floor: &Target) -> Result<Vec<PublicJwk>> {
    let set: Value = serde_json::from_str(&floor.ask("/floor/keys", None)?)?;
    Ok(serde_json::from_value(set.get("keys").cloned().unwrap_or_default())?)
}

fn check_signed(token: &str, algorithm: &str, keys: &[PublicJwk]) -> Result<()> {
    let token = Unverified::parse(token).context("a token is no JWT")?;
    let key =
        keys.iter().find(|key| Some(key.kid.as_str()) == token.kid()).context("a token names no key of the floor")?;
    let claims = block_on(token.verify::<Value>(&World::new(&[]).instance(), key));
    if key.alg.as_str() != algorithm || !matches!(claims, Ok(Some(_))) {
        bail!("a token is not signed with {algorithm}");
    }
    Ok(())
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value.get(name).and_then(Value::as_str).with_context(|| format!("the floor's answer has no `{name}`"))
}

struct Rows {
    grants: i64,
    audit_events: i64,
    generations: i64,
}

impl Rows {
    fn of(floor: &Target) -> Result<Rows> {
        let rows: Value = serde_json::from_str(&floor.ask("/floor/rows", None)?)?;
        let count = |name: &str| rows.get(name).and_then(Value::as_i64).unwrap_or_default();
        Ok(Rows { grants: count("grants"), audit_events: count("audit_events"), generations: count("generations") })
    }
}
