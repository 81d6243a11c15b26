//! `spin:key-value@3.0.0` over one SQLite file. The table is as Spin's own local store has it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::OptionalExtension;
use wasmtime::Result;
use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::bindings::spin::key_value::key_value::{Error, Host, HostStore, HostStoreWithStore};
use super::{Guest, SpinInterfaces, blocking, open_shared, use_write_ahead_log};

/// The file behind all stores. A cheap handle on its one connection: each operation is a single statement.
#[derive(Clone)]
pub struct File(Arc<Mutex<rusqlite::Connection>>);

impl File {
    pub fn open(path: PathBuf) -> rusqlite::Result<Self> {
        let connection = open_shared(&path)?;
        use_write_ahead_log(&connection)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS spin_key_value (
                store TEXT NOT NULL,
                key   TEXT NOT NULL,
                value BLOB NOT NULL,
                PRIMARY KEY (store, key)
            )",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }
}

/// An open store: its label, once it is known to be granted.
pub struct Store {
    label: String,
    file: File,
}

impl Host for Guest {}

impl HostStore for Guest {
    async fn drop(&mut self, store: Resource<Store>) -> Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Send + 'static> HostStoreWithStore<T> for SpinInterfaces {
    async fn open(accessor: &Accessor<T, Self>, label: String) -> Result<Result<Resource<Store>, Error>> {
        accessor.with(|mut access| {
            let guest = access.get();
            if !guest.grants.key_value_stores.contains(&label) {
                return Ok(Err(Error::AccessDenied));
            }
            let store = Store { label, file: guest.state.key_value.clone() };
            Ok(Ok(guest.table.push(store)?))
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> Result<Result<Option<Vec<u8>>, Error>> {
        operate(accessor, &store, move |connection, label| {
            connection
                .prepare_cached("SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .query_row([label, &key], |row| row.get(0))
                .optional()
        })
        .await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> Result<Result<(), Error>> {
        operate(accessor, &store, move |connection, label| {
            connection
                .prepare_cached(
                    "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
                )?
                .execute((label, &key, &value))
                .map(drop)
        })
        .await
    }

    async fn delete(accessor: &Accessor<T, Self>, store: Resource<Store>, key: String) -> Result<Result<(), Error>> {
        operate(accessor, &store, move |connection, label| {
            connection
                .prepare_cached("DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .execute([label, &key])
                .map(drop)
        })
        .await
    }

    async fn exists(accessor: &Accessor<T, Self>, store: Resource<Store>, key: String) -> Result<Result<bool, Error>> {
        operate(accessor, &store, move |connection, label| {
            connection
                .prepare_cached("SELECT 1 FROM spin_key_value WHERE store = ?1 AND key = ?2")?
                .exists([label, &key])
        })
        .await
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let keys: Result<Vec<String>, Error> = operate(accessor, &store, |connection, label| {
            connection
                .prepare_cached("SELECT key FROM spin_key_value WHERE store = ?1")?
                .query_map([label], |row| row.get(0))?
                .collect()
        })
        .await?;
        let (keys, outcome) = match keys {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let outcome = FutureReader::new(&mut access, async move { wasmtime::error::Ok(outcome) })?;
            Ok((keys, outcome))
        })
    }
}

/// Does `work` on the connection for the store's label. A failure of SQLite's is the guest's to handle.
async fn operate<T: 'static, R: Send + 'static>(
    accessor: &Accessor<T, SpinInterfaces>,
    store: &Resource<Store>,
    work: impl FnOnce(&rusqlite::Connection, &str) -> rusqlite::Result<R> + Send + 'static,
) -> Result<Result<R, Error>> {
    let (label, file) = accessor.with(|mut access| {
        let store = access.get().table.get(store)?;
        wasmtime::error::Ok((store.label.clone(), store.file.clone()))
    })?;
    let outcome = blocking(move || {
        let connection = file.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection, &label)
    })
    .await?;
    Ok(outcome.map_err(|error| Error::Other(error.to_string())))
}
