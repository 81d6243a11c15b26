//! The SQL of a world: one SQLite in memory as the primary, and at will a replica that stands still.
//!
//! Stricter than SQLite where a host is: what D1 would refuse or answer wrongly fails here first.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::platform::{Answer, Fault, Freshness, Row, Statement, Value};

/// D1 refuses a statement with more bound parameters.
const PARAMETERS_AT_MOST: usize = 100;

/// More than `store/` has statements.
const STATEMENTS_CACHED: usize = 512;

/// One database in memory that runs batches as a host does.
pub struct Database {
    pub primary: Connection,
    replica: RefCell<Option<Replica>>,
    /// Batches committed that could have written; bookmarks are made of it.
    version: Cell<u64>,
    pub numbers_as_real: Cell<bool>,
}

struct Replica {
    connection: Connection,
    version: u64,
}

impl Database {
    /// With these migrations (name, text) applied; what they do not like is in words.
    pub fn new(migrations: &[(&str, &str)]) -> Result<Self, String> {
        let primary = Connection::open_in_memory().map_err(|error| error.to_string())?;
        set_up(&primary).map_err(|error| error.to_string())?;
        for (name, text) in migrations {
            primary.execute_batch(text).map_err(|error| format!("migration {name}: {error}"))?;
        }
        Ok(Self { primary, replica: RefCell::default(), version: Cell::new(0), numbers_as_real: Cell::new(false) })
    }

    /// Whether no statement of the batch can write.
    pub fn only_reads(&self, batch: &[Statement]) -> bool {
        batch
            .iter()
            .all(|statement| self.primary.prepare_cached(statement.sql).is_ok_and(|prepared| prepared.readonly()))
    }

    /// Runs the batch as one transaction.
    pub fn run(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        let only_reads = self.only_reads(batch);
        if let Freshness::AtLeast(bookmark) = freshness
            && only_reads
        {
            let seen = bookmark.map_or(Ok(0), version_of)?;
            if let Some(replica) = self.replica.borrow().as_ref().filter(|replica| replica.version >= seen) {
                let rows = self.transact(&replica.connection, TransactionBehavior::Deferred, batch)?;
                return Ok(Answer { rows, bookmark: Some(bookmark_of(replica.version)) });
            }
        }
        let rows = self.transact(&self.primary, TransactionBehavior::Immediate, batch)?;
        if !only_reads {
            self.version.set(self.version.get() + 1);
        }
        let bookmark = (freshness != Freshness::Primary).then(|| bookmark_of(self.version.get()));
        Ok(Answer { rows, bookmark })
    }

    /// Has reads that may be stale come from the database as it is now, until [`Database::drop_replica`].
    pub fn freeze_replica(&self) -> rusqlite::Result<()> {
        // A database that two connections of this process see by its name lives as long as one of them.
        static NAMES: AtomicU64 = AtomicU64::new(0);
        let name = format!("file:/vedette-replica-{}?vfs=memdb", NAMES.fetch_add(1, Ordering::Relaxed));
        let connection = Connection::open(&name)?;
        self.primary.execute("VACUUM INTO ?1", [&name])?;
        set_up(&connection)?;
        self.replica.replace(Some(Replica { connection, version: self.version.get() }));
        Ok(())
    }

    pub fn drop_replica(&self) {
        self.replica.replace(None);
    }

    fn transact(
        &self,
        connection: &Connection,
        behavior: TransactionBehavior,
        batch: &[Statement],
    ) -> Result<Vec<Vec<Row>>, Fault> {
        // Dropped without commit it rolls back.
        let transaction = Transaction::new_unchecked(connection, behavior).map_err(sql_fault)?;
        let rows = batch.iter().map(|statement| self.answer(&transaction, statement)).collect::<Result<_, _>>()?;
        transaction.commit().map_err(sql_fault)?;
        Ok(rows)
    }

    fn answer(&self, connection: &Connection, statement: &Statement) -> Result<Vec<Row>, Fault> {
        let mut prepared = connection.prepare_cached(statement.sql).map_err(sql_fault)?;
        let (wanted, given) = (prepared.parameter_count(), statement.parameters.len());
        if wanted != given || given > PARAMETERS_AT_MOST {
            return Err(Fault::Sql(format!("{given} parameters for {wanted} in: {}", statement.sql)));
        }
        let mut names = prepared.column_names();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Fault::Sql(format!("two columns are named {} in: {}", twice[0], statement.sql)));
        }
        let columns = prepared.column_count();
        for (place, value) in statement.parameters.iter().enumerate() {
            prepared.raw_bind_parameter(place + 1, self.bound(value)).map_err(sql_fault)?;
        }
        let mut found = Vec::new();
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(sql_fault)? {
            let values = (0..columns).map(|place| self.read(row.get_ref(place).map_err(sql_fault)?));
            found.push(Row(values.collect::<Result<_, _>>()?));
        }
        Ok(found)
    }

    fn bound<'a>(&self, value: &'a Value) -> ToSqlOutput<'a> {
        ToSqlOutput::Borrowed(match value {
            Value::Null => ValueRef::Null,
            Value::Integer(number) if self.numbers_as_real.get() => ValueRef::Real(*number as f64),
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        })
    }

    fn read(&self, value: ValueRef<'_>) -> Result<Value, Fault> {
        match value {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) if self.numbers_as_real.get() => Ok(Value::Real(number as f64)),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Real(number) => Ok(Value::Real(number)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Value::Text(text.to_owned())),
                Err(error) => Err(Fault::Sql(format!("a text column holds other bytes: {error}"))),
            },
            ValueRef::Blob(_) => Err(Fault::Sql("a column holds a blob; there are none".to_owned())),
        }
    }
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection.pragma_update(None, "foreign_keys", true)?;
    // A misspelt "column" is an error, not a string.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    Ok(())
}

fn sql_fault(error: rusqlite::Error) -> Fault {
    Fault::Sql(error.to_string())
}

fn bookmark_of(version: u64) -> String {
    format!("memory-{version}")
}

fn version_of(bookmark: &str) -> Result<u64, Fault> {
    let version = bookmark.strip_prefix("memory-").and_then(|version| version.parse().ok());
    version.ok_or_else(|| Fault::Sql(format!("not a bookmark: {bookmark}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[(&str, &str)] = &[(
        "0001_shelves.sql",
        "CREATE TABLE shelves (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
         CREATE TABLE books (id INTEGER PRIMARY KEY, shelf_id INTEGER NOT NULL REFERENCES shelves (id)) STRICT;",
    )];
    const INSERT: &str = "INSERT INTO shelves (id, name) VALUES (?1, ?2) RETURNING id";
    const COUNT: &str = "SELECT count(*) AS shelves FROM shelves";

    fn database() -> Database {
        Database::new(SCHEMA).unwrap()
    }

    fn shelf(id: i64, name: &str) -> Statement {
        Statement::new(INSERT, vec![id.into(), name.into()])
    }

    fn count(database: &Database, freshness: Freshness<'_>) -> Value {
        let answer = database.run(&[Statement::new(COUNT, vec![])], freshness).unwrap();
        answer.rows[0][0].0[0].clone()
    }

    fn fault(database: &Database, sql: &'static str, parameters: Vec<Value>) -> String {
        database.run(&[Statement::new(sql, parameters)], Freshness::Primary).unwrap_err().to_string()
    }

    #[test]
    fn a_batch_that_fails_leaves_nothing() {
        let database = database();
        let batch = [shelf(1, "poetry"), shelf(2, "poetry")];
        let refused = database.run(&batch, Freshness::Primary).unwrap_err();
        assert!(refused.to_string().contains("UNIQUE constraint failed: shelves.name"), "{refused}");
        assert_eq!(count(&database, Freshness::Primary), Value::Integer(0));
    }

    #[test]
    fn foreign_keys_are_on() {
        let refused = fault(&database(), "INSERT INTO books (id, shelf_id) VALUES (1, 7)", vec![]);
        assert!(refused.contains("FOREIGN KEY constraint failed"), "{refused}");
    }

    #[test]
    fn what_d1_would_refuse_or_answer_wrongly_is_an_error() {
        let database = database();
        let same_name = fault(&database, "SELECT a.id, b.id FROM shelves AS a, shelves AS b", vec![]);
        assert!(same_name.contains("two columns are named id"), "{same_name}");
        let missing = fault(&database, INSERT, vec![1.into()]);
        assert!(missing.contains("1 parameters for 2"), "{missing}");
        let misspelt = fault(&database, "SELECT id FROM shelves WHERE \"nmae\" = 'poetry'", vec![]);
        assert!(misspelt.contains("nmae"), "{misspelt}");
        let blob = fault(&database, "SELECT x'00' AS bytes", vec![]);
        assert!(blob.contains("blob"), "{blob}");
        let two = fault(&database, "SELECT 1 AS one; SELECT 2 AS two", vec![]);
        assert!(two.contains("Multiple statements"), "{two}");
    }

    #[test]
    fn numbers_pass_as_real_where_d1_does_so() {
        let database = database();
        database.numbers_as_real.set(true);
        let answer = database.run(&[shelf(7, "poetry")], Freshness::Primary).unwrap();
        assert_eq!(answer.rows, [[Row(vec![Value::Real(7.0)])]]);
        let bound: String = database.primary.query_row("SELECT typeof(id) FROM shelves", [], |row| row.get(0)).unwrap();
        assert_eq!(bound, "integer", "the column's affinity restores it");
        let kept = Statement::new("SELECT typeof(?1) AS kind", vec![7.into()]);
        let answer = database.run(&[kept], Freshness::Primary).unwrap();
        assert_eq!(answer.rows, [[Row(vec!["real".into()])]]);
    }

    #[test]
    fn a_frozen_replica_answers_only_reads_that_may_be_stale() {
        let database = database();
        database.freeze_replica().unwrap();
        let written = database.run(&[shelf(1, "poetry")], Freshness::PrimaryWithBookmark).unwrap();
        let bookmark = written.bookmark.as_deref();
        assert!(bookmark.is_some());
        assert_eq!(count(&database, Freshness::Primary), Value::Integer(1));
        assert_eq!(count(&database, Freshness::AtLeast(None)), Value::Integer(0));
        assert_eq!(count(&database, Freshness::AtLeast(bookmark)), Value::Integer(1));
        database.run(&[shelf(2, "prose")], Freshness::AtLeast(None)).unwrap();
        assert_eq!(count(&database, Freshness::Primary), Value::Integer(2));
        database.drop_replica();
        assert_eq!(count(&database, Freshness::AtLeast(None)), Value::Integer(2));
    }
}
