//! What a component may import: WASI, outbound HTTP, and Spin's variables, key-value stores and databases.
//!
//! A guest's mistake or a failed operation is answered as the interface's own error. A guest can trap only itself.

pub mod key_value;
pub mod outbound;
pub mod sqlite;
pub mod variables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Result, format_err};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;
use wasmtime_wasi_http::p3::{WasiHttpCtxView, WasiHttpView};

use crate::app::Grants;
use crate::clock::Clock;
use outbound::Outbound;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "host",
        imports: { default: async | trappable },
        with: {
            "spin:key-value/key-value.store": super::key_value::Store,
            "spin:sqlite/sqlite.connection": super::sqlite::Connection,
        },
    });
}

/// What the instances of all components share: the files that keep state, and the clock if it is not the machine's.
pub struct State {
    key_value: key_value::File,
    sqlite: sqlite::File,
    clock: Option<Clock>,
}

impl State {
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let describe = || format!("the state directory {} cannot be used", folder.display());
        std::fs::create_dir_all(&folder).with_context(describe)?;
        Ok(Self {
            key_value: key_value::File::open(folder.join("sqlite_key_value.db")).with_context(describe)?,
            sqlite: sqlite::File::open(folder.join("sqlite_db.db")).with_context(describe)?,
            clock: None,
        })
    }

    pub fn with_clock(self, clock: Option<Clock>) -> Self {
        Self { clock, ..self }
    }
}

/// What one instance of a component has: the data of its wasmtime store.
pub struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    grants: Arc<Grants>,
    state: Arc<State>,
}

impl Guest {
    pub fn new(component: &str, grants: Arc<Grants>, state: Arc<State>) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdout().inherit_stderr();
        for (name, value) in &grants.environment {
            wasi.env(name, value);
        }
        if let Some(clock) = state.clock {
            wasi.wall_clock(clock);
        }
        Self {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound: Outbound::new(component, grants.clone()),
            grants,
            state,
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outbound, table: &mut self.table, ctx: &mut self.http }
    }
}

/// Tells the generated bindings that their data is the whole guest.
struct SpinInterfaces;

impl HasData for SpinInterfaces {
    type Data<'a> = &'a mut Guest;
}

pub fn add_to_linker(linker: &mut Linker<Guest>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    bindings::spin::key_value::key_value::add_to_linker::<_, SpinInterfaces>(linker, |guest| guest)?;
    bindings::spin::sqlite::sqlite::add_to_linker::<_, SpinInterfaces>(linker, |guest| guest)?;
    bindings::spin::variables::variables::add_to_linker::<_, SpinInterfaces>(linker, |guest| guest)?;
    Ok(())
}

/// Runs what blocks away from the threads that drive guests. Should it panic, only the calling guest traps.
async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format_err!("the host failed: {error}"))
}

/// Opens a database file that other connections and other host processes use at the same time.
fn open_shared(path: &std::path::Path) -> rusqlite::Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // In WAL mode this loses nothing when a process dies; state for development need not outlive a power cut.
    connection.pragma_update(None, "synchronous", "normal")?;
    Ok(connection)
}

/// Switches a file to WAL, which lets readers and a writer go on at once. SQLite does not apply the busy time-out to
/// every step of the switch, so two hosts that start together try again.
fn use_write_ahead_log(connection: &rusqlite::Connection) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match connection.pragma_update(None, "journal_mode", "wal") {
            Err(error) if is_busy(&error) && start.elapsed() < BUSY_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// As long as Spin's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
