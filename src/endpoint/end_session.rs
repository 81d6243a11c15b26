//! RP-Initiated Logout 1.0. With a good `id_token_hint` for the person who is signed in, signing out is immediate; everything
//! else asks first. Whatever is wrong with the request stays on a page of ours.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Method, Request, Response};
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::form::{self, Form};
use crate::oauth::redirect_uri::RegisteredRedirect;
use crate::oidc::authorization_request::PENDING_LIFETIME;
use crate::oidc::tokens::HintClaims;
use crate::plant::{Plant, planted};
use crate::platform::{Answer, Fault, Freshness, Platform};
use crate::seal::Sealed;
use crate::store::audit::{self, AuditRow, Event};
use crate::store::clients::ClientRow;
use crate::store::sessions::SessionRow;
use crate::store::{clients, first_row, grants, keys, sessions};
use crate::tenant::Tenant;
use crate::ui::{self, EndSessionConfirm, Policy, SignedOut};

use super::{again_by_get, authorize, cookies, form_body, pages, query};

/// What waits for a click, sealed into the confirmation page.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PendingLogout {
    expires_at: i64,
    browser: String,
    after: After,
}

impl Sealed for PendingLogout {
    const PURPOSE: &'static str = "pending-logout";
}

/// Where the person goes when signed out.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct After {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    redirect: Option<RegisteredRedirect>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// The client that asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

/// RP-Initiated Logout §2: 1 our own confirmation comes back, 2 a POST is asked again by GET, where the cookie comes too,
/// 3 the hint, 4 read client and session, 5 prove the redirect URI, 6 sign out, or ask first.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    if request.method == Method::Post {
        let form = form_body(request)?;
        return match form.value("request") {
            Some(sealed) => confirmed(context, tenant, request, &form, sealed).await, // 1
            None => {
                form.check_unique()?;
                Ok(again_by_get(tenant, "/end_session", form.iter())?) // 2
            }
        };
    }
    let form = query(request)?;
    form.check_unique()?;
    let hint = match form.value("id_token_hint") {
        Some(hint) => Some(authorize::hint_claims(context, tenant, hint).await?), // 3
        None => None,
    };
    let client_id = client_id(&form, hint.as_ref())?;
    let cookie = cookies::session(tenant, request);
    let mut batch = vec![
        clients::by_id(tenant.id(), client_id.as_deref().unwrap_or_default()),
        sessions::with_user(tenant.id(), cookie.as_ref().map_or("", |cookie| cookie.session_id.as_str())),
    ];
    let hint_kid = form.value("id_token_hint").and_then(authorize::hint_kid);
    batch.extend(hint_kid.map(|kid| keys::standing(tenant.id(), &kid)));
    let answer = context.sql(&batch, Freshness::Primary).await?; // 4
    if hint.is_some() && first_row(&answer, 2).is_none() {
        return Err(Refusal::HintInvalid.into()); // What a revoked key signed is refused at once.
    }
    let client = live_client(&answer)?;
    // A client that is gone or disabled says nothing any more, of whom it signed in either.
    let hint = hint.filter(|_| client.is_some());
    let session = authorize::live_session(context, &answer, 1)?;
    let redirect = match form.value("post_logout_redirect_uri") {
        Some(uri) => Some(registered(context, uri, client.as_ref()).await?), // 5
        None => None,
    };
    let after = After { state: form.owned("state").filter(|_| redirect.is_some()), redirect, client_id };
    let hinted = |session: &SessionRow| {
        hint.as_ref().is_some_and(|hint| hint.sub == session.user_id || hint.sid.as_ref() == Some(&session.id))
    };
    match session {
        Some(session) if hinted(&session) => {
            sign_out(context, tenant, &session).await?; // 6
            Ok(signed_out(tenant, &after, client.as_ref()))
        }
        Some(session) => Ok(ask(context, tenant, request, after, Some(&session), client.as_ref())),
        None if hint.is_some() || after.redirect.is_none() => Ok(signed_out(tenant, &after, client.as_ref())),
        None => Ok(ask(context, tenant, request, after, None, client.as_ref())),
    }
}

/// The client that asks: by its id, by the hint's audience, or both, which then have to agree.
fn client_id(form: &Form, hint: Option<&HintClaims>) -> Result<Option<String>, Refusal> {
    match (form.owned("client_id"), hint.map(|hint| hint.aud.clone())) {
        (Some(named), Some(hinted)) if named != hinted => Err(Refusal::HintInvalid),
        (named, hinted) => Ok(named.or(hinted)),
    }
}

/// The client in an answer's first statement, unless it is disabled.
fn live_client(answer: &Answer) -> Result<Option<ClientRow>, Fault> {
    let client = first_row(answer, 0).map(ClientRow::from_row).transpose()?;
    Ok(client.filter(|client| client.disabled_at.is_none()))
}

/// Where to go afterwards: only to a URI that the asking client registered for it (§3.1).
async fn registered<P: Platform>(
    context: &Context<'_, P>,
    uri: &str,
    client: Option<&ClientRow>,
) -> Result<RegisteredRedirect, Refusal> {
    let client = client.ok_or(Refusal::PostLogoutRedirectUriNotRegistered)?;
    let any_loopback = client.demo_redirects && authorize::is_demo(context).await;
    RegisteredRedirect::find(uri, &client.metadata.post_logout_redirect_uris, any_loopback)
        .map_err(|_| Refusal::PostLogoutRedirectUriNotRegistered)
}

/// The confirmation page.
fn ask<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    request: &Request,
    after: After,
    session: Option<&SessionRow>,
    client: Option<&ClientRow>,
) -> Response {
    let browser = cookies::browser(context, tenant, request);
    let target = after.redirect.as_ref().map(|redirect| redirect.as_str().to_owned());
    let pending = PendingLogout { expires_at: context.now().plus(PENDING_LIFETIME).0, browser: browser.mark, after };
    let html = ui::end_session_confirm(&EndSessionConfirm {
        site: pages::site(tenant),
        account: session.map(|session| session.username.as_str()),
        request: &tenant.sealer().seal(&pending, context.random()),
    });
    let logo = client.and_then(|client| client.metadata.logo_uri.as_deref());
    let policy = Policy { form_action: target.as_deref(), image: logo, script: false };
    let response = pages::page(200, html, &policy);
    match browser.set_cookie {
        Some(cookie) => response.with("set-cookie", cookie),
        None => response,
    }
}

async fn confirmed<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
    form: &Form,
    sealed: &str,
) -> Result<Response, Error> {
    form.check_unique()?;
    let mut pending: PendingLogout = tenant.sealer().open(sealed).ok_or(Refusal::FormNotOurs)?;
    cookies::check_browser(tenant, request, &pending.browser)?;
    if context.now().0 >= pending.expires_at {
        return Err(Refusal::FormExpired.into());
    }
    if form.value("answer") != Some("sign-out") {
        return Ok(Response::new(303).with("location", tenant.url("/")).with("cache-control", "no-store"));
    }
    let cookie = cookies::session(tenant, request);
    let batch = [
        clients::by_id(tenant.id(), pending.after.client_id.as_deref().unwrap_or_default()),
        sessions::with_user(tenant.id(), cookie.as_ref().map_or("", |cookie| cookie.session_id.as_str())),
    ];
    let answer = context.sql(&batch, Freshness::Primary).await?;
    let client = live_client(&answer)?;
    if let Some(session) = first_row(&answer, 1).map(SessionRow::from_row).transpose()? {
        sign_out(context, tenant, &session).await?;
    }
    if let Some(redirect) = &pending.after.redirect
        && registered(context, redirect.as_str(), client.as_ref()).await.is_err()
    {
        // Taken away while the page was open: the person stays with us.
        pending.after.redirect = None;
    }
    Ok(signed_out(tenant, &pending.after, client.as_ref()))
}

/// Ends the session and what was granted for it, except what was allowed to outlive it (`offline_access`).
async fn sign_out<P: Platform>(context: &Context<'_, P>, tenant: &Tenant, session: &SessionRow) -> Result<(), Error> {
    let now = context.now();
    let row = AuditRow { user_id: Some(&session.user_id), ..context.audit(Event::SignedOut) };
    let batch = [
        sessions::end(tenant.id(), &session.id, now),
        grants::end_of_session(tenant.id(), if planted(Plant::SignOutLeavesGrants) { "" } else { &session.id }, now),
        audit::insert(tenant.id(), row),
    ];
    context.sql_idempotent(&batch, Freshness::Primary).await?;
    Ok(())
}

/// Back to the client with `state` and nothing else (§3), or a page that says so.
fn signed_out(tenant: &Tenant, after: &After, client: Option<&ClientRow>) -> Response {
    let response = match &after.redirect {
        Some(redirect) => {
            let location = match &after.state {
                Some(state) => redirect.with_query(&form::encode([("state", state.as_str())])),
                None => redirect.as_str().to_owned(),
            };
            Response::new(303).with("location", location).with("cache-control", "no-store")
        }
        None => {
            let metadata: Option<(&str, &ClientMetadata)> = client.map(|client| (client.id.as_str(), &client.metadata));
            let html = ui::signed_out(&SignedOut {
                site: pages::site(tenant),
                client: metadata.map(|(id, metadata)| pages::card(id, metadata)),
            });
            let logo = client.and_then(|client| client.metadata.logo_uri.as_deref());
            pages::page(200, html, &Policy { form_action: None, image: logo, script: false })
        }
    };
    response.with("referrer-policy", "no-referrer").with("set-cookie", cookies::clear_session(tenant))
}
