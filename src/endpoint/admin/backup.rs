//! The backup in the management API: every tenant of the deployment in one bundle (`backup.rs`).

use crate::backup::{self, Draft, LARGEST, PAGE, Refused};
use crate::endpoint;
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::platform::{Fault, Freshness, Platform, Statement};
use crate::store::audit::{Condition, Event};
use crate::store::backup::{AUDIT, Measure, TABLES, Table};
use crate::store::{all_rows, first_row, tenants};
use crate::tenants::roots;

use super::Desk;

/// 1 it is not too much, 2 all rows and the record of this backup in one batch, which is one instant, 3 sealed.
///
/// `audit=0` leaves the audit out, which grows with every sign-in and refresh and is never cleaned up.
pub async fn read<P: Platform>(desk: &Desk<'_, P>, request: &Request) -> Result<Response, Error> {
    let context = desk.context;
    let query = endpoint::query(request)?;
    query.check_unique()?;
    let with_audit = match query.value("audit") {
        None | Some("1") => true,
        Some("0") => false,
        Some(_) => return Err(Refusal::MalformedParameter { name: "audit", why: "has to be 0 or 1" }.into()),
    };
    let roots = roots(context).await?;
    let measures: Vec<Statement> = TABLES.iter().map(|table| table.measure()).collect();
    let answer = context.sql(&measures, Freshness::Primary).await?; // 1
    let mut measured = Vec::with_capacity(TABLES.len());
    for place in 0..TABLES.len() {
        let row = first_row(&answer, place).ok_or_else(|| Fault::Undecodable("a table has no size".to_owned()))?;
        measured.push(Measure::from_row(row)?);
    }
    let is_read = |table: &Table| with_audit || table.name != AUDIT;
    for (measure, _) in measured.iter_mut().zip(TABLES).filter(|(_, table)| !is_read(table)) {
        *measure = Measure { rows: 0, bytes: 0 };
    }
    let bytes: i64 = measured.iter().map(|table| table.bytes + table.rows).sum();
    let room =
        usize::try_from(bytes).ok().filter(|bytes| *bytes <= LARGEST).ok_or(Refusal::Bundle(Refused::TooMuch))?;

    let home = desk.home.id();
    let change = desk.change(home, Event::BackedUp, &[]);
    let mut batch = vec![change.decide(Condition::Tenant)]; // 2
    batch.extend(tenants::survey());
    let mut tables = Vec::with_capacity(TABLES.len());
    for (table, measured) in TABLES.iter().zip(measured) {
        let before = batch.len();
        if is_read(table) {
            batch.extend(table.read(measured, PAGE));
        }
        tables.push((table, before..batch.len()));
    }
    let created_at = context.now();
    let answer = context.sql_idempotent(&batch, Freshness::Primary).await?;
    let schema = first_row(&answer, 1).map(|row| row.integer(0)).transpose()?.unwrap_or(0);
    backup::check_schema(schema)?;
    let mut draft = Draft::with_room(room);
    for (table, places) in tables {
        let rows: Vec<&str> =
            places.flat_map(|place| all_rows(&answer, place)).map(|row| row.str(0)).collect::<Result<_, _>>()?;
        draft.table(table, &rows).map_err(Refusal::Bundle)?;
    }
    drop(answer);
    let bundle = draft.seal(roots.sealing(), schema, desk.home.issuer(), created_at, context.random()); // 3
    let bundle = bundle.ok_or_else(|| Fault::Crypto("the bundle could not be sealed".to_owned()))?;
    Ok(Response::new(200)
        .with("content-type", "application/octet-stream")
        .with("content-disposition", "attachment; filename=\"vedette.backup\"")
        .with("cache-control", "no-store")
        .body(bundle))
}
