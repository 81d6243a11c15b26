//! `POST /setup/restore`: a backup (`backup.rs`) becomes an empty deployment's data. The right to it is a ticket minted from the
//! root secret, as for set-up, presented as a bearer token (RFC 6750 §2.1); the body is the bundle.

use serde_json::json;

use crate::backup::{self, LARGEST_BUNDLE, Refused, TenantOfBundle};
use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{BODY_LIMIT, Request, Response};
use crate::platform::{Freshness, Platform};
use crate::setup::{self, Ticket};
use crate::store::audit::{Condition, Event};
use crate::store::{SCHEMA_VERSION, first_row, tenants};

use super::bearer;
use super::change::Change;

/// How an address of this endpoint ends.
pub const PATH: &str = "/setup/restore";

/// Tenants whose copies are made anew at once, which takes two calls of a host's each. Others' are made by their first request,
/// and old ones are trusted by nobody after [`crate::tenants::COPY_BOUND`] seconds.
const COPIES_REFRESHED: usize = 15;

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Refusal::Bundle(refused).into()
    }
}

/// Nobody without a ticket has us read more than any other request.
pub async fn body_limit<P: Platform>(context: &Context<'_, P>, request: &Request) -> usize {
    if ticket(context, request).await.is_ok() { LARGEST_BUNDLE } else { BODY_LIMIT }
}

async fn ticket<P: Platform>(context: &Context<'_, P>, request: &Request) -> Result<Ticket, Error> {
    let text = bearer::in_header(request)?.ok_or(Refusal::TokenMissing)?;
    let roots = crate::tenants::roots(context).await?;
    Ok(setup::open_restore_ticket(&roots, &text, context.now())?)
}

/// 1 the ticket is good, 2 the body no larger than a bundle, 3 no other set-up or restore is at it here, 4 there is nothing
/// yet, 5 the bundle opens and this deployment can serve all of it, 6 everything in one batch that does nothing when somebody
/// else was first, 7 copies of before are replaced.
pub async fn handle<P: Platform>(context: &Context<'_, P>, request: &mut Request) -> Result<Response, Error> {
    let ticket = ticket(context, request).await?; // 1
    let body = std::mem::take(&mut request.body);
    if body.len() > LARGEST_BUNDLE {
        return Err(Refused::TooLarge.into()); // 2
    }
    let _turn = context.isolate.enter_set_up(context.now()).ok_or(Refusal::Bundle(Refused::UnderWay))?; // 3
    let answer = context.sql(&tenants::survey(), Freshness::Primary).await?;
    let schema = first_row(&answer, 0).map(|row| row.integer(0)).transpose()?.unwrap_or(0);
    backup::check_schema(schema)?;
    if first_row(&answer, 1).is_some() {
        return Err(Refused::OverData.into()); // 4
    }
    let roots = crate::tenants::roots(context).await?;
    let bundle = backup::open(&roots, SCHEMA_VERSION, body)?; // 5
    let tables = bundle.tables()?;
    let restored = backup::tenants(&roots, &tables)?;
    let home = restored.iter().find(|tenant| tenant.issuer == ticket.issuer).ok_or(Refused::OtherIssuer)?;

    let marker = format!("restore/{}", context.random_id::<16>()); // 6
    let detail = json!({"backed_up_at": bundle.header.created_at, "root_id": bundle.header.root_id});
    let change = Change::new(context, &home.id, Event::Restored).with_detail(detail.to_string());
    let mut batch = vec![crate::store::backup::begin(&marker, &ticket.id, context.now())];
    for rows in &tables {
        batch.extend(rows.arrays().into_iter().map(|array| rows.table.insert(array, &marker)));
    }
    batch.push(change.decide(Condition::Restoring { marker: &marker }));
    batch.extend(crate::store::backup::end(&marker, &ticket.id));
    if !change.make(context, batch).await? {
        return Err(Refused::OverData.into());
    }
    refresh_copies(context, &restored).await; // 7
    Ok(Response::json(
        200,
        &json!({
            "issuer": home.issuer,
            "backed_up_at": bundle.header.created_at,
            "tables": bundle.header.tables,
        }),
    ))
}

/// The data is there; a copy that could not be made now only comes later.
async fn refresh_copies<P: Platform>(context: &Context<'_, P>, restored: &[TenantOfBundle]) {
    for tenant in restored {
        context.isolate.forget_tenant(&tenant.locator);
    }
    for tenant in restored.iter().take(COPIES_REFRESHED) {
        if let Err(Error::Broken(fault)) = crate::tenants::read(context, &tenant.locator).await {
            let line = json!({"level": "warn", "tenant": tenant.id, "copy_not_refreshed": fault.to_string()});
            context.platform.log(&line.to_string());
        }
    }
}
