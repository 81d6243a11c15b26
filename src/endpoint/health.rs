//! Which bindings answer. Works before any tenant exists, on any host name, and says nothing secret.

use serde_json::json;

use crate::context::Context;
use crate::http::Response;
use crate::keys::wrap;
use crate::platform::{Fault, Freshness, Platform, Row, UnixTime};
use crate::root::Roots;
use crate::store::{self, first_row, tenants};

/// 2020-01-01: a clock before it is not set.
const CLOCK_FLOOR: UnixTime = UnixTime(1_577_836_800);

/// 200 when everything that signing in needs answers, else 503.
pub async fn handle<P: Platform>(context: &Context<'_, P>) -> Response {
    let sql = context.sql(&tenants::survey(), Freshness::Primary).await;
    let (sql_state, schema, any_tenant) = match &sql {
        Ok(answer) => {
            let version = first_row(answer, 0).and_then(|row| row.integer(0).ok()).unwrap_or(0);
            let schema = if version >= store::SCHEMA_VERSION { "ok" } else { "old" };
            ("ok", schema, if first_row(answer, 1).is_some() { "some" } else { "none" })
        }
        Err(Fault::SchemaOld { .. }) => ("ok", "missing", "unknown"),
        Err(_) => ("failing", "unknown", "unknown"),
    };
    let kv = context.kv_get("health").await;
    let tenant = sql.as_ref().ok().and_then(|answer| first_row(answer, 1));
    let root = crate::tenants::roots(context).await.and_then(|roots| check_opens(&roots, tenant));
    let root_state = match &root {
        Ok(()) => "ok",
        Err(Fault::SecretMalformed(_)) => "malformed",
        Err(Fault::SecretMissing(_)) => "missing",
        Err(_) => "wrong",
    };
    let region = region_state(&context.configuration().await.region, tenant);
    let clock = check_clock(context.now());
    let clock_state = if clock.is_ok() { "ok" } else { "wrong" };
    let faults = [sql.as_ref().err(), kv.as_ref().err(), root.as_ref().err(), clock.as_ref().err()];
    let first_fault = faults.into_iter().flatten().next();
    if let Some(fault) = first_fault {
        context.note(&fault.clone().into());
    }
    let healthy = [sql_state, schema, if kv.is_ok() { "ok" } else { "failing" }, root_state, clock_state]
        .iter()
        .all(|state| *state == "ok");
    let body = json!({
        "status": if healthy { "ok" } else { "failing" },
        "sql": sql_state,
        "schema": schema,
        "kv": if kv.is_ok() { "ok" } else { "failing" },
        "root_secret": root_state,
        "clock": clock_state,
        "region": region,
        "tenants": any_tenant,
    });
    Response::json(if healthy { 200 } else { 503 }, &body)
}

/// Whether the deployment's region is one that signs with keys of its own, as far as any tenant tells. One that is not signs
/// with the common keys: worth a look, but nothing fails.
fn region_state(region: &str, tenant: Option<&Row>) -> &'static str {
    let regions: Vec<String> = tenant.and_then(|row| row.json(2).ok()).unwrap_or_default();
    if region.is_empty() || regions.is_empty() {
        "common"
    } else if regions.iter().any(|known| known == region) {
        "ok"
    } else {
        "unknown"
    }
}

/// A well-formed root secret may still not be the one that this deployment's tenants were made under; any of them tells.
fn check_opens(roots: &Roots, tenant: Option<&Row>) -> Result<(), Fault> {
    let Some(row) = tenant else { return Ok(()) };
    wrap::unwrap_master(roots, &row.text(0)?, &row.text(1)?).map(drop)
}

/// Nothing that we sign or expire would be right under a clock that is not set.
pub fn check_clock(now: UnixTime) -> Result<(), Fault> {
    if now < CLOCK_FLOOR { Err(Fault::Clock) } else { Ok(()) }
}
