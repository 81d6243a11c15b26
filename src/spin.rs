//! Vedette on Spin: [`Platform`] over the interfaces that `spin.toml` grants, and the entry point.
//!
//! In scope: `wasi:http`, the SQLite database and the key-value store `default`, variables, signatures in software. Nothing
//! outside this module names the crate `spin-sdk`.
//!
//! Rules of this host: a panic ends the instance under every request it has, up to 16, so nothing here unwraps what a request
//! or an interface carries. Waking one request's task from another's is such a panic, so what requests share
//! ([`crate::Isolate`], parsed keys, idle connections) is data, never something to wait for. And whatever computes (a new RSA
//! key takes a second) holds up the other requests of its instance.

mod entry;
mod kv;
mod migrations;
mod random;
mod request;
mod response;
mod sql;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use spin_sdk::{time, variables, wasip3};

use crate::deadline;
use crate::jose::jwk::PublicJwk;
use crate::jose::software::{self, SoftwareKeys};
use crate::platform::{
    Alg, Answer, Fault, Freshness, NewKey, Platform, PrivateKey, SecretName, SecretText, Statement, UnixTime, Variable,
};
use random::HostRandom;

/// Long enough for the other requests to go on a step or some.
const TURN: Duration = Duration::from_millis(10);
/// Turns that the other requests have between two keys that take long to make.
const TURNS_BETWEEN_KEYS: u32 = 5;
/// Turns after which a key is made whatever the other requests do.
const MOST_TURNS: u32 = 200;

thread_local! {
    static KEYS: SoftwareKeys = const { SoftwareKeys::new() };
    /// How many keys that take long were made here.
    static KEYS_MADE: Cell<u32> = const { Cell::new(0) };
}

/// The host as one request sees it.
#[derive(Clone)]
pub(crate) struct Spin(Rc<RefCell<Deferred>>);

/// Work for after the response.
enum Deferred {
    /// The response is still to come.
    Waiting(Vec<Pin<Box<dyn Future<Output = ()>>>>),
    /// It is gone: work starts at once.
    Started,
}

impl Spin {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Deferred::Waiting(Vec::new()))))
    }

    /// Whether anything waits for the response to be gone.
    fn has_deferred(&self) -> bool {
        matches!(&*self.0.borrow(), Deferred::Waiting(works) if !works.is_empty())
    }

    /// Starts what was deferred. To be called once the response is gone, from a task of its request.
    fn start_deferred(&self) {
        if let Deferred::Waiting(works) = self.0.replace(Deferred::Started) {
            works.into_iter().for_each(wasip3::spawn);
        }
    }
}

impl Platform for Spin {
    fn now(&self) -> UnixTime {
        UnixTime(wasip3::clocks::system_clock::now().seconds)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        rand_core::RngCore::fill_bytes(&mut HostRandom, bytes);
    }

    async fn secret(&self, name: SecretName) -> Result<SecretText, Fault> {
        variable(name.as_str()).await.map(SecretText).ok_or(Fault::SecretMissing(name))
    }

    async fn variable(&self, name: Variable) -> Option<String> {
        variable(name.as_str()).await
    }

    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        kv::get(key).await
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        kv::put(key, value).await
    }

    async fn sql(&self, batch: &[Statement], _: Freshness<'_>) -> Result<Answer, Fault> {
        sql::run(batch, self.now()).await
    }

    async fn generate_key(&self, alg: Alg) -> Result<NewKey, Fault> {
        if !alg.is_slow_to_make() {
            return software::generate(alg, &mut HostRandom);
        }
        quiet_moment().await;
        let key = software::generate(alg, &mut HostRandom);
        KEYS_MADE.set(KEYS_MADE.get().wrapping_add(1));
        key
    }

    async fn sign(&self, key: &PrivateKey, input: &[u8]) -> Result<Vec<u8>, Fault> {
        KEYS.with(|keys| keys.sign(key, input, &mut HostRandom))
    }

    async fn verify(&self, key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
        software::verify(key, input, signature)
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        match &mut *self.0.borrow_mut() {
            Deferred::Waiting(works) => works.push(Box::pin(work)),
            Deferred::Started => wasip3::spawn(work),
        }
    }

    fn log(&self, line: &str) {
        println!("{line}");
    }
}

/// A second of computing follows. Until it is over nobody else in this instance goes on, so it begins when the others have had
/// their turns since the last key, and when none of them holds the database: that would hold up every other instance too.
async fn quiet_moment() {
    let (mut made, mut turns) = (KEYS_MADE.get(), 0);
    for _ in 0..MOST_TURNS {
        time::sleep(TURN).await;
        if KEYS_MADE.get() == made {
            turns += 1;
        } else {
            (made, turns) = (KEYS_MADE.get(), 0);
        }
        if turns >= TURNS_BETWEEN_KEYS && !sql::is_writing() {
            return;
        }
    }
}

/// The variable that spin.toml gives under the lower-case `name`; `None` when it is not set or empty.
async fn variable(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    match variables::get(&name).await {
        Ok(value) => Some(value).filter(|value| !value.is_empty()),
        Err(variables::Error::Undefined(_)) => None,
        Err(error) => {
            println!("the variable {name} cannot be read: {error}");
            None
        }
    }
}

/// The result of `work`, or `None` when it is not there after `limit`.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    deadline::within(limit, time::sleep, work).await
}
