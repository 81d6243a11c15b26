//! `spin:sqlite@3.1.0` over one SQLite file.
//!
//! - Each `open` is a connection of its own. Dropping it, also by a trap, rolls back what it had not committed.
//! - As in Spin, `execute-async` hands out rows while the statement still runs, through a short queue, and holds the
//!   connection until the rows are read or dropped. Whatever goes wrong is told by the future beside the rows, never
//!   by `execute-async` itself.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rusqlite::types::{Value as SqliteValue, ValueRef};
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{
    Accessor, Destination, FutureReader, Resource, StreamProducer, StreamReader, StreamResult, VecBuffer,
};
use wasmtime::{Result, StoreContextMut};

use super::bindings::spin::sqlite::sqlite::{
    Error, Host, HostConnection, HostConnectionWithStore, QueryResult, RowResult, Value,
};
use super::{Guest, SpinInterfaces, blocking, open_shared, use_write_ahead_log};

/// The file behind the database `default`.
pub struct File {
    path: PathBuf,
    /// The last connection to close would fold the log away, which a host whose guests open one per request must not
    /// pay for every time: so one stays open.
    _kept_open: Mutex<rusqlite::Connection>,
}

impl File {
    pub fn open(path: PathBuf) -> rusqlite::Result<Self> {
        let connection = open_shared(&path)?;
        use_write_ahead_log(&connection)?;
        Ok(Self { path, _kept_open: Mutex::new(connection) })
    }
}

/// A guest's connection, shared with the statement that runs on it.
#[derive(Clone)]
pub struct Connection(Arc<Mutex<rusqlite::Connection>>);

impl Connection {
    fn with<R>(&self, work: impl FnOnce(&rusqlite::Connection) -> R) -> R {
        work(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Host for Guest {}

impl HostConnection for Guest {
    async fn open(&mut self, database: String) -> Result<Result<Resource<Connection>, Error>> {
        match open(path_of(self, &database)).await? {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<Result<QueryResult, Error>> {
        let connection = self.table.get(&connection)?.clone();
        blocking(move || {
            let (mut columns, mut rows) = (Vec::new(), Vec::new());
            run(
                &connection,
                &statement,
                parameters,
                |names| columns = names,
                |row| {
                    rows.push(row);
                    Ok(())
                },
            )?;
            Ok(QueryResult { columns, rows })
        })
        .await
    }

    async fn last_insert_rowid(&mut self, connection: Resource<Connection>) -> Result<i64> {
        let connection = self.table.get(&connection)?.clone();
        blocking(move || connection.with(rusqlite::Connection::last_insert_rowid)).await
    }

    async fn changes(&mut self, connection: Resource<Connection>) -> Result<u64> {
        let connection = self.table.get(&connection)?.clone();
        blocking(move || connection.with(rusqlite::Connection::changes)).await
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostConnectionWithStore<T> for SpinInterfaces {
    async fn open_async(accessor: &Accessor<T, Self>, database: String) -> Result<Result<Resource<Connection>, Error>> {
        let path = accessor.with(|mut access| path_of(access.get(), &database));
        match open(path).await? {
            Ok(connection) => Ok(Ok(accessor.with(|mut access| access.get().table.push(connection))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<Value>,
    ) -> Result<Result<(Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>), Error>> {
        let connection = connection_of(accessor, &connection)?;
        let (columns_sender, columns) = oneshot::channel();
        let (row_sender, rows) = mpsc::channel(QUEUED_ROWS);
        let (outcome_sender, outcome) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let outcome = run(
                &connection,
                &statement,
                parameters,
                // Nobody waits for these any more when the instance is gone: then there is nothing to tell.
                |names| drop(columns_sender.send(names)),
                |row| row_sender.blocking_send(row).map_err(|_| Error::Io("the rows were dropped unread".to_owned())),
            );
            drop(row_sender);
            drop(outcome_sender.send(outcome));
        });
        // A statement that does not get as far as having columns has its error in the future.
        let columns = columns.await.unwrap_or_default();
        accessor.with(|mut access| {
            let rows = StreamReader::new(&mut access, Rows(rows))?;
            let outcome = FutureReader::new(&mut access, outcome)?;
            Ok(Ok((columns, rows, outcome)))
        })
    }

    async fn last_insert_rowid_async(accessor: &Accessor<T, Self>, connection: Resource<Connection>) -> Result<i64> {
        let connection = connection_of(accessor, &connection)?;
        blocking(move || connection.with(rusqlite::Connection::last_insert_rowid)).await
    }

    async fn changes_async(accessor: &Accessor<T, Self>, connection: Resource<Connection>) -> Result<u64> {
        let connection = connection_of(accessor, &connection)?;
        blocking(move || connection.with(rusqlite::Connection::changes)).await
    }
}

/// How many rows a statement may be ahead of its reader, as in Spin.
const QUEUED_ROWS: usize = 4;

fn path_of(guest: &Guest, database: &str) -> Result<PathBuf, Error> {
    if guest.grants.sqlite_databases.contains(database) {
        Ok(guest.state.sqlite.path.clone())
    } else {
        Err(Error::AccessDenied)
    }
}

async fn open(path: Result<PathBuf, Error>) -> Result<Result<Connection, Error>> {
    let path = match path {
        Ok(path) => path,
        Err(error) => return Ok(Err(error)),
    };
    let opened = blocking(move || open_shared(&path)).await?;
    Ok(opened.map(|connection| Connection(Arc::new(Mutex::new(connection)))).map_err(|error| io_error(&error)))
}

fn connection_of<T: 'static>(
    accessor: &Accessor<T, SpinInterfaces>,
    connection: &Resource<Connection>,
) -> Result<Connection> {
    accessor.with(|mut access| Ok(access.get().table.get(connection)?.clone()))
}

/// Runs one statement to its end, or until `on_row` fails.
fn run(
    connection: &Connection,
    statement: &str,
    parameters: Vec<Value>,
    on_columns: impl FnOnce(Vec<String>),
    mut on_row: impl FnMut(RowResult) -> Result<(), Error>,
) -> Result<(), Error> {
    connection.with(|connection| {
        let mut statement = connection.prepare_cached(statement).map_err(|error| io_error(&error))?;
        let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let width = columns.len();
        on_columns(columns);
        let parameters = rusqlite::params_from_iter(parameters.into_iter().map(to_sqlite));
        let mut rows = statement.query(parameters).map_err(|error| io_error(&error))?;
        while let Some(row) = rows.next().map_err(|error| io_error(&error))? {
            let values = (0..width)
                .map(|column| from_sqlite(row.get_ref(column).map_err(|error| io_error(&error))?))
                .collect::<Result<_, _>>()?;
            on_row(RowResult { values })?;
        }
        Ok(())
    })
}

fn to_sqlite(value: Value) -> SqliteValue {
    match value {
        Value::Integer(integer) => SqliteValue::Integer(integer),
        Value::Real(real) => SqliteValue::Real(real),
        Value::Text(text) => SqliteValue::Text(text),
        Value::Blob(blob) => SqliteValue::Blob(blob),
        Value::Null => SqliteValue::Null,
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Result<Value, Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => return Err(Error::Io("a text column is not UTF-8".to_owned())),
        },
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    })
}

fn io_error(error: &rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

/// The reading end of a statement's rows.
struct Rows(mpsc::Receiver<RowResult>);

impl<D> StreamProducer<D> for Rows {
    type Item = RowResult;
    type Buffer = VecBuffer<RowResult>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        if destination.remaining(store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut rows = Vec::new();
        match self.0.poll_recv_many(context, &mut rows, QUEUED_ROWS) {
            Poll::Ready(0) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Ready(_) => {
                destination.set_buffer(rows.into());
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
