//! The D1 database bound as `DB`.
//!
//! A batch goes to JavaScript as one text and comes back as one (sql.mjs): with a call for every statement, parameter and
//! column, a batch that makes tokens crossed more than a hundred times.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use js_sys::{Function, Promise};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Visitor};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::message_of;
use crate::platform::{Answer, Fault, Freshness, Row, Statement, Value};

const DEADLINE: Duration = Duration::from_secs(5);
/// For whole tables; D1 itself gives up after 30 seconds.
const BULK_DEADLINE: Duration = Duration::from_secs(30);

/// Doubles are exact up to here, and D1 takes every number as a double.
const EXACT: i64 = 1 << 53;

#[wasm_bindgen(module = "/src/cloudflare/sql.mjs")]
extern "C" {
    /// Keeps a statement's text under the number of its turn.
    fn know(sql: &str);
    /// Answers JSON, or null when there is no answer in time.
    fn batch(database: &JsValue, anchor: Option<&str>, statements: &str, milliseconds: u32) -> Promise;
    /// The same for whole tables: answers a function that gives some rows of JSON each time, or null.
    fn bulk(database: &JsValue, statements: &str, milliseconds: u32) -> Promise;
    /// Forgets all texts: the next one has the number 0 again.
    #[wasm_bindgen(js_name = forgetStatements)]
    fn forget_statements();
}

thread_local! {
    /// Statements that JavaScript has the text of, by their numbers. Texts are constants: the same address is the same text.
    static KNOWN: RefCell<Vec<&'static str>> = {
        // Of the instance before this one, if that broke.
        forget_statements();
        RefCell::default()
    };
}

/// A statement by its number, and its parameters.
#[derive(Serialize)]
struct Numbered<'a>(usize, Vec<Bound<'a>>);

#[derive(Serialize)]
#[serde(untagged)]
enum Bound<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
}

/// Rows as lists of their columns.
type List = Vec<Vec<Column>>;

/// The rows of each statement, and the session's bookmark.
#[derive(serde::Deserialize)]
struct Batch(Vec<List>, Option<String>);

struct Column(Value);

pub(super) async fn run(
    database: &JsValue,
    statements: &[Statement],
    freshness: Freshness<'_>,
) -> Result<Answer, Fault> {
    let anchor = match freshness {
        Freshness::Primary => None,
        Freshness::PrimaryWithBookmark => Some("first-primary"),
        Freshness::AtLeast(bookmark) => Some(bookmark.unwrap_or("first-unconstrained")),
    };
    let numbered = statements.iter().map(numbered).collect::<Result<Vec<_>, _>>()?;
    let text = serde_json::to_string(&numbered).map_err(|error| Fault::Sql(error.to_string()))?;
    if statements.iter().any(|statement| statement.bulk) {
        let next = within_time(bulk(database, &text, milliseconds(BULK_DEADLINE)).await)?.unchecked_into();
        return Ok(Answer { rows: in_pieces(&next, statements.len())?, bookmark: None });
    }
    let answer = within_time(batch(database, anchor, &text, milliseconds(DEADLINE)).await)?;
    let Batch(lists, bookmark) = decoded(&answer)?;
    Ok(Answer { rows: lists.into_iter().map(rows).collect(), bookmark })
}

fn within_time(answer: Result<JsValue, JsValue>) -> Result<JsValue, Fault> {
    answer.map_err(fault).and_then(|answer| if answer.is_null() { Err(Fault::SqlTimeout) } else { Ok(answer) })
}

fn milliseconds(deadline: Duration) -> u32 {
    u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX)
}

/// All that `next` gives, by statement.
fn in_pieces(next: &Function, statements: usize) -> Result<Vec<Vec<Row>>, Fault> {
    let mut all = Vec::new();
    all.resize_with(statements, Vec::new);
    loop {
        let piece = next.call0(&JsValue::UNDEFINED).map_err(fault)?;
        if piece.is_undefined() {
            return Ok(all);
        }
        let (index, list): (usize, List) = decoded(&piece)?;
        if let Some(of_statement) = all.get_mut(index) {
            of_statement.extend(rows(list));
        }
    }
}

fn decoded<T: DeserializeOwned>(text: &JsValue) -> Result<T, Fault> {
    // Not serde's own sentence, which quotes what it found.
    let why = || Fault::Sql("D1 answered with something else than rows of numbers, texts and nulls".to_owned());
    text.as_string().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(why)
}

fn rows(list: List) -> Vec<Row> {
    let row = |columns: Vec<Column>| Row(columns.into_iter().map(|Column(value)| value).collect());
    list.into_iter().map(row).collect()
}

fn fault(error: JsValue) -> Fault {
    Fault::Sql(message_of(&error))
}

fn numbered(statement: &Statement) -> Result<Numbered<'_>, Fault> {
    Ok(Numbered(number_of(statement.sql), statement.parameters.iter().map(bound).collect::<Result<_, _>>()?))
}

fn number_of(sql: &'static str) -> usize {
    KNOWN.with_borrow_mut(|known| {
        known.iter().position(|other| std::ptr::eq(*other, sql)).unwrap_or_else(|| {
            know(sql);
            known.push(sql);
            known.len() - 1
        })
    })
}

fn bound(value: &Value) -> Result<Bound<'_>, Fault> {
    match value {
        Value::Null => Ok(Bound::Null),
        Value::Integer(number) if (-EXACT..=EXACT).contains(number) => Ok(Bound::Integer(*number)),
        Value::Integer(_) => Err(Fault::Sql("a bound integer is beyond 2^53".to_owned())),
        Value::Real(number) => Ok(Bound::Real(*number)),
        Value::Text(text) => Ok(Bound::Text(text)),
    }
}

impl<'de> Deserialize<'de> for Column {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ColumnVisitor)
    }
}

struct ColumnVisitor;

impl Visitor<'_> for ColumnVisitor {
    type Value = Column;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text or null")
    }

    fn visit_unit<E>(self) -> Result<Column, E> {
        Ok(Column(Value::Null))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Column, E> {
        Ok(Column(Value::Integer(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Column, E> {
        // D1's numbers are doubles, so what is beyond i64 is no exact one.
        Ok(Column(i64::try_from(number).map_or(Value::Real(number as f64), Value::Integer)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Column, E> {
        Ok(Column(Value::Real(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Column, E> {
        Ok(Column(Value::Text(text.to_owned())))
    }
}
