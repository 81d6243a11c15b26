//! Which bindings answer. Works before any tenant exists, on any host name, and says nothing secret.

use serde_json::json;

use crate::context::Context;
use crate::http::Response;
use crate::platform::{Fault, Freshness, Platform, UnixTime};
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
    let root = crate::tenants::root_secret(context).await;
    let root_state = match &root {
        Ok(_) => "ok",
        Err(Fault::SecretMalformed(_)) => "malformed",
        Err(_) => "missing",
    };
    let clock = check_clock(context.now());
    let clock_state = if clock.is_ok() { "ok" } else { "wrong" };
    let first_fault = [sql.err(), kv.as_ref().err().cloned(), root.err(), clock.err()].into_iter().flatten().next();
    if let Some(fault) = first_fault {
        context.note(&fault.into());
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
        "tenants": any_tenant,
    });
    Response::json(if healthy { 200 } else { 503 }, &body)
}

/// Nothing that we sign or expire would be right under a clock that is not set.
pub fn check_clock(now: UnixTime) -> Result<(), Fault> {
    if now < CLOCK_FLOOR { Err(Fault::Clock) } else { Ok(()) }
}
