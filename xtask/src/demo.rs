//! `--demo`: sets the issuer up through its own public interfaces, as an operator would.
//!
//! What it made is kept in `DIR/HOST/demo-state.json` after every step, so that a run that was cut short goes on where it
//! stopped and a restart makes nothing twice. `DIR/demo.json` is the part that people and tests use.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::cli::DevOptions;
use crate::http::{Client, member};
use crate::operator;
use crate::process::{self, Task};
use crate::serve::Running;
use crate::setup_link;
use crate::state::{State, write_private};

/// The demo's token for the management API has to last a day of trying things out.
const ADMIN_TOKEN_SECONDS: u32 = 86_400;

const USERNAME: &str = "alice";
const ADMINISTRATOR: &str = "admin";
const SCOPE: &str = "openid profile email address phone offline_access";

/// What the demo consists of, for the summary on the terminal.
pub struct Made {
    document: Value,
    administrator_password: String,
}

impl Made {
    pub fn summary(&self, options: &DevOptions) -> String {
        let text = |name: &str| self.document.get(name).and_then(Value::as_str).unwrap_or_default();
        format!(
            "\n\
             demo relying party  {}\n\
             person              {USERNAME}, password {}\n\
             administrator       {ADMINISTRATOR}, password {}\n\
             confidential client {}, secret {}\n\
             public client       {}\n\
             all of it           {}\n\n",
            relying_party_url(options),
            text("password"),
            self.administrator_password,
            text("client_id"),
            text("client_secret"),
            text("public_client_id"),
            options.state.join("demo.json").display(),
        )
    }
}

/// Where a browser finds the demo relying party.
pub fn relying_party_url(options: &DevOptions) -> String {
    match &options.demo_rp_url {
        Some(url) => url.clone(),
        None => format!("http://localhost:{}", options.demo_rp_port()),
    }
}

pub fn set_up(options: &DevOptions, state: &State, running: &Running) -> Result<Made> {
    let client = running.client()?;
    let mut notes = Notes::open(state)?;
    if !notes.has("operator_id") {
        make_tenant(&client, state, running, &mut notes)?;
    }
    let demo = Demo { client, token: String::new(), tenant_id: notes.text("tenant_id")? };
    let demo = demo.with_admin_token(&mut notes)?;
    demo.make_person(&mut notes)?;
    demo.make_clients(options, &mut notes)?;

    let document = json!({
        "issuer": running.issuer,
        "username": USERNAME,
        "password": notes.text("password")?,
        "client_id": notes.text("client_id")?,
        "client_secret": notes.text("client_secret")?,
        "public_client_id": notes.text("public_client_id")?,
        "redirect_uri": redirect_uri(options),
        "admin_token": demo.token,
    });
    write_private(&state.directory().join("demo.json"), &format!("{document:#}\n"))?;
    Ok(Made { document, administrator_password: notes.text("administrator_password")? })
}

/// The relying party's page answers, or it has ended with a message of its own.
pub fn wait_for_relying_party(port: u16, task: &mut Task) -> Result<()> {
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(error) = client.get("/health") {
        task.check_running()?;
        if Instant::now() > until {
            return Err(error.context("the demo relying party does not answer"));
        }
        process::pause(Duration::from_millis(40))?;
    }
    Ok(())
}

fn redirect_uri(options: &DevOptions) -> String {
    format!("{}/callback", relying_party_url(options))
}

/// First-run set-up, as the page behind the set-up link does it.
fn make_tenant(client: &Client, state: &State, running: &Running, notes: &mut Notes) -> Result<()> {
    let (_, health) = running.health()?;
    if health.get("tenants").and_then(Value::as_str) == Some("some") {
        bail!(
            "{} holds an issuer that was not set up by --demo: leave --demo out, or use another directory with --state",
            state.directory().display()
        );
    }
    let password = notes.planned("administrator_password", new_password)?;
    let ticket = setup_link::ticket(&state.root_secret()?, &running.issuer)?;
    let fields = [
        ("ticket", ticket.as_str()),
        ("issuer_name", "Vedette demo"),
        ("username", ADMINISTRATOR),
        ("password", password.as_str()),
        ("email", "admin@example.com"),
        ("registration", "open"),
    ];
    let made = client.form("/setup", None, &fields)?.expect(201, "set-up")?;
    notes.keep(&[
        ("tenant_id", member(&made, "tenant_id")?),
        ("operator_id", member(&made, "client_id")?),
        ("operator_secret", member(&made, "client_secret")?),
    ])
}

struct Demo {
    client: Client,
    token: String,
    tenant_id: String,
}

impl Demo {
    /// A token of the operator client, which is first given the right to tokens that last a day.
    fn with_admin_token(mut self, notes: &mut Notes) -> Result<Demo> {
        let (id, secret) = (notes.text("operator_id")?, notes.text("operator_secret")?);
        self.token = self.operator_token(&id, &secret)?;
        if !notes.has("operator_lifetime") {
            let change = json!({ "access_token_lifetime": ADMIN_TOKEN_SECONDS });
            self.call("PATCH", &format!("clients/{id}"), Some(&change), 200, "giving the operator client long tokens")?;
            notes.keep(&[("operator_lifetime", ADMIN_TOKEN_SECONDS.to_string())])?;
            self.token = self.operator_token(&id, &secret)?;
        }
        Ok(self)
    }

    fn operator_token(&self, id: &str, secret: &str) -> Result<String> {
        let answer = self.client.form("/token", Some((id, secret)), &[("grant_type", "client_credentials")])?;
        if answer.status == 503 {
            bail!("the issuer cannot serve now.{}", operator::unwell(&self.client));
        }
        member(&answer.expect(200, "the operator client's token")?, "access_token")
    }

    fn make_person(&self, notes: &mut Notes) -> Result<()> {
        if notes.has("user_id") {
            return Ok(());
        }
        let password = notes.planned("password", new_password)?;
        let person = person(&password);
        let answer = self.client.admin("POST", &self.path("users"), &self.token, Some(&person))?;
        let id = match self.existing_person(answer.status)? {
            Some(id) => {
                self.call("PATCH", &format!("users/{id}"), Some(&person), 200, "changing alice")?;
                id
            }
            None => member(&answer.expect(201, "making alice")?, "id")?,
        };
        notes.keep(&[("user_id", id)])
    }

    /// A run that was killed between making alice and noting it leaves her behind.
    fn existing_person(&self, status: u16) -> Result<Option<String>> {
        if status == 201 {
            return Ok(None);
        }
        let listed = self.call("GET", "users?limit=100", None, 200, "listing users")?;
        let users = listed.get("users").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let alice = users.iter().find(|user| user.get("username").and_then(Value::as_str) == Some(USERNAME));
        alice.map(|user| member(user, "id")).transpose()
    }

    fn make_clients(&self, options: &DevOptions, notes: &mut Notes) -> Result<()> {
        if !notes.has("client_id") {
            let registration = registration(options, "Demo: confidential client", "client_secret_basic", true);
            let made = self.call("POST", "clients", Some(&registration), 201, "making the confidential demo client")?;
            notes.keep(&[
                ("client_id", member(&made, "client_id")?),
                ("client_secret", member(&made, "client_secret")?),
            ])?;
        }
        if !notes.has("public_client_id") {
            let registration = registration(options, "Demo: public client", "none", false);
            let made = self.call("POST", "clients", Some(&registration), 201, "making the public demo client")?;
            notes.keep(&[("public_client_id", member(&made, "client_id")?)])?;
        }
        Ok(())
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>, status: u16, what: &str) -> Result<Value> {
        self.client.admin(method, &self.path(path), &self.token, body)?.expect(status, what)
    }

    fn path(&self, path: &str) -> String {
        format!("/admin/api/tenants/{}/{path}", self.tenant_id)
    }
}

/// Every standard claim of OpenID Connect Core §5.1; `updated_at` is the server's own.
fn person(password: &str) -> Value {
    json!({
        "username": USERNAME,
        "password": password,
        "name": "Alice Maria Example",
        "given_name": "Alice",
        "family_name": "Example",
        "middle_name": "Maria",
        "nickname": "Ali",
        "preferred_username": USERNAME,
        "profile": "https://example.com/alice",
        "picture": "https://example.com/alice.png",
        "website": "https://alice.example.com/",
        "email": "alice@example.com",
        "email_verified": true,
        "gender": "female",
        "birthdate": "1990-04-01",
        "zoneinfo": "Europe/Vienna",
        "locale": "en-GB",
        "phone_number": "+43155501234",
        "phone_number_verified": true,
        "address": {
            "formatted": "1 Example Lane\n1010 Vienna\nAustria",
            "street_address": "1 Example Lane",
            "locality": "Vienna",
            "region": "Vienna",
            "postal_code": "1010",
            "country": "Austria"
        }
    })
}

fn registration(options: &DevOptions, name: &str, method: &str, confidential: bool) -> Value {
    let mut grant_types = vec!["authorization_code", "refresh_token"];
    if confidential {
        grant_types.push("client_credentials");
    }
    json!({
        "client_name": name,
        "redirect_uris": [redirect_uri(options)],
        "post_logout_redirect_uris": [format!("{}/", relying_party_url(options))],
        "response_types": ["code"],
        "grant_types": grant_types,
        "scope": SCOPE,
        "token_endpoint_auth_method": method,
        "demo_redirects": true
    })
}

/// 120 bits, in characters that are read and typed without doubt.
fn new_password() -> Result<String> {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// What earlier steps have made; every change is on disk before the next step.
struct Notes {
    path: PathBuf,
    values: Map<String, Value>,
}

impl Notes {
    fn open(state: &State) -> Result<Notes> {
        let path = state.host_directory().join("demo-state.json");
        let values = match fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text).with_context(|| format!("{} is not what --demo wrote", path.display()))?
            }
            Err(_) => Map::new(),
        };
        Ok(Notes { path, values })
    }

    fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    fn text(&self, name: &str) -> Result<String> {
        let value = self.values.get(name).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("{} has no `{name}`", self.path.display()))
    }

    fn keep(&mut self, values: &[(&str, String)]) -> Result<()> {
        for (name, value) in values {
            self.values.insert((*name).to_owned(), Value::String(value.clone()));
        }
        write_private(&self.path, &serde_json::to_string_pretty(&self.values)?)
    }

    /// A value that is noted before it is used, so that a second try uses the same one.
    fn planned(&mut self, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        if !self.has(name) {
            self.keep(&[(name, make()?)])?;
        }
        self.text(name)
    }
}
