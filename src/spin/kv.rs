//! The key-value store `default`.

use std::time::Duration;

use spin_sdk::key_value::{Error, Store};

use super::within;
use crate::platform::Fault;

const DEADLINE: Duration = Duration::from_secs(3);

pub(super) async fn get(key: &str) -> Result<Option<Vec<u8>>, Fault> {
    bounded(async { Store::open_default().await?.get(key).await }).await
}

pub(super) async fn put(key: &str, value: &[u8]) -> Result<(), Fault> {
    bounded(async { Store::open_default().await?.set(key, value).await }).await
}

async fn bounded<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
    match within(DEADLINE, work).await {
        Some(result) => result.map_err(|error| Fault::Kv(error.to_string())),
        None => Err(Fault::Kv("no answer in time".to_owned())),
    }
}
