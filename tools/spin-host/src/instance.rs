//! Compiled components and their instances, reused as Spin reuses them: up to 128 requests each, 16 at once.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use wasmtime::component::{self, GuestTaskId, Linker};
use wasmtime::{Cache, CacheConfig, Config, Engine, PoolingAllocationConfig, Result, Store, StoreContextMut};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, ViewFn, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::WasiHttpView;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::app::{Component, Grants};
use crate::host::{self, Guest, State};

/// How many requests an instance may have at once.
const CONCURRENT_REQUESTS: usize = 16;
/// How long an instance without requests is kept.
const IDLE: Duration = Duration::from_secs(1);
/// How long a request, or work after its response, may take. Spin has no such limit; tests are better off with one.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a guest may compute before it gives its thread back: one tick of Spin's engine.
const EPOCH: Duration = Duration::from_millis(10);

/// Hands requests to instances of one component.
pub type Handler = ProxyHandler<Template>;

/// What instances of one component are made from.
pub struct Template {
    component: String,
    compiled: ProxyPre<Guest>,
    engine: Engine,
    grants: Arc<Grants>,
    state: Arc<State>,
    requests_per_instance: usize,
}

pub struct Compiler {
    engine: Engine,
    linker: Linker<Guest>,
    state: Arc<State>,
    requests_per_instance: usize,
}

impl Compiler {
    pub fn new(state: State, requests_per_instance: usize) -> anyhow::Result<Self> {
        let mut config = Config::new();
        config.wasm_component_model_async(true);
        config.epoch_interruption(true);
        config.allocation_strategy(PoolingAllocationConfig::default());
        config.cache(compilation_cache());
        let engine = Engine::new(&config).map_err(in_one_line).context("the WebAssembly engine does not start")?;
        count_epochs(engine.clone());
        let mut linker = Linker::new(&engine);
        host::add_to_linker(&mut linker).map_err(in_one_line)?;
        Ok(Self { engine, linker, state: Arc::new(state), requests_per_instance })
    }

    pub fn compile(&self, id: &str, component: Component) -> anyhow::Result<Handler> {
        let describe = || format!("component {id:?}: {} is not usable", component.source.display());
        let compiled = self.link(&component.source).map_err(in_one_line).with_context(describe)?;
        Ok(ProxyHandler::new(Template {
            component: id.to_owned(),
            compiled: ProxyPre::P3(compiled),
            engine: self.engine.clone(),
            grants: Arc::new(component.grants),
            state: self.state.clone(),
            requests_per_instance: self.requests_per_instance,
        }))
    }

    fn link(&self, source: &Path) -> Result<ServicePre<Guest>> {
        let component = component::Component::from_file(&self.engine, source)?;
        ServicePre::new(self.linker.instantiate_pre(&component)?)
    }
}

/// Compiling takes seconds, so what was compiled is kept, beside the project's other build products of this user.
fn compilation_cache() -> Option<Cache> {
    let user_cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    let mut config = CacheConfig::new();
    config.with_directory(user_cache.join("vedette").join("spin-host"));
    // Without a cache everything works, only more slowly.
    Cache::new(config).ok()
}

/// A guest that computes gives its thread back at every new epoch, so a busy one neither holds up the others nor
/// escapes its time limit.
fn count_epochs(engine: Engine) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(EPOCH);
            engine.increment_epoch();
        }
    });
}

fn in_one_line(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{}", format!("{error:#}").replace('\n', " "))
}

impl HandlerState for Template {
    type StoreData = Guest;
    type WorkerExpiration = Expiration;
    type WorkerState = Limits;

    async fn instantiate(&self) -> Result<Instance<Guest, Expiration, Limits>> {
        let guest = Guest::new(&self.component, self.grants.clone(), self.state.clone());
        let mut store = Store::new(&self.engine, guest);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let proxy = self.compiled.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: ViewFn::P3(Guest::http),
            expiration: Expiration(Box::pin(tokio::time::sleep(IDLE))),
            state: Limits { component: self.component.clone(), requests: self.requests_per_instance },
        })
    }
}

/// When an instance ends without having used up its requests.
pub struct Expiration(Pin<Box<tokio::time::Sleep>>);

impl WorkerExpiration for Expiration {
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>, status: WorkerStatus, since: Instant) -> Poll<()> {
        let limit = match status {
            WorkerStatus::Idle => IDLE,
            WorkerStatus::Requests | WorkerStatus::PostReturn => PATIENCE,
        };
        let deadline = (since + limit).into();
        if self.0.deadline() != deadline {
            self.0.as_mut().reset(deadline);
        }
        self.0.as_mut().poll(context)
    }
}

pub struct Limits {
    component: String,
    requests: usize,
}

impl WorkerState for Limits {
    type StoreData = Guest;
    type RequestId = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.requests {
            ShouldAccept::Never
        } else if concurrent >= CONCURRENT_REQUESTS {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(tokio::time::sleep(PATIENCE))
    }

    fn drop(&self, store: Store<Guest>, outcome: Result<()>) {
        if let Err(error) = outcome {
            eprintln!("an instance of component {:?} failed: {error:?}", self.component);
        }
        drop(store);
    }
}
