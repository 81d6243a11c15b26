//! The authorization endpoint, OpenID Connect Core §3.1.2, RFC 6749 §3.1. One SQL read; pages render here.

use std::rc::Rc;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Method, Request, Response};
use crate::jose::jws::Unverified;
use crate::oauth::form::Form;
use crate::oidc::authorization_request::{Addressee, AuthorizationRequest};
use crate::oidc::tokens::{HintClaims, ID_TOKEN};
use crate::platform::{Answer, Fault, Freshness, Platform};
use crate::store::clients::ClientRow;
use crate::store::sessions::{SessionRow, TOUCH_INTERVAL};
use crate::store::{clients, consents, first_row, keys, sessions};
use crate::tenant::Tenant;
use crate::tenants;

use super::interaction::{self, Situation, Step};
use super::{again_by_get, cookies, query};

/// OpenID Connect Core §3.1.2.2: 1 who asks, 2 one read of client, session and consent, 3 prove the redirect URI; from here on
/// errors go to the client, 4 check the request, 5 decide what has to happen, 6 ask or answer.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    if request.method == Method::Post {
        return Ok(as_get(tenant, request)?);
    }
    let form = query(request)?;
    let client_id = form.required("client_id")?; // 1
    let found = look_up(context, tenant, request, client_id, form.value("id_token_hint")).await?; // 2
    let client = found.client.ok_or(Refusal::UnknownClient)?;
    if client.disabled_at.is_some() {
        return Err(Refusal::ClientDisabled.into());
    }
    let any_loopback = client.demo_redirects && is_demo(context).await;
    let addressee = Addressee::parse(&form, client_id, &client.metadata, any_loopback)?; // 3
    let asked = Asked { form: &form, addressee: &addressee, client: &client, hint_key_is_good: found.hint_key_is_good };
    proceed(context, tenant, request, &asked, found.session.as_ref(), &found.consented)
        .await
        .or_else(|error| Ok(interaction::answer_with_error(context, tenant, &addressee, &error)))
}

/// Whether this is the demo, where marked clients may redirect to any port of this machine.
pub async fn is_demo<P: Platform>(context: &Context<'_, P>) -> bool {
    context.configuration().await.demo
}

struct Asked<'a> {
    form: &'a Form,
    addressee: &'a Addressee,
    client: &'a ClientRow,
    hint_key_is_good: bool,
}

async fn proceed<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    http: &Request,
    asked: &Asked<'_>,
    session: Option<&SessionRow>,
    consented: &[String],
) -> Result<Response, Error> {
    let client = &asked.client.metadata;
    let hinted_sub = match asked.form.value("id_token_hint") {
        // Whether it has expired does not matter (§3.1.2.1).
        Some(hint) if asked.hint_key_is_good => Some(hint_claims(context, tenant, hint).await?.sub),
        Some(_) => return Err(Refusal::HintInvalid.into()),
        None => None,
    };
    let request = AuthorizationRequest::parse(asked.form, asked.addressee.clone(), client, hinted_sub)?; // 4
    interaction::check_size(&request)?;
    let now = context.now();
    let situation =
        Situation { request: &request, client, pending_id: None, session, consented, consent_answered: false, now };
    let step = interaction::next_step(&situation); // 5
    if request.prompt.none {
        interaction::check_silent(&step)?;
    }
    if let Some(session) = session {
        touch(context, tenant, session);
    }
    if step == Step::Answer
        && let Some(session) = session
    {
        return interaction::answer_with_code(context, tenant, &request, session); // 6
    }
    let browser = cookies::browser(context, tenant, http);
    let pending = interaction::pending(context, request, &browser);
    let response = interaction::respond(context, tenant, client, &pending, session, &step)?;
    Ok(match browser.set_cookie {
        Some(cookie) => response.with("set-cookie", cookie),
        None => response,
    })
}

/// The same request by GET.
fn as_get(tenant: &Tenant, request: &Request) -> Result<Response, Refusal> {
    let form = super::form_body(request)?;
    let mut parameters: Vec<(&str, &str)> = form.iter().collect();
    let in_query = query(request)?;
    parameters.extend(in_query.iter());
    // Repeated parameters have to stay repeated: it is there that they are refused, and seen where an answer may go.
    parameters.extend(form.repeated().chain(in_query.repeated()).map(|name| (name, "repeated")));
    again_by_get(tenant, "/authorize", parameters)
}

/// Client, live session and its consents, from a replica that knows this session.
struct Found {
    client: Option<ClientRow>,
    session: Option<SessionRow>,
    consented: Vec<String>,
    /// Whether the key that signed the hint is there and not revoked.
    hint_key_is_good: bool,
}

async fn look_up<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    request: &Request,
    client_id: &str,
    hint: Option<&str>,
) -> Result<Found, Error> {
    let cookie = cookies::session(tenant, request);
    let session_id = cookie.as_ref().map_or("", |cookie| cookie.session_id.as_str());
    let mut batch = vec![
        clients::by_id(tenant.id(), client_id),
        sessions::with_user(tenant.id(), session_id),
        consents::of_session(tenant.id(), session_id, client_id),
    ];
    let bookmark = cookie.as_ref().and_then(|cookie| cookie.bookmark.as_deref());
    let mut freshness = Freshness::AtLeast(bookmark);
    if let Some(kid) = hint.and_then(hint_kid) {
        // What a revoked key signed is refused at once, and a replica may not know it yet.
        batch.push(keys::standing(tenant.id(), &kid));
        freshness = Freshness::Primary;
    }
    let mut answer = context.sql(&batch, freshness).await?;
    if first_row(&answer, 0).is_none() && freshness != Freshness::Primary {
        // A replica may not know a client that was registered a moment ago.
        answer = context.sql(&batch, Freshness::Primary).await?;
    }
    Ok(Found {
        client: first_row(&answer, 0).map(ClientRow::from_row).transpose()?,
        session: live_session(context, &answer, 1)?,
        consented: consented_items(&answer, 2)?,
        hint_key_is_good: first_row(&answer, 3).is_some(),
    })
}

/// The key that an `id_token_hint` says it is signed with.
#[must_use]
pub fn hint_kid(hint: &str) -> Option<String> {
    Some(Unverified::parse(hint)?.kid()?.to_owned())
}

/// The session in statement `index` of an answer, if it is live.
pub fn live_session<P: Platform>(
    context: &Context<'_, P>,
    answer: &Answer,
    index: usize,
) -> Result<Option<SessionRow>, Fault> {
    let session = first_row(answer, index).map(SessionRow::from_row).transpose()?;
    Ok(session.filter(|session| session.is_live(context.now())))
}

/// The consent items in statement `index` of an answer.
pub fn consented_items(answer: &Answer, index: usize) -> Result<Vec<String>, Fault> {
    let items = first_row(answer, index).map(|row| row.text(0)).transpose()?.unwrap_or_default();
    Ok(items.split(' ').filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

/// Keeps an idle session alive, at most every five minutes, after the response.
fn touch<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, session: &SessionRow) {
    let now = context.now();
    if now.since(session.seen_at) < TOUCH_INTERVAL {
        return;
    }
    let platform = context.platform.clone();
    let statement = sessions::touch(tenant.id(), &session.id, now);
    context.platform.defer(async move {
        if let Err(fault) = platform.sql(&[statement], Freshness::Primary).await {
            platform.log(&serde_json::json!({ "level": "warn", "fault": fault.to_string() }).to_string());
        }
    });
}

/// What an `id_token_hint` says, if this issuer signed it.
pub async fn hint_claims<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    hint: &str,
) -> Result<HintClaims, Error> {
    let unverified = Unverified::parse(hint).ok_or(Refusal::HintInvalid)?;
    if unverified.typ().is_some_and(|typ| typ != ID_TOKEN) {
        return Err(Refusal::HintInvalid.into());
    }
    let key = match unverified.kid() {
        Some(kid) => tenants::public_key(context, tenant, kid).await?,
        None => None,
    };
    let key = key.ok_or(Refusal::HintInvalid)?;
    let claims: Option<HintClaims> = unverified.verify(context.platform, &key).await?;
    claims.filter(|claims| claims.iss == tenant.issuer()).ok_or_else(|| Refusal::HintInvalid.into())
}
