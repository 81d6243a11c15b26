//! A registered client looks after itself: RFC 7592, under its registration access token. The token stays the same for the
//! life of the registration.
//!
//! - The secret is not in these answers, because only its hash is kept; the one exception is an update that turns a public
//!   client into a confidential one, and so makes it a secret.
//! - A client that an operator disabled is answered 403 here, read, update and delete alike ("does not have permission", §2.1 to
//!   §2.3): it still exists, so 401, by which a client learns that its registration is gone, would be wrong, and it must not
//!   delete what the operator may want to look at.

use std::rc::Rc;

use serde_json::Value;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Method, Request, Response};
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::secret::{self, Secret};
use crate::platform::{Freshness, Platform};
use crate::store::audit::{Condition, Event};
use crate::store::clients::{self, ClientRow};
use crate::store::{changed_at, first_row};
use crate::tenant::Tenant;

use super::bearer;
use super::change::Change;
use super::json::Members;
use super::register::information;

/// RFC 7592 §2: 1 the registration access token has to be this client's, 2 the client has to be enabled, 3 the method says
/// what to do.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
    client_id: &str,
) -> Result<Response, Error> {
    let token = bearer::in_header(request)?.ok_or(Refusal::TokenMissing)?;
    let answer = context.sql(&[clients::by_id(tenant.id(), client_id)], Freshness::Primary).await?;
    let client = first_row(&answer, 0)
        .map(ClientRow::from_row)
        .transpose()?
        .filter(|client| secret::matches(&token, client.registration_token_hash.as_deref()))
        .ok_or(Refusal::TokenInvalid("registration_access_token_wrong"))?; // 1
    if client.disabled_at.is_some() {
        return Err(Refusal::RegisteredClientDisabled.into()); // 2
    }
    match request.method {
        // 3
        Method::Get | Method::Head => Ok(Response::json(200, &information(tenant, &client, &token, None))),
        Method::Put => update(context, tenant, request, &client, &token).await,
        Method::Delete => delete(context, tenant, &client).await,
        _ => Err(Refusal::MethodNotAllowed { allow: "GET, HEAD, PUT, DELETE".to_owned() }.into()),
    }
}

/// What an update may not name (RFC 7592 §2.2).
const SERVERS_OWN: [&str; 4] =
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// RFC 7592 §2.2: 1 nothing that is the server's to say, 2 its own `client_id`, and its secret if any, 3 the metadata is
/// checked and replaces all that was there, 4 a secret is made or dropped where the client's kind changed, 5 the answer of §3.
async fn update<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    request: &Request,
    before: &ClientRow,
    token: &str,
) -> Result<Response, Error> {
    let mut members = Members::of(request)?;
    let refused = |what: &str| Refusal::InvalidClientMetadata(what.to_owned());
    for name in SERVERS_OWN {
        if members.take(name).is_some_and(|value| !value.is_null()) {
            return Err(refused(&format!("The member {name} cannot be set.")).into()); // 1
        }
    }
    if members.take("client_id") != Some(Value::from(before.id.as_str())) {
        return Err(refused("The member client_id has to be the id of this client.").into()); // 2
    }
    match members.take("client_secret") {
        None | Some(Value::Null) => {}
        Some(Value::String(given)) if secret::matches(&given, before.secret_hash.as_deref()) => {}
        Some(_) => return Err(refused("The member client_secret is not the current one of this client.").into()),
    }
    let metadata = ClientMetadata::parse(&members.rest())?.by_itself(Some(&before.metadata))?; // 3
    metadata.check_algorithms(&tenant.algorithms(&context.configuration().await.region, context.now()))?;
    let new_secret =
        (!metadata.is_public() && before.secret_hash.is_none()).then(|| Secret::generate(context.random())); // 4
    let client = ClientRow {
        secret_hash: match &new_secret {
            Some(secret) => Some(secret.hash()),
            None => before.secret_hash.clone().filter(|_| !metadata.is_public()),
        },
        metadata,
        updated_at: changed_at(before.updated_at, context.now()),
        ..before.clone()
    };
    let change = Change::new(context, tenant.id(), Event::ClientChanged).of_client(&client.id);
    let batch = vec![
        change.decide(Condition::ClientUnchanged { updated_at: before.updated_at }),
        clients::update(tenant.id(), &client, before.updated_at, change.decision()),
    ];
    if !change.make(context, batch).await? {
        return Err(Refusal::Conflict("The client was changed at the same time; send the update again.").into());
    }
    Ok(Response::json(200, &information(tenant, &client, token, new_secret.as_ref()))) // 5
}

/// RFC 7592 §2.3. What the client was granted goes with it.
async fn delete<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, client: &ClientRow) -> Result<Response, Error> {
    let change = Change::new(context, tenant.id(), Event::ClientDeleted).of_client(&client.id);
    let batch = vec![change.decide(Condition::Client), clients::delete(tenant.id(), &client.id, change.decision())];
    if !change.make(context, batch).await? {
        // Somebody else deleted it since it was read, and its token with it.
        return Err(Refusal::TokenInvalid("registration_access_token_wrong").into());
    }
    Ok(Response::new(204).with("cache-control", "no-store"))
}
