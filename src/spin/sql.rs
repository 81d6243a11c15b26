//! The SQLite database `default`.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use spin_sdk::sqlite::{Connection, Error, RowResult, Value as SpinValue};
use spin_sdk::time::sleep;

use super::{migrations, within};
use crate::platform::{Answer, Fault, Row, Statement, UnixTime, Value};

const DEADLINE: Duration = Duration::from_secs(5);
/// For whole tables.
const BULK_DEADLINE: Duration = Duration::from_secs(30);

/// Between attempts at a database that others hold locked: at first, and doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

thread_local! {
    /// Connections without a transaction. To open one and read the schema on it takes ten times as long as a statement.
    static IDLE: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
    /// Transactions under way that write.
    static WRITING: Cell<u32> = const { Cell::new(0) };
}

/// Whether this instance holds the database, or waits for it: until it is done, nobody else writes.
pub(super) fn is_writing() -> bool {
    WRITING.get() > 0
}

struct Writing;

impl Writing {
    fn begin() -> Self {
        WRITING.set(WRITING.get().saturating_add(1));
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        WRITING.set(WRITING.get().saturating_sub(1));
    }
}

/// Runs the batch as one transaction, on a database that has its migrations.
pub(super) async fn run(batch: &[Statement], now: UnixTime) -> Result<Answer, Fault> {
    migrations::ensure(now).await?;
    let deadline = if batch.iter().any(|statement| statement.bulk) { BULK_DEADLINE } else { DEADLINE };
    within(deadline, transact_once_unlocked(batch)).await.unwrap_or(Err(Fault::SqlTimeout))
}

async fn transact_once_unlocked(batch: &[Statement]) -> Result<Answer, Fault> {
    let mut pause = FIRST_PAUSE;
    loop {
        match transact(batch).await {
            // Nothing of it was applied.
            Err(Failure::Locked) => sleep(pause).await,
            Err(Failure::Other(text)) => return Err(Fault::Sql(text)),
            Ok(rows) => return Ok(Answer { rows, bookmark: None }),
        }
        pause *= 2;
    }
}

/// Runs the batch once.
async fn transact(batch: &[Statement]) -> Result<Vec<Vec<Row>>, Failure> {
    let connection = connect().await?;
    let _writing = (!batch.iter().all(only_reads)).then(Writing::begin);
    let begin = match batch {
        // A statement is a transaction of its own.
        [] | [_] => None,
        batch if batch.iter().all(only_reads) => Some("BEGIN"),
        _ => Some("BEGIN IMMEDIATE"),
    };
    if let Some(begin) = begin {
        execute(&connection, begin, []).await?;
    }
    let mut answers = Vec::with_capacity(batch.len());
    for statement in batch {
        let rows = execute(&connection, statement.sql, statement.parameters.iter().map(bound)).await?;
        answers.push(rows.into_iter().map(row).collect::<Result<_, _>>()?);
    }
    if begin.is_some() {
        execute(&connection, "COMMIT", []).await?;
    }
    keep(connection);
    Ok(answers)
}

/// A connection without a transaction. One that is dropped, as whenever something fails, rolls back what it did.
pub(super) async fn connect() -> Result<Connection, Failure> {
    match IDLE.with_borrow_mut(Vec::pop) {
        Some(connection) => Ok(connection),
        None => Ok(Connection::open_default().await?),
    }
}

/// Keeps a connection without a transaction for the next batch.
pub(super) fn keep(connection: Connection) {
    IDLE.with_borrow_mut(|idle| idle.push(connection));
}

/// Runs one statement to its end. Only then does Spin tell whether it failed.
pub(super) async fn execute(
    connection: &Connection,
    sql: &str,
    parameters: impl IntoIterator<Item = SpinValue>,
) -> Result<Vec<RowResult>, Failure> {
    Ok(connection.execute(sql, parameters).await?.collect().await?)
}

/// Why a transaction was not applied.
pub(super) enum Failure {
    /// SQLite gave up waiting for another connection.
    Locked,
    Other(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(text) if text.contains("is locked") || text.contains("SQLITE_BUSY") => Self::Locked,
            Error::Io(text) => Self::Other(text),
            error => Self::Other(error.to_string()),
        }
    }
}

fn only_reads(statement: &Statement) -> bool {
    let keyword = statement.sql.split_ascii_whitespace().next().unwrap_or_default();
    keyword.eq_ignore_ascii_case("SELECT")
}

fn bound(value: &Value) -> SpinValue {
    match value {
        Value::Null => SpinValue::Null,
        Value::Integer(number) => SpinValue::Integer(*number),
        Value::Real(number) => SpinValue::Real(*number),
        Value::Text(text) => SpinValue::Text(text.clone()),
    }
}

fn row(from: RowResult) -> Result<Row, Failure> {
    from.values.into_iter().map(read).collect::<Result<_, _>>().map(Row)
}

fn read(value: SpinValue) -> Result<Value, Failure> {
    match value {
        SpinValue::Null => Ok(Value::Null),
        SpinValue::Integer(number) => Ok(Value::Integer(number)),
        SpinValue::Real(number) => Ok(Value::Real(number)),
        SpinValue::Text(text) => Ok(Value::Text(text)),
        SpinValue::Blob(_) => Err(Failure::Other("a column holds a blob; there are none".to_owned())),
    }
}
