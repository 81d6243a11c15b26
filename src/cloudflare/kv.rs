//! The KV namespace bound as `KV`.

use std::time::Duration;

use wasm_bindgen::JsValue;
use worker::{Env, KvError};

use super::message_of;
use super::timer::within;
use crate::platform::Fault;

const DEADLINE: Duration = Duration::from_secs(3);

/// How long, in seconds, a place may answer from its own copy: the least that KV allows. What we store says how old it is.
const CACHE_TTL: u64 = 30;

pub(super) async fn get(env: &Env, key: &str) -> Result<Option<Vec<u8>>, Fault> {
    let store = env.kv("KV").map_err(missing)?;
    bounded(store.get(key).cache_ttl(CACHE_TTL).bytes()).await
}

pub(super) async fn put(env: &Env, key: &str, value: &[u8]) -> Result<(), Fault> {
    let store = env.kv("KV").map_err(missing)?;
    bounded(store.put_bytes(key, value).map_err(fault)?.execute()).await
}

async fn bounded<T>(work: impl Future<Output = Result<T, KvError>>) -> Result<T, Fault> {
    match within(DEADLINE, work).await {
        Some(result) => result.map_err(fault),
        None => Err(Fault::Kv("no answer in time".to_owned())),
    }
}

fn missing(_: worker::Error) -> Fault {
    Fault::Kv("there is no binding KV".to_owned())
}

fn fault(error: KvError) -> Fault {
    Fault::Kv(message_of(&JsValue::from(error)))
}
