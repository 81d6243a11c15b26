//! What is done without anybody waiting for it: keys that are due are appended, rows that are dead are removed.
//!
//! It runs by itself on a schedule (cron on Workers), when an operator's scheduler asks (`POST /maintenance`), and behind the
//! answers of ordinary requests when they see that a key is due. Run twice, late, or by two regions at once it comes to the
//! same: keys are appended under a unique row, and what is removed is removed.

use std::rc::Rc;

use serde_json::json;

use crate::context::Context;
use crate::endpoint::change::Change;
use crate::error::{Error, Refusal};
use crate::isolate::Isolate;
use crate::keys::mint;
use crate::keys::schedule::{self, Need};
use crate::platform::{Fault, Freshness, Platform, Statement};
use crate::store::audit::{Condition, Event};
use crate::store::tenants::TenantRow;
use crate::store::{self, all_rows, first_row, maintenance as rows};
use crate::tenant::Tenant;
use crate::tenants;

/// Traffic takes up a tenant's keys at most this often, in seconds.
const KEYS_EVERY: i64 = 120;
/// Dead rows are removed at most this often, in seconds.
const CLEAN_UP_EVERY: i64 = 20 * 3600;
/// Tenants that are looked at in one round trip.
const TENANTS_AT_ONCE: usize = 40;
/// A first key makes a standby due; then nothing is.
const ROUNDS: usize = 3;

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    pub tenants: usize,
    pub keys_made: usize,
    /// Tenants whose dead rows were removed.
    pub cleaned_up: usize,
    /// Tenants that something went wrong with; the log says what.
    pub failed: usize,
}

/// A run on the host's schedule, with one line in the log; whether all went well.
pub async fn scheduled<P: Platform>(platform: &P, isolate: &Rc<Isolate>) -> bool {
    let context = Context::new(platform, isolate, None);
    let started = context.now();
    let result = all(&context).await;
    let (level, report, fault) = match &result {
        Ok(report) if report.failed == 0 => ("info", Some(report), None),
        Ok(report) => ("error", Some(report), None),
        Err(error) => ("error", None, Some(what(error))),
    };
    let line = json!({"level": level, "time": started.0, "maintenance": report, "fault": fault});
    platform.log(&line.to_string());
    level == "info"
}

/// Who has keys made behind an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A request that saw that something is due, as many others will: one of them is enough.
    Traffic,
    /// An operator's change that made something due.
    Change,
}

/// Has the keys of a tenant that are due made behind the answer.
pub fn defer<P: Platform>(context: &Context<'_, P>, tenant_id: &str, locator: &str, occasion: Occasion) {
    let is_first = context.isolate.begin_maintenance(locator, context.now(), KEYS_EVERY);
    if occasion == Occasion::Traffic && !is_first {
        return;
    }
    let (platform, isolate) = (context.platform.clone(), context.isolate.clone());
    let (tenant_id, locator) = (tenant_id.to_owned(), locator.to_owned());
    context.platform.defer(async move {
        let context = Context::new(&platform, &isolate, None);
        if let Err(error) = deferred(&context, &tenant_id, &locator, occasion).await {
            warn(&context, &locator, &error);
        }
    });
}

async fn deferred<P: Platform>(
    context: &Context<'_, P>,
    tenant_id: &str,
    locator: &str,
    occasion: Occasion,
) -> Result<(), Error> {
    let take_up = rows::take_up(tenant_id, "keys", context.now(), KEYS_EVERY);
    let answer = context.sql(&[take_up], Freshness::Primary).await?;
    if first_row(&answer, 0).is_some() || occasion == Occasion::Change {
        keys(context, locator).await?;
    }
    Ok(())
}

/// Every tenant of the deployment.
pub async fn all<P: Platform>(context: &Context<'_, P>) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut after = String::new();
    loop {
        let page = store::tenants::page(&after, i64::try_from(TENANTS_AT_ONCE).unwrap_or(i64::MAX));
        let answer = context.sql(&[page], Freshness::Primary).await?;
        let rows = all_rows(&answer, 0);
        let Some(last) = rows.last() else { return Ok(report) };
        after = last.text(0)?;
        let mut tenants = Vec::with_capacity(rows.len());
        for row in rows {
            match TenantRow::from_row(row) {
                Ok(tenant) => tenants.push(tenant),
                Err(fault) => {
                    report.tenants += 1;
                    report.failed += 1;
                    warn(context, &row.text(0)?, &fault.into());
                }
            }
        }
        if !tenants.is_empty() {
            some(context, &tenants, &mut report).await?;
        }
    }
}

/// 1 which keys are due, and whose dead rows were left for long, in one round trip, 2 the keys, 3 the rows.
async fn some<P: Platform>(context: &Context<'_, P>, tenants: &[TenantRow], report: &mut Report) -> Result<(), Error> {
    let now = context.now();
    let keys_of = tenants.iter().map(|tenant| store::keys::of_tenant(&tenant.id));
    let take_up = tenants.iter().map(|tenant| rows::take_up(&tenant.id, "clean-up", now, CLEAN_UP_EVERY));
    let batch: Vec<Statement> = keys_of.chain(take_up).collect();
    let answer = context.sql(&batch, Freshness::Primary).await?; // 1
    for (place, tenant) in tenants.iter().enumerate() {
        report.tenants += 1;
        let is_its_day = first_row(&answer, tenants.len() + place).is_some();
        // Whether a key opens is not seen in its row; once a day it is tried.
        let made = match is_due(tenant, all_rows(&answer, place), now).map(|is_due| is_due || is_its_day) {
            Ok(true) => keys(context, &tenant.locator).await, // 2
            Ok(false) => Ok(0),
            Err(fault) => Err(fault.into()),
        };
        let mut trouble = None;
        match made {
            Ok(made) => report.keys_made += made,
            Err(error) => trouble = Some(error),
        }
        if is_its_day {
            // What one tenant's rows cannot be cleaned up for must not keep keys from the tenants after it.
            match context.sql_idempotent(&rows::clean_up(&tenant.id, now), Freshness::Primary).await {
                Ok(_) => report.cleaned_up += 1, // 3
                Err(fault) => trouble = Some(trouble.unwrap_or_else(|| fault.into())),
            }
        }
        if let Some(error) = trouble {
            report.failed += 1;
            warn(context, &tenant.locator, &error);
        }
    }
    Ok(())
}

fn is_due(tenant: &TenantRow, rows: &[crate::platform::Row], now: crate::platform::UnixTime) -> Result<bool, Fault> {
    let (keys, unreadable) = store::keys::read_all(rows)?;
    let taken: Vec<_> = keys.iter().map(|key| key.taken()).chain(unreadable.iter().map(|key| key.taken())).collect();
    Ok(!schedule::due(&keys, &taken, &tenant.regions, now).is_empty())
}

/// Appends the keys of one tenant that are due, and refreshes its copies; how many were made here.
pub async fn keys<P: Platform>(context: &Context<'_, P>, locator: &str) -> Result<usize, Error> {
    let mut made = 0;
    for _ in 0..ROUNDS {
        let tenant = tenants::read(context, locator).await?.ok_or(Refusal::NoTenant)?;
        let needs = schedule::due(tenant.keys(), &tenant.taken(), tenant.regions(), context.now());
        if needs.is_empty() {
            break;
        }
        made += append(context, &tenant, &needs, None).await?;
    }
    Ok(made)
}

/// Makes keys and appends each as soon as it is made; how many were not there already.
pub async fn append<'a, P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    needs: impl IntoIterator<Item = &'a Need>,
    actor: Option<&str>,
) -> Result<usize, Error> {
    let mut made = 0;
    for need in needs {
        let key = mint::key(context, tenant.id(), tenant.master(), need).await?;
        let detail = json!({
            "kid": key.kid,
            "alg": key.alg,
            "region": key.region,
            "ordinal": key.ordinal,
            "activates_at": key.activates_at,
        });
        let mut change = Change::new(context, tenant.id(), Event::KeyPublished).with_detail(detail.to_string());
        if let Some(actor) = actor {
            change = change.by(actor);
        }
        let insert = store::keys::insert(tenant.id(), &tenant.data().tenant.wrapped_master, &key);
        let batch = vec![insert, change.decide(Condition::Key { kid: &key.kid })];
        made += usize::from(change.make(context, batch).await?);
    }
    Ok(made)
}

fn warn<P: Platform>(context: &Context<'_, P>, locator: &str, error: &Error) {
    let line = json!({"level": "warn", "maintenance_of": locator, "failed": what(error)});
    context.platform.log(&line.to_string());
}

fn what(error: &Error) -> String {
    match error {
        Error::Broken(fault) => fault.to_string(),
        Error::Refused(refusal) => refusal.told().reason.to_owned(),
    }
}
