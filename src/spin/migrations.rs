//! Migrations: the component brings its database up to date itself, as Spin has nobody else for it.
//!
//! What was applied stands in the table `vedette_migrations`. However many instances start at once, one of them applies a
//! migration; the others wait for its transaction and then find nothing to do.

use std::cell::Cell;
use std::time::Duration;

use spin_sdk::sqlite::{Connection, Value};

use super::sql::{Failure, connect, execute, keep};
use super::within;
use crate::platform::{Fault, UnixTime};
use crate::store::MIGRATIONS;
use crate::store::migrations::statements_of;

/// A migration may have to rewrite a large table. Whoever waits for another's hears sooner, when SQLite gives up.
const DEADLINE: Duration = Duration::from_secs(60);

const LEDGER: &str =
    "CREATE TABLE IF NOT EXISTS vedette_migrations (name TEXT PRIMARY KEY, applied_at INTEGER NOT NULL)";
const APPLIED: &str = "SELECT name FROM vedette_migrations";
const ENTER: &str = "INSERT INTO vedette_migrations (name, applied_at) VALUES (?1, ?2)";

thread_local! {
    /// Whether this instance has seen the database up to date.
    static UP_TO_DATE: Cell<bool> = const { Cell::new(false) };
}

/// Applies the migrations that the database does not have yet.
pub(super) async fn ensure(now: UnixTime) -> Result<(), Fault> {
    if UP_TO_DATE.get() {
        return Ok(());
    }
    match within(DEADLINE, apply(now)).await {
        Some(Ok(())) => UP_TO_DATE.set(true),
        Some(Err(Failure::Other(text))) => return Err(Fault::Sql(text)),
        Some(Err(Failure::Locked)) | None => return Err(Fault::SqlTimeout),
    }
    Ok(())
}

async fn apply(now: UnixTime) -> Result<(), Failure> {
    let connection = connect().await?;
    // Fails on a new database. If it is for another reason, that shows below.
    if missing(&connection).await.is_ok_and(|missing| missing.is_empty()) {
        keep(connection);
        return Ok(());
    }
    // Every writer waits for this one. Dropped before its commit, the connection rolls back.
    execute(&connection, "BEGIN IMMEDIATE", []).await?;
    execute(&connection, LEDGER, []).await?;
    let missing = missing(&connection).await?;
    for (name, text) in &missing {
        for statement in statements_of(text) {
            execute(&connection, statement, []).await.map_err(|failure| named(name, failure))?;
        }
        execute(&connection, ENTER, [Value::Text((*name).to_owned()), Value::Integer(now.0)]).await?;
    }
    execute(&connection, "COMMIT", []).await?;
    keep(connection);
    for (name, _) in missing {
        println!("applied the migration {name}");
    }
    Ok(())
}

/// The migrations that are not in the ledger, in order.
async fn missing(connection: &Connection) -> Result<Vec<(&'static str, &'static str)>, Failure> {
    let rows = execute(connection, APPLIED, []).await?;
    let applied: Vec<&str> = rows.iter().filter_map(|row| row.get(0)).collect();
    Ok(MIGRATIONS.iter().copied().filter(|(name, _)| !applied.contains(name)).collect())
}

fn named(migration: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Locked => Failure::Locked,
        Failure::Other(text) => Failure::Other(format!("the migration {migration}: {text}")),
    }
}
