//! What every step of signing in comes to: ask for a password, ask for consent, answer the client (OpenID Connect Core §3.1.2.3
//! to §3.1.2.6). The decision is a pure function; a page or a redirect follows from it.

use std::rc::Rc;

use crate::context::Context;
use crate::error::{Error, Refusal, Told};
use crate::http::{Request, Response};
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::form;
use crate::oauth::redirect_uri::RegisteredRedirect;
use crate::oauth::response_mode::ResponseMode;
use crate::oauth::scope::Scope;
use crate::oidc::authorization_request::{
    Addressee, AuthorizationRequest, PENDING_LIFETIME, PENDING_LIMIT, PendingRequest,
};
use crate::oidc::claims::consent_items;
use crate::oidc::code::{CODE_LIMIT, Code};
use crate::platform::{Platform, UnixTime};
use crate::store::clients::ClientRow;
use crate::store::sessions::SessionRow;
use crate::tenant::Tenant;
use crate::ui::{self, Consent, FormPost, Policy, SignIn, SignInProblem};

use super::{authorize, cookies, pages};

/// What has to happen next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    SignIn,
    Consent,
    Answer,
}

/// What is known when a step is decided.
pub struct Situation<'a> {
    pub request: &'a AuthorizationRequest,
    pub client: &'a ClientMetadata,
    /// Id of the pending request, once there is one: a sign-in counts as fresh only for the request that it answered.
    pub pending_id: Option<&'a str>,
    /// A live session.
    pub session: Option<&'a SessionRow>,
    /// What the person allowed this client before.
    pub consented: &'a [String],
    /// Whether the person was just asked for consent.
    pub consent_answered: bool,
    pub now: UnixTime,
}

/// OpenID Connect Core §3.1.2.3 and §3.1.2.4.
#[must_use]
pub fn next_step(situation: &Situation<'_>) -> Step {
    let Situation { request, client, pending_id, session, consented, consent_answered, now } = situation;
    let Some(session) = session else { return Step::SignIn };
    // A sign-in for this very request is as fresh as it can be, however long the person then reads the consent page.
    let is_fresh = pending_id.is_some_and(|id| id == session.answered_request);
    let wants_fresh = request.prompt.login || request.prompt.select_account || request.max_age == Some(0);
    let too_old = request.max_age.is_some_and(|max_age| now.since(session.auth_time) > max_age);
    let other_person = !request.expected_subs.is_empty() && !request.expected_subs.contains(&session.user_id);
    if ((wants_fresh || too_old) && !is_fresh) || other_person {
        return Step::SignIn;
    }
    let items = consent_items(&Scope::stored(&request.scope), &request.claims);
    let allowed = items.iter().all(|item| consented.contains(item));
    // RFC 8252 §8.6: any program on the device can pose as a client without a secret that is not reached by https. What was
    // allowed to one of them was not allowed to the next.
    let is_assured = !client.is_public() || request.addressee.redirect_uri.as_str().starts_with("https://");
    let has_to_be_asked = request.prompt.consent || !allowed || !is_assured;
    if !consent_answered && has_to_be_asked { Step::Consent } else { Step::Answer }
}

/// With `prompt=none` nobody is asked; the client learns why it got nothing.
pub fn check_silent(step: &Step) -> Result<(), Refusal> {
    match step {
        Step::SignIn => Err(Refusal::LoginRequired),
        Step::Consent => Err(Refusal::ConsentRequired),
        Step::Answer => Ok(()),
    }
}

/// Refuses what could not be carried through sign-in or in a code (design.md §4), before anybody is asked anything.
pub fn check_size(request: &AuthorizationRequest) -> Result<(), Refusal> {
    // Sealing adds a version, a nonce and a tag, base64url a third; ids, times and names take the rest.
    let sealed = |bytes: usize| (bytes + 41) * 4 / 3 + 1;
    let pending = serde_json::to_vec(request).map_or(usize::MAX / 8, |json| json.len()) + 200;
    let in_code = request.nonce.as_ref().map_or(0, String::len)
        + request.addressee.redirect_uri.as_str().len()
        + request.scope.len()
        + request.claims.to_json().len() * 2
        + 420;
    if sealed(pending) > PENDING_LIMIT || sealed(in_code) > CODE_LIMIT { Err(Refusal::RequestTooLarge) } else { Ok(()) }
}

/// A pending request for this browser.
pub fn pending<P: Platform>(
    context: &Context<'_, P>,
    request: AuthorizationRequest,
    browser: &cookies::Browser,
) -> PendingRequest {
    PendingRequest {
        id: context.random_id::<16>(),
        expires_at: context.now().plus(PENDING_LIFETIME).0,
        browser: browser.mark.clone(),
        asked: None,
        request,
    }
}

/// Opens the pending request of a posted form: 1 it is ours, 2 it is this browser's, 3 it is not too old.
pub fn open_pending<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    http: &Request,
    sealed: Option<&str>,
) -> Result<PendingRequest, Refusal> {
    let pending: PendingRequest = sealed.and_then(|text| tenant.sealer().open(text)).ok_or(Refusal::FormNotOurs)?; // 1
    cookies::check_browser(tenant, http, &pending.browser)?; // 2
    if context.now().0 >= pending.expires_at {
        return Err(Refusal::FormExpired); // 3
    }
    Ok(pending)
}

/// The client of a pending request as it is now. Who disabled it, or took the redirect URI away from it, meant the pages that
/// are still open too.
pub async fn client_of<P: Platform>(
    context: &Context<'_, P>,
    addressee: &Addressee,
    client: Option<ClientRow>,
) -> Result<ClientRow, Refusal> {
    let client = client.ok_or(Refusal::UnknownClient)?;
    if client.disabled_at.is_some() {
        return Err(Refusal::ClientDisabled);
    }
    let any_loopback = client.demo_redirects && authorize::is_demo(context).await;
    RegisteredRedirect::find(addressee.redirect_uri.as_str(), &client.metadata.redirect_uris, any_loopback)?;
    Ok(client)
}

/// The sign-in page.
pub fn sign_in_page<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    client: &ClientMetadata,
    pending: &PendingRequest,
    shown: SignInShown<'_>,
) -> Response {
    let addressee = &pending.request.addressee;
    let form = PendingRequest { asked: None, ..pending.clone() };
    let sealed = tenant.sealer().seal(&form, context.random());
    let html = ui::sign_in(&SignIn {
        site: pages::site(tenant),
        client: Some(pages::card(&addressee.client_id, client)),
        request: &sealed,
        username: shown.username.or(pending.request.login_hint.as_deref()).unwrap_or_default(),
        problem: shown.problem,
    });
    page_before(addressee, client, shown.status, html)
}

/// What differs between showings of the sign-in page.
pub struct SignInShown<'a> {
    pub status: u16,
    pub username: Option<&'a str>,
    pub problem: Option<SignInProblem>,
}

impl SignInShown<'_> {
    pub const FIRST: Self = Self { status: 200, username: None, problem: None };
}

/// The consent page.
pub fn consent_page<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    client: &ClientMetadata,
    pending: &PendingRequest,
    session: &SessionRow,
) -> Response {
    let addressee = &pending.request.addressee;
    let form = PendingRequest { asked: Some(session.user_id.clone()), ..pending.clone() };
    let sealed = tenant.sealer().seal(&form, context.random());
    let asked = consent_items(&Scope::stored(&pending.request.scope), &pending.request.claims);
    let scopes: Vec<&str> = asked.iter().map(String::as_str).filter(|item| !item.starts_with("claim:")).collect();
    let claims: Vec<&str> = asked.iter().filter_map(|item| item.strip_prefix("claim:")).collect();
    let html = ui::consent(&Consent {
        site: pages::site(tenant),
        client: pages::card(&addressee.client_id, client),
        account: &session.username,
        request: &sealed,
        redirect_uri: addressee.redirect_uri.as_str(),
        items: &ui::consent_items(&scopes, &claims),
    });
    page_before(addressee, client, 200, html)
}

/// A page whose form's answer may redirect to the client, which browsers hold against `form-action` (design.md §8); the
/// client's logo is the one image from elsewhere.
fn page_before(addressee: &Addressee, client: &ClientMetadata, status: u16, html: String) -> Response {
    let policy =
        Policy { form_action: Some(addressee.redirect_uri.as_str()), image: client.logo_uri.as_deref(), script: false };
    pages::page(status, html, &policy)
}

/// The successful answer: a fresh code for this session (OpenID Connect Core §3.1.2.5, RFC 9207).
pub fn answer_with_code<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    request: &AuthorizationRequest,
    session: &SessionRow,
) -> Result<Response, Error> {
    let code = Code::new(context.random_id::<16>(), request, session, context.now());
    let sealed = tenant.sealer().seal(&code, context.random());
    if sealed.len() > CODE_LIMIT {
        return Err(Refusal::RequestTooLarge.into());
    }
    Ok(answer(tenant, &request.addressee, &[("code", &sealed)]))
}

/// The error answer (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6). The log says why.
pub fn answer_with_error<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    addressee: &Addressee,
    error: &Error,
) -> Response {
    context.note(error);
    match error {
        Error::Refused(refusal) => {
            let Told { code, text, .. } = refusal.told();
            answer(tenant, addressee, &[("error", code), ("error_description", &text)])
        }
        Error::Broken(_) => answer(
            tenant,
            addressee,
            &[("error", "temporarily_unavailable"), ("error_description", "Please try again in a minute.")],
        ),
    }
}

/// Sends parameters to the client in the mode it asked for, with `state` and `iss`.
fn answer(tenant: &Tenant, addressee: &Addressee, parameters: &[(&str, &str)]) -> Response {
    let mut fields = parameters.to_vec();
    if let Some(state) = &addressee.state {
        fields.push(("state", state));
    }
    fields.push(("iss", tenant.issuer()));
    let location = match addressee.response_mode {
        ResponseMode::Query => addressee.redirect_uri.with_query(&form::encode(fields)),
        ResponseMode::Fragment => addressee.redirect_uri.with_fragment(&form::encode(fields)),
        ResponseMode::FormPost => {
            let page = FormPost { site: pages::site(tenant), action: addressee.redirect_uri.as_str(), fields: &fields };
            let policy = Policy { form_action: Some(addressee.redirect_uri.as_str()), image: None, script: true };
            return pages::page(200, ui::form_post(&page), &policy);
        }
    };
    Response::new(303)
        .with("location", location)
        .with("cache-control", "no-store")
        .with("referrer-policy", "no-referrer")
}

/// Carries out a step for a pending request.
pub fn respond<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    client: &ClientMetadata,
    pending: &PendingRequest,
    session: Option<&SessionRow>,
    step: &Step,
) -> Result<Response, Error> {
    match (step, session) {
        (Step::Answer, Some(session)) => answer_with_code(context, tenant, &pending.request, session),
        (Step::Consent, Some(session)) => Ok(consent_page(context, tenant, client, pending, session)),
        _ => Ok(sign_in_page(context, tenant, client, pending, SignInShown::FIRST)),
    }
}
