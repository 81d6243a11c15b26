//! Dynamic client registration: RFC 7591 §3, OpenID Connect Dynamic Client Registration 1.0 §3. In scope: open registration, as far
//! as the tenant allows it. Out of scope: initial access tokens and software statements.

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::secret::Secret;
use crate::platform::Platform;
use crate::store::audit::{Condition, Event};
use crate::store::clients::{self, ClientRow};
use crate::tenant::Tenant;

use super::change::Change;
use super::json::Members;

/// RFC 7591 §3.1: 1 a JSON object, 2 its metadata is checked, 3 the client gets an id and its secrets, 4 it is stored, while
/// registration is open, 5 the answer of §3.2.1.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let members = Members::of(request)?; // 1
    let metadata = ClientMetadata::parse(&members.rest())?.by_itself(None)?; // 2
    metadata.check_algorithms(&tenant.algorithms(&context.configuration().await.region, context.now()))?;
    let secret = (!metadata.is_public()).then(|| Secret::generate(context.random())); // 3
    let registration_token = Secret::generate(context.random());
    let now = context.now();
    let client = ClientRow {
        id: context.random_id::<16>(),
        secret_hash: secret.as_ref().map(Secret::hash),
        registration_token_hash: Some(registration_token.hash()),
        metadata,
        operator: false,
        resource_server: false,
        demo_redirects: false,
        access_token_lifetime: None,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    let change = Change::new(context, tenant.id(), Event::ClientRegistered).of_client(&client.id); // 4
    let batch = vec![clients::register(tenant.id(), &client), change.decide(Condition::Client)];
    if !change.make(context, batch).await? {
        return Err(Refusal::RegistrationClosed.into());
    }
    Ok(Response::json(201, &information(tenant, &client, registration_token.reveal(), secret.as_ref()))) // 5
}

/// Client information (RFC 7591 §3.2.1, RFC 7592 §3): everything registered, and the secret in the one answer after it was
/// made. Only its hash is kept, so later answers cannot repeat it.
pub fn information(
    tenant: &Tenant,
    client: &ClientRow,
    registration_token: &str,
    new_secret: Option<&Secret>,
) -> Value {
    let mut members: Map<String, Value> = client.metadata.members();
    let mut say = |name: &str, value: Value| members.insert(name.to_owned(), value);
    say("client_id", client.id.as_str().into());
    say("client_id_issued_at", client.created_at.0.into());
    say("registration_client_uri", tenant.url(&format!("/register/{}", client.id)).into());
    say("registration_access_token", registration_token.into());
    if let Some(secret) = new_secret {
        say("client_secret", secret.reveal().into());
        // Secrets do not expire; they are rotated.
        say("client_secret_expires_at", 0.into());
    }
    Value::Object(members)
}
