//! The operator of a deployment, as the management API knows one: where it is, and a token of the operator client.

use std::env::VarError;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cli::Access;
use crate::http::{Client, member};

pub struct Operator {
    access: Access,
    token: String,
}

impl Operator {
    /// Gets a token of the operator client.
    pub fn sign_in(access: Access) -> Result<Operator> {
        let token = token(&access)?;
        Ok(Operator { access, token })
    }

    /// Whether it knows the client's secret, and not only a token.
    pub fn can_sign_in_again(&self) -> bool {
        self.access.credentials.is_some() || self.access.state.is_none()
    }

    /// With another token, which is as good for as long again.
    pub fn signed_in_again(self) -> Result<Operator> {
        Operator::sign_in(self.access)
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    /// Connections of its own, which may lead to another isolate.
    pub fn client(&self) -> Client {
        client(&self.access)
    }

    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<crate::http::Answer> {
        self.client().admin(method, &format!("/admin/api{path}"), &self.token, body)
    }
}

pub fn client(access: &Access) -> Client {
    Client::remote(access.at.clone().unwrap_or_else(|| access.issuer.clone()))
}

fn token(access: &Access) -> Result<String> {
    let (id, secret) = match (&access.credentials, &access.state) {
        (Some(file), _) => {
            let credentials = read_json(file)?;
            let of_file =
                |name| member(&credentials, name).with_context(|| format!("{} is not enough", file.display()));
            (of_file("client_id")?, of_file("client_secret")?)
        }
        (None, Some(directory)) => return member(&read_json(&directory.join("demo.json"))?, "admin_token"),
        (None, None) => (variable("OPERATOR_CLIENT_ID")?, variable("OPERATOR_CLIENT_SECRET")?),
    };
    let client = client(access);
    let answer = client.form("/token", Some((&id, &secret)), &[("grant_type", "client_credentials")])?;
    match answer.status {
        400 | 401 => bail!("the operator client's id or secret is not right for {}", access.issuer),
        404 => bail!("there is no issuer {} at {}", access.issuer, access.at.as_deref().unwrap_or("its own address")),
        503 => bail!("{} cannot serve now.{}", access.issuer, unwell(&client)),
        _ => member(&answer.expect(200, "the operator client's token")?, "access_token"),
    }
}

/// What a deployment says about itself, where it failed.
pub fn unwell(client: &Client) -> String {
    let Ok(health) = client.get("/health") else { return String::new() };
    let states = health.body.as_object().into_iter().flatten();
    let bad: Vec<(&str, &str)> = states
        .filter(|(name, _)| matches!(name.as_str(), "sql" | "schema" | "kv" | "root_secret" | "clock"))
        .filter_map(|(name, state)| Some((name.as_str(), state.as_str().filter(|state| *state != "ok")?)))
        .collect();
    if bad.is_empty() {
        return String::new();
    }
    let listed: Vec<String> = bad.iter().map(|(name, state)| format!("{name} is {state}")).collect();
    let advice = if bad.contains(&("root_secret", "wrong")) {
        " The secret that the data is under was taken away: set ROOT_SECRET to the present one, a comma, and the missing one."
    } else {
        ""
    };
    format!(" Its /health says: {}.{advice}", listed.join(", "))
}

fn read_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // Not serde's own sentence, which quotes what it found.
    serde_json::from_str(&text).ok().with_context(|| format!("{} is not JSON", path.display()))
}

/// Never an argument: arguments are in the shell's history and in every user's list of processes.
fn variable(name: &str) -> Result<String> {
    match std::env::var(name) {
        Ok(value) => Ok(value.trim().to_owned()),
        Err(VarError::NotUnicode(_)) => bail!("{name} is not text"),
        Err(VarError::NotPresent) => bail!(
            "put the operator client's id and secret into the environment variables OPERATOR_CLIENT_ID and OPERATOR_CLIENT_SECRET, \
             or name a file with --credentials"
        ),
    }
}
