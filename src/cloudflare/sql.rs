//! The D1 database bound as `DB`.

use std::time::Duration;

use js_sys::{Array, Object};
use wasm_bindgen::{JsCast, JsValue};
use worker::worker_sys::{D1Database, D1DatabaseSession, D1PreparedStatement, D1Result};

use super::deadline::within;
use super::message_of;
use crate::platform::{Answer, Fault, Freshness, Row, Statement, Value};

const DEADLINE: Duration = Duration::from_secs(5);
/// For whole tables; D1 itself gives up after 30 seconds.
const BULK_DEADLINE: Duration = Duration::from_secs(30);

/// Doubles are exact up to here, and D1 takes every number as a double.
const EXACT: i64 = 1 << 53;

pub(super) async fn run(database: &D1Database, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
    let anchor = match freshness {
        Freshness::Primary => None,
        Freshness::PrimaryWithBookmark => Some("first-primary"),
        Freshness::AtLeast(bookmark) => Some(bookmark.unwrap_or("first-unconstrained")),
    };
    let session = anchor.map(|anchor| database.with_session(Some(anchor))).transpose().map_err(fault)?;
    let target = session.as_ref().map_or(Target::Database(database), Target::Session);

    let statements = Array::new();
    for statement in batch {
        statements.push(target.prepare(statement)?.as_ref());
    }
    let deadline = if batch.iter().any(|statement| statement.bulk) { BULK_DEADLINE } else { DEADLINE };
    let results = within(deadline, target.batch(statements).map_err(fault)?.into_future())
        .await
        .ok_or(Fault::SqlTimeout)?
        .map_err(fault)?;

    let rows = results.dyn_into::<Array>().map_err(unexpected)?.iter().map(rows_of).collect::<Result<_, _>>()?;
    let bookmark = match (freshness, session) {
        (Freshness::PrimaryWithBookmark | Freshness::AtLeast(_), Some(session)) => {
            session.get_bookmark().map_err(fault)?
        }
        _ => None,
    };
    Ok(Answer { rows, bookmark })
}

/// What statements are prepared on and sent to. (A session's class and the database's share no type.)
enum Target<'a> {
    Database(&'a D1Database),
    Session(&'a D1DatabaseSession),
}

impl Target<'_> {
    fn prepare(&self, statement: &Statement) -> Result<D1PreparedStatement, Fault> {
        let prepared = match self {
            Self::Database(database) => database.prepare(statement.sql),
            Self::Session(session) => session.session_prepare(statement.sql),
        }
        .map_err(fault)?;
        if statement.parameters.is_empty() {
            return Ok(prepared);
        }
        let parameters = Array::new();
        for value in &statement.parameters {
            parameters.push(&bound(value)?);
        }
        prepared.bind(parameters).map_err(fault)
    }

    fn batch(&self, statements: Array) -> Result<js_sys::Promise, JsValue> {
        match self {
            Self::Database(database) => database.batch(statements),
            Self::Session(session) => session.session_batch(statements),
        }
    }
}

fn bound(value: &Value) -> Result<JsValue, Fault> {
    match value {
        Value::Null => Ok(JsValue::NULL),
        Value::Integer(number) if (-EXACT..=EXACT).contains(number) => Ok(JsValue::from_f64(*number as f64)),
        Value::Integer(_) => Err(Fault::Sql("a bound integer is beyond 2^53".to_owned())),
        Value::Real(number) => Ok(JsValue::from_f64(*number)),
        Value::Text(text) => Ok(JsValue::from_str(text)),
    }
}

fn rows_of(result: JsValue) -> Result<Vec<Row>, Fault> {
    let rows = result.unchecked_into::<D1Result>().results().map_err(fault)?.unwrap_or_default();
    rows.iter().map(|row| row_of(&row)).collect()
}

/// The columns in the order of the statement: JavaScript keeps the order in which D1 made an object's members, unless a
/// name is a number or occurs twice, which [`Row`] rules out.
fn row_of(row: &JsValue) -> Result<Row, Fault> {
    Object::values(row.unchecked_ref()).iter().map(|value| read(&value)).collect::<Result<_, _>>().map(Row)
}

fn read(value: &JsValue) -> Result<Value, Fault> {
    if let Some(number) = value.as_f64() {
        // The cast saturates; a double beyond it is then not equal.
        let integer = number as i64;
        return Ok(if integer as f64 == number { Value::Integer(integer) } else { Value::Real(number) });
    }
    if let Some(text) = value.as_string() {
        return Ok(Value::Text(text));
    }
    if value.is_null() {
        return Ok(Value::Null);
    }
    Err(Fault::Sql("a column is neither a number, nor text, nor null".to_owned()))
}

fn fault(error: JsValue) -> Fault {
    Fault::Sql(message_of(&error))
}

fn unexpected(_: JsValue) -> Fault {
    Fault::Sql("D1 answered with something else than a list of results".to_owned())
}
