//! The answer to the consent page (OpenID Connect Core §3.1.2.4).

use std::rc::Rc;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::oauth::scope::Scope;
use crate::oidc::authorization_request::PendingRequest;
use crate::oidc::claims::consent_items;
use crate::platform::{Freshness, Platform};
use crate::store::audit::{self, AuditRow, Condition, Event};
use crate::store::clients::ClientRow;
use crate::store::sessions::SessionRow;
use crate::store::{clients, consents, first_row, sessions};
use crate::tenant::Tenant;

use super::cookies::{self, SessionCookie};
use super::interaction::{self, SignInShown, Situation, Step};
use super::{authorize, form_body};

/// 1 the form is ours and this browser's, 2 read client, session and consent, 3 the person who was asked still has to be signed
/// in as the request wants it, 4 remember the answer, 5 answer the client.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let form = form_body(request)?;
    form.check_unique()?;
    let pending = interaction::open_pending(context, tenant, request, form.value("request"))?; // 1
    let addressee = &pending.request.addressee;
    let cookie = cookies::session(tenant, request);
    let session_id = cookie.as_ref().map_or("", |cookie| cookie.session_id.as_str());
    let batch = [
        clients::by_id(tenant.id(), &addressee.client_id),
        sessions::with_user(tenant.id(), session_id),
        consents::of_session(tenant.id(), session_id, &addressee.client_id),
    ];
    let answer = context.sql(&batch, Freshness::Primary).await?; // 2
    let client = first_row(&answer, 0).map(ClientRow::from_row).transpose()?;
    let client = interaction::client_of(context, addressee, client).await?;
    let session = authorize::live_session(context, &answer, 1)?;
    let consented = authorize::consented_items(&answer, 2)?;
    // The form of a sign-in page, or the question to somebody who is no longer signed in here, answers nothing.
    let was_asked = session.as_ref().is_some_and(|session| pending.asked.as_ref() == Some(&session.user_id));
    let situation = Situation {
        request: &pending.request,
        client: &client.metadata,
        pending_id: was_asked.then_some(&pending.id),
        session: session.as_ref(),
        consented: &consented,
        consent_answered: was_asked,
        now: context.now(),
    };
    let step = interaction::next_step(&situation);
    let wants_other_account = form.value("answer") == Some("switch");
    let session = match session {
        Some(session) if step == Step::Answer && !wants_other_account => session, // 3
        Some(session) if step == Step::Consent && !wants_other_account => {
            return Ok(interaction::consent_page(context, tenant, &client.metadata, &pending, &session));
        }
        _ => return Ok(interaction::sign_in_page(context, tenant, &client.metadata, &pending, SignInShown::FIRST)),
    };
    match form.value("answer") {
        Some("allow") => {
            let bookmark = remember(context, tenant, &pending, &session).await?; // 4
            let cookie = SessionCookie { session_id: session.id.clone(), bookmark };
            let response = interaction::answer_with_code(context, tenant, &pending.request, &session)
                .unwrap_or_else(|error| interaction::answer_with_error(context, tenant, addressee, &error)); // 5
            Ok(response.with("set-cookie", cookies::set_session(context, tenant, &cookie)))
        }
        Some("deny") => {
            let row = audit_row(context, Event::ConsentDenied, &pending, &session);
            let batch =
                [audit::insert(tenant.id(), row), sessions::spend_answer(tenant.id(), &session.id, &pending.id)];
            context.sql_idempotent(&batch, Freshness::Primary).await?;
            Ok(interaction::answer_with_error(context, tenant, addressee, &Refusal::AccessDenied.into()))
        }
        _ => Err(Refusal::MalformedParameter { name: "answer", why: "has to be allow, deny or switch" }.into()),
    }
}

/// What was allowed before stays allowed. Answers the bookmark behind which the consent is visible.
async fn remember<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    pending: &PendingRequest,
    session: &SessionRow,
) -> Result<Option<String>, Error> {
    let items = consent_items(&Scope::stored(&pending.request.scope), &pending.request.claims);
    let client_id = &pending.request.addressee.client_id;
    let granted_at = context.now();
    let row = audit_row(context, Event::ConsentGranted, pending, session);
    let batch = [
        consents::grant(tenant.id(), &session.user_id, client_id, &items.join(" "), granted_at),
        audit::insert_if(tenant.id(), row, Condition::Consent { granted_at }),
        sessions::spend_answer(tenant.id(), &session.id, &pending.id),
    ];
    let answer = context.sql_idempotent(&batch, Freshness::PrimaryWithBookmark).await?;
    if first_row(&answer, 0).is_none() {
        // The client or the person was disabled or deleted since the read.
        return Err(Refusal::ClientDisabled.into());
    }
    Ok(answer.bookmark)
}

fn audit_row<'a, P: Platform>(
    context: &'a Context<'_, P>,
    event: Event,
    pending: &'a PendingRequest,
    session: &'a SessionRow,
) -> AuditRow<'a> {
    AuditRow {
        user_id: Some(&session.user_id),
        client_id: Some(&pending.request.addressee.client_id),
        detail: Some(pending.request.scope.clone()),
        ..context.audit(event)
    }
}
