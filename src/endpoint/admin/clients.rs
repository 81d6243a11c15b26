//! Clients in the management API: metadata under its RFC 7591 names, and `client_id`, `disabled`, `access_token_lifetime`,
//! `resource_server`, `demo_redirects`, `operator` (never set here), `created_at`, `updated_at`.
//!
//! A secret is in the one response after it was made: when the client is made, when its secret is rotated, or when a change
//! turns a public client into a confidential one. The secret before it stops at once.

use serde_json::{Map, Value, json};

use crate::endpoint::json::{Members, invalid, unknown};
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::oauth::client_metadata::{ClientMetadata, is_member};
use crate::oauth::secret::Secret;
use crate::platform::{Freshness, Platform, UnixTime};
use crate::store::audit::{Condition, Event};
use crate::store::clients::{self, ClientRow};
use crate::store::{all_rows, changed_at, first_row, tenants};

use super::page::Page;
use super::{ATTEMPTS, CHANGED_MEANWHILE, Desk, no_content};

/// Seconds that an access token may live, from the shortest to the longest.
const LIFETIMES: std::ops::RangeInclusive<i64> = 60..=crate::keys::schedule::LONGEST_LIFETIME;

const SERVERS_OWN: [&str; 5] = ["client_id", "client_secret", "operator", "created_at", "updated_at"];

/// What may be changed of an operator client: nothing that could lock its operator out.
const OF_AN_OPERATOR: [&str; 2] = ["access_token_lifetime", "client_name"];

pub async fn list<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, request: &Request) -> Result<Response, Error> {
    let page = Page::of(request)?;
    let batch = [tenants::by_id(tenant_id), clients::page(tenant_id, page.after(), page.rows())];
    let answer = desk.context.sql(&batch, Freshness::Primary).await?;
    first_row(&answer, 0).ok_or(Refusal::NoSuch("tenant"))?;
    let rows = all_rows(&answer, 1).iter().map(ClientRow::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(page.response("clients", &rows, |client| &client.id, |client| Value::Object(shown(client))))
}

/// 1 what the client is to be, 2 its id, and its secret unless it is public, 3 all of it in one batch.
pub async fn create<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, request: &Request) -> Result<Response, Error> {
    let edit = Edit::of(Members::of(request)?)?; // 1
    let now = desk.context.now();
    let new_secret = Secret::generate(desk.context.random()); // 2
    let nothing = ClientRow {
        id: desk.context.random_id::<16>(),
        secret_hash: None,
        registration_token_hash: None,
        metadata: ClientMetadata::parse(&edit.metadata)?,
        operator: false,
        resource_server: false,
        demo_redirects: false,
        access_token_lifetime: None,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    let client = with_secret_of_its_kind(edit.beside_metadata(&nothing, now), &new_secret);
    desk.tenant(tenant_id).await?;
    client.metadata.check_algorithms(&desk.algorithms(tenant_id, &edit.metadata).await?)?;
    let change = desk.change(tenant_id, Event::ClientCreated, &[]).of_client(&client.id); // 3
    let batch = vec![clients::insert(tenant_id, &client), change.decide(Condition::Client)];
    if !change.make(desk.context, batch).await? {
        return Err(Refusal::NoSuch("tenant").into());
    }
    let new_secret = client.secret_hash.is_some().then_some(&new_secret);
    Ok(Response::json(201, &shown_with_secret(&client, new_secret)))
}

pub async fn read<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<Response, Error> {
    Ok(Response::json(200, &Value::Object(shown(&load(desk, tenant_id, id).await?))))
}

/// 1 what is to change, 2 the client with the change, its metadata checked as a whole, 3 a secret made or dropped where the
/// client's kind changed, 4 in one batch while nobody else changed the client.
pub async fn change<P: Platform>(
    desk: &Desk<'_, P>,
    tenant_id: &str,
    id: &str,
    request: &Request,
) -> Result<Response, Error> {
    let edit = Edit::of(Members::of(request)?)?; // 1
    let algorithms = desk.algorithms(tenant_id, &edit.metadata).await?;
    let new_secret = Secret::generate(desk.context.random());
    let (before, after) = replace(desk, tenant_id, id, Event::ClientChanged, &edit.names, |before, now| {
        edit.check_operator(before)?;
        let mut after = edit.beside_metadata(before, now);
        after.metadata = edit.merged_into(&before.metadata)?; // 2
        after.metadata.check_algorithms(&algorithms)?;
        Ok(with_secret_of_its_kind(after, &new_secret)) // 3
    })
    .await?; // 4
    let is_new = before.secret_hash.is_none() && after.secret_hash.is_some();
    Ok(Response::json(200, &shown_with_secret(&after, is_new.then_some(&new_secret))))
}

/// The old secret stops with this batch, since secrets are compared inside the batches that act. So does a registration access
/// token: a client has both from one answer, and whoever holds the one could make himself the other (RFC 7592 §2.2).
pub async fn rotate_secret<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<Response, Error> {
    let new_secret = Secret::generate(desk.context.random());
    let new_token = Secret::generate(desk.context.random());
    let (_, client) = replace(desk, tenant_id, id, Event::ClientSecretRotated, &[], |before, _| {
        if before.metadata.is_public() {
            return Err(Refusal::Conflict("A public client has no secret."));
        }
        let registration_token_hash = before.registration_token_hash.as_ref().map(|_| new_token.hash());
        Ok(ClientRow { secret_hash: Some(new_secret.hash()), registration_token_hash, ..before.clone() })
    })
    .await?;
    let mut answer = json!({"client_id": client.id, "client_secret": new_secret.reveal()});
    if client.registration_token_hash.is_some() {
        answer["registration_access_token"] = new_token.reveal().into();
    }
    Ok(Response::json(200, &answer))
}

/// Consents and grants go with the client. An operator client stays.
pub async fn delete<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<Response, Error> {
    let change = desk.change(tenant_id, Event::ClientDeleted, &[]).of_client(id);
    let batch = vec![change.decide(Condition::Client), clients::delete(tenant_id, id, change.decision())];
    if change.make(desk.context, batch).await? {
        return Ok(no_content());
    }
    load(desk, tenant_id, id).await?;
    Err(Refusal::Conflict("An operator client cannot be deleted.").into())
}

async fn load<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<ClientRow, Error> {
    let answer = desk.context.sql(&[clients::of_any_tenant(tenant_id, id)], Freshness::Primary).await?;
    Ok(ClientRow::from_row(first_row(&answer, 0).ok_or(Refusal::NoSuch("client"))?)?)
}

/// Replaces a client by what `edit` makes of it, while nobody else changes it; answers it before and after.
async fn replace<P: Platform>(
    desk: &Desk<'_, P>,
    tenant_id: &str,
    id: &str,
    event: Event,
    names: &[String],
    edit: impl Fn(&ClientRow, UnixTime) -> Result<ClientRow, Refusal>,
) -> Result<(ClientRow, ClientRow), Error> {
    for _ in 0..ATTEMPTS {
        let before = load(desk, tenant_id, id).await?;
        let now = desk.context.now();
        let mut after = edit(&before, now)?;
        if after == before {
            return Ok((before, after));
        }
        after.updated_at = changed_at(before.updated_at, now);
        let change = desk.change(tenant_id, event, names).of_client(id);
        let batch = vec![
            change.decide(Condition::ClientUnchanged { updated_at: before.updated_at }),
            clients::update(tenant_id, &after, before.updated_at, change.decision()),
        ];
        if change.make(desk.context, batch).await? {
            return Ok((before, after));
        }
    }
    Err(CHANGED_MEANWHILE.into())
}

/// A confidential client has a secret, and a public one has none.
fn with_secret_of_its_kind(client: ClientRow, new_secret: &Secret) -> ClientRow {
    let secret_hash = match client.secret_hash {
        _ if client.metadata.is_public() => None,
        Some(hash) => Some(hash),
        None => Some(new_secret.hash()),
    };
    ClientRow { secret_hash, ..client }
}

/// What a request says of a client; what it does not say stays.
struct Edit {
    /// Names of all that is said, for the audit.
    names: Vec<String>,
    disabled: Option<bool>,
    resource_server: Option<bool>,
    demo_redirects: Option<bool>,
    /// `Some(None)` goes back to the default.
    access_token_lifetime: Option<Option<i64>>,
    /// RFC 7591 members; null removes one.
    metadata: Map<String, Value>,
}

impl Edit {
    fn of(mut members: Members) -> Result<Self, Refusal> {
        members.refuse(&SERVERS_OWN)?;
        let names = members.names().map(str::to_owned).collect();
        let edit = Self {
            names,
            disabled: members.take_flag("disabled")?,
            resource_server: members.take_flag("resource_server")?,
            demo_redirects: members.take_flag("demo_redirects")?,
            access_token_lifetime: members.take("access_token_lifetime").map(lifetime).transpose()?,
            metadata: members.rest(),
        };
        match edit.metadata.keys().find(|name| !is_member(name)) {
            Some(name) => Err(unknown(name)),
            None => Ok(edit),
        }
    }

    fn check_operator(&self, client: &ClientRow) -> Result<(), Refusal> {
        match self.names.iter().find(|name| client.operator && !OF_AN_OPERATOR.contains(&name.as_str())) {
            Some(name) => Err(invalid(name, "cannot be changed on an operator client")),
            None => Ok(()),
        }
    }

    fn beside_metadata(&self, before: &ClientRow, now: UnixTime) -> ClientRow {
        ClientRow {
            disabled_at: match self.disabled {
                None => before.disabled_at,
                Some(false) => None,
                Some(true) => before.disabled_at.or(Some(now)),
            },
            resource_server: self.resource_server.unwrap_or(before.resource_server),
            demo_redirects: self.demo_redirects.unwrap_or(before.demo_redirects),
            access_token_lifetime: self.access_token_lifetime.unwrap_or(before.access_token_lifetime),
            ..before.clone()
        }
    }

    /// The stored metadata with this over it. Where only `grant_types` are given, `response_types` follow them.
    fn merged_into(&self, before: &ClientMetadata) -> Result<ClientMetadata, Refusal> {
        if self.metadata.is_empty() {
            return Ok(before.clone());
        }
        let mut members = before.members();
        if self.metadata.contains_key("grant_types") {
            members.remove("response_types");
        }
        // Null is as good as absent to the parser.
        members.extend(self.metadata.clone());
        ClientMetadata::parse(&members)
    }
}

fn lifetime(value: Value) -> Result<Option<i64>, Refusal> {
    match value.as_i64() {
        _ if value.is_null() => Ok(None),
        Some(seconds) if LIFETIMES.contains(&seconds) => Ok(Some(seconds)),
        _ => Err(invalid("access_token_lifetime", "has to be a number of seconds from 60 to 86400")),
    }
}

fn shown(client: &ClientRow) -> Map<String, Value> {
    let mut members = client.metadata.members();
    for (name, value) in [
        ("client_id", json!(client.id)),
        ("disabled", json!(client.disabled_at.is_some())),
        ("access_token_lifetime", json!(client.access_token_lifetime)),
        ("resource_server", json!(client.resource_server)),
        ("demo_redirects", json!(client.demo_redirects)),
        ("operator", json!(client.operator)),
        ("created_at", json!(client.created_at.0)),
        ("updated_at", json!(client.updated_at.0)),
    ] {
        members.insert(name.to_owned(), value);
    }
    members
}

fn shown_with_secret(client: &ClientRow, new_secret: Option<&Secret>) -> Value {
    let mut members = shown(client);
    if let Some(secret) = new_secret {
        members.insert("client_secret".to_owned(), json!(secret.reveal()));
    }
    Value::Object(members)
}
