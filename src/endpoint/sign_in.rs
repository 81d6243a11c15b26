//! Signing in with a password: the form of the page that `/authorize` shows.

use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::oidc::authorization_request::{ACR_PASSWORD, PendingRequest};
use crate::password;
use crate::platform::{Answer, Fault, Freshness, Platform, Statement, UnixTime};
use crate::store::audit::{self, AuditRow, Condition, Event};
use crate::store::clients::ClientRow;
use crate::store::sessions::{NewSession, SessionRow};
use crate::store::users::SignInRow;
use crate::store::{clients, consents, first_row, grants, sessions, throttles, users};
use crate::tenant::Tenant;
use crate::ui::SignInProblem;

use super::cookies::{self, SessionCookie};
use super::interaction::{self, SignInShown, Situation, Step};
use super::{authorize, form_body};

/// Seconds in which attempts are counted together.
const WINDOW: i64 = 15 * 60;
/// Attempts per account in a window; a successful one starts over.
const PER_ACCOUNT: i64 = 10;
/// Unsuccessful attempts per address in a window (a whole office may share one).
const PER_ADDRESS: i64 = 100;

/// How a person that signs in with a password is known to have done it (RFC 8176).
const AMR_PASSWORD: &str = "pwd";

/// 1 the form is ours and this browser's, 2 count the attempt before anything is verified, and read in the same batch, 3 too
/// many: stop, 4 verify in constant work, 5 begin a session with a new id, 6 go on with the request.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let form = form_body(request)?;
    form.check_unique()?;
    let pending = interaction::open_pending(context, tenant, request, form.value("request"))?; // 1
    let username = form.value("username").unwrap_or_default();
    let password = form.value("password").unwrap_or_default();
    let buckets = Buckets::new(username, context.client_address.as_deref());
    let old_cookie = cookies::session(tenant, request);
    let seen = count_and_read(context, tenant, &buckets, username, &pending, old_cookie.as_ref()).await?; // 2
    let client = interaction::client_of(context, &pending.request.addressee, seen.client).await?;
    let again = |status, problem| {
        let shown = SignInShown { status, username: Some(username), problem: Some(problem) };
        interaction::sign_in_page(context, tenant, &client.metadata, &pending, shown)
    };
    if let Some(Wait { seconds, is_first }) = seen.wait {
        if is_first {
            // The others are in the log: whoever goes on and on must not fill the audit.
            record_failure(context, tenant, Event::SignInThrottled, seen.user.as_ref(), &pending).await?; // 3
        }
        context.note(&Refusal::SignInThrottled.into());
        let minutes = seconds.saturating_add(59) / 60;
        let problem = SignInProblem::TooManyAttempts { retry_after_minutes: u32::try_from(minutes).unwrap_or(1) };
        return Ok(again(429, problem).with("retry-after", seconds.to_string()));
    }
    let hash = seen.user.as_ref().filter(|user| !user.disabled).map(|user| user.password_hash.as_str());
    let verified = password::verify(tenant.pepper(), password, hash)?; // 4
    let Some(user) = seen.user.as_ref().filter(|_| verified) else {
        record_failure(context, tenant, Event::SignInFailed, seen.user.as_ref(), &pending).await?;
        context.note(&Refusal::SignInFailed.into());
        return Ok(again(422, SignInProblem::WrongNameOrPassword));
    };
    let begun = begin_session(context, tenant, user, &pending, &buckets, seen.old_session.as_ref()).await?; // 5
    let situation = Situation {
        request: &pending.request,
        client: &client.metadata,
        pending_id: Some(&pending.id),
        session: Some(&begun.session),
        consented: &begun.consented,
        consent_answered: false,
        now: context.now(),
    };
    let step = interaction::next_step(&situation);
    let response = if step == Step::SignIn {
        // The right password of somebody else than the request insists on (id_token_hint).
        interaction::answer_with_error(context, tenant, &pending.request.addressee, &Refusal::LoginRequired.into())
    } else {
        interaction::respond(context, tenant, &client.metadata, &pending, Some(&begun.session), &step)
            .unwrap_or_else(|error| interaction::answer_with_error(context, tenant, &pending.request.addressee, &error)) // 6
    };
    let cookie = SessionCookie { session_id: begun.session.id, bookmark: begun.bookmark };
    Ok(response.with("set-cookie", cookies::set_session(context, tenant, &cookie)))
}

/// The counters of an attempt: hashes, so that the table names nobody.
struct Buckets {
    account: String,
    address: Option<String>,
}

impl Buckets {
    fn new(username: &str, address: Option<&str>) -> Self {
        let hash = |kind: &str, value: &str| {
            let digest = Sha256::digest(value.as_bytes());
            let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, digest);
            format!("{kind}:{text}")
        };
        Self {
            account: hash("account", &users::fold_username(username)),
            address: address.map(|address| hash("address", &network(address))),
        }
    }
}

/// What one household or machine has of an address: all of IPv4 (also where it is mapped into IPv6), the /64 of IPv6.
fn network(address: &str) -> String {
    match address.parse::<std::net::IpAddr>() {
        Ok(address) => match address.to_canonical() {
            std::net::IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            std::net::IpAddr::V4(address) => address.to_string(),
        },
        Err(_) => address.to_owned(),
    }
}

struct Seen {
    /// If there were too many attempts.
    wait: Option<Wait>,
    user: Option<SignInRow>,
    client: Option<ClientRow>,
    old_session: Option<SessionRow>,
}

async fn count_and_read<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    buckets: &Buckets,
    username: &str,
    pending: &PendingRequest,
    old_cookie: Option<&SessionCookie>,
) -> Result<Seen, Error> {
    let now = context.now();
    let floor = now.plus(-WINDOW);
    let id = tenant.id();
    let mut batch = vec![
        users::for_sign_in(id, username),
        clients::by_id(id, &pending.request.addressee.client_id),
        sessions::with_user(id, old_cookie.map_or("", |cookie| cookie.session_id.as_str())),
    ];
    // An address that is out of attempts locks no more accounts, and makes no more rows.
    match &buckets.address {
        None => batch.push(throttles::count(id, &buckets.account, now, floor)),
        Some(address) => batch.extend([
            throttles::count(id, address, now, floor),
            throttles::count_unless_full(id, &buckets.account, now, floor, (address, PER_ADDRESS)),
        ]),
    }
    let answer = context.sql(&batch, Freshness::Primary).await?;
    let account = Wait::of(&answer, batch.len() - 1, PER_ACCOUNT, now)?;
    let address = if buckets.address.is_some() { Wait::of(&answer, 3, PER_ADDRESS, now)? } else { None };
    Ok(Seen {
        wait: account.max(address),
        user: first_row(&answer, 0).map(SignInRow::from_row).transpose()?,
        client: first_row(&answer, 1).map(ClientRow::from_row).transpose()?,
        old_session: authorize::live_session(context, &answer, 2)?,
    })
}

/// How long a person has to wait who used up the attempts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wait {
    seconds: i64,
    /// Whether this attempt is the first one too many.
    is_first: bool,
}

impl Wait {
    /// If counter `index` is above `most`.
    fn of(answer: &Answer, index: usize, most: i64, now: UnixTime) -> Result<Option<Self>, Fault> {
        let Some(row) = first_row(answer, index) else { return Ok(None) };
        let (attempts, started_at) = (row.integer(0)?, row.time(1)?);
        let seconds = started_at.plus(WINDOW).since(now).clamp(1, WINDOW);
        Ok((attempts > most).then_some(Self { seconds, is_first: attempts == most.saturating_add(1) }))
    }
}

async fn record_failure<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    event: Event,
    user: Option<&SignInRow>,
    pending: &PendingRequest,
) -> Result<(), Error> {
    let row = AuditRow {
        user_id: user.map(|user| user.user_id.as_str()),
        client_id: Some(&pending.request.addressee.client_id),
        ..context.audit(event)
    };
    context.sql_idempotent(&[audit::insert(tenant.id(), row)], Freshness::Primary).await?;
    Ok(())
}

struct Begun {
    session: SessionRow,
    consented: Vec<String>,
    bookmark: Option<String>,
}

/// A new session in one batch: what the old one of this browser held goes over to it when it is the same person's, and ends
/// when it is not.
async fn begin_session<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    user: &SignInRow,
    pending: &PendingRequest,
    buckets: &Buckets,
    old_session: Option<&SessionRow>,
) -> Result<Begun, Error> {
    let now = context.now();
    let id = tenant.id();
    let session_id = context.random_id::<16>();
    let session = NewSession {
        id: &session_id,
        user_id: &user.user_id,
        now,
        amr: AMR_PASSWORD,
        acr: ACR_PASSWORD,
        answered_request: &pending.id,
        password_hash: &user.password_hash,
    };
    let client_id = &pending.request.addressee.client_id;
    let audit = AuditRow { user_id: Some(&user.user_id), client_id: Some(client_id), ..context.audit(Event::SignedIn) };
    let mut batch: Vec<Statement> = vec![
        sessions::insert(id, &session),
        sessions::with_user(id, &session_id),
        consents::of_session(id, &session_id, client_id),
        throttles::clear(id, &buckets.account),
    ];
    // Before the audit row, by which the batch recognises itself when it is sent again.
    batch.extend(buckets.address.as_ref().map(|address| throttles::refund(id, address, &session_id, &audit.id)));
    batch.push(audit::insert_if(id, audit, Condition::Session { id: &session_id }));
    if let Some(old) = old_session {
        batch.push(if old.user_id == user.user_id {
            grants::move_to_session(id, &old.id, &session_id)
        } else {
            grants::end_of_session(id, &old.id, now)
        });
        batch.push(sessions::end(id, &old.id, now));
    }
    let answer = context.sql_idempotent(&batch, Freshness::PrimaryWithBookmark).await?;
    let session = authorize::live_session(context, &answer, 1)?
        // Disabled, deleted or given another password between the two batches.
        .ok_or(Refusal::FormExpired)?;
    Ok(Begun { session, consented: authorize::consented_items(&answer, 2)?, bookmark: answer.bookmark })
}
