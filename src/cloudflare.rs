//! Vedette on Cloudflare Workers: [`Platform`] over the runtime's bindings, and the entry point.
//!
//! In scope: the `fetch` event, the D1 binding `DB`, the KV binding `KV`, secrets and variables, WebCrypto. Nothing outside
//! this module names the crate `worker`, or JavaScript.
//!
//! Rules of this host: a panic resets the isolate under every request in flight, so nothing here unwraps what a request or a
//! binding carries; and a future belongs to the request that made it, so what is shared between requests
//! ([`crate::Isolate`], imported keys) is data, never something to wait for.

mod crypto;
mod entry;
mod kept;
mod kv;
mod random;
mod request;
mod response;
mod sql;
mod timer;

use std::rc::Rc;

use js_sys::futures::future_to_promise;
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

use crate::jose::jwk::PublicJwk;
use crate::platform::{
    Alg, Answer, Fault, Freshness, NewKey, Platform, PrivateKey, SecretName, SecretText, Statement, UnixTime, Variable,
};

/// The bindings as one request sees them.
#[derive(Clone)]
pub(crate) struct Workers(Rc<Bindings>);

struct Bindings {
    env: Env,
    context: worker::Context,
}

impl Workers {
    fn new(env: Env, context: worker::Context) -> Self {
        Self(Rc::new(Bindings { env, context }))
    }

    /// What `env` holds under `name`; `None` when it is not configured.
    fn binding(&self, name: &str) -> Option<JsValue> {
        js_sys::Reflect::get(&self.0.env, &JsValue::from_str(name)).ok().filter(|value| !value.is_undefined())
    }

    /// A secret or variable that is set and not empty.
    fn text(&self, name: &str) -> Option<String> {
        self.binding(name)?.as_string().filter(|text| !text.is_empty())
    }
}

impl Platform for Workers {
    fn now(&self) -> UnixTime {
        // The cast saturates.
        UnixTime((js_sys::Date::now() / 1000.0).floor() as i64)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        random::fill(bytes);
    }

    async fn secret(&self, name: SecretName) -> Result<SecretText, Fault> {
        self.text(name.as_str()).map(SecretText).ok_or(Fault::SecretMissing(name))
    }

    async fn variable(&self, name: Variable) -> Option<String> {
        self.text(name.as_str())
    }

    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        kv::get(&self.0.env, key).await
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        kv::put(&self.0.env, key, value).await
    }

    async fn sql(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        let database = self.binding("DB").ok_or_else(|| Fault::Sql("there is no binding DB".to_owned()))?;
        sql::run(&database, batch, freshness).await
    }

    async fn generate_key(&self, alg: Alg) -> Result<NewKey, Fault> {
        crypto::generate_key(alg).await
    }

    async fn sign(&self, key: &PrivateKey, input: &[u8]) -> Result<Vec<u8>, Fault> {
        crypto::sign(key, input).await
    }

    async fn verify(&self, key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
        crypto::verify(key, input, signature).await
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        let promise = future_to_promise(async move {
            work.await;
            Ok(JsValue::UNDEFINED)
        });
        // Refused only when the request is over; then there is nothing left to hold open.
        if let Err(error) = self.0.context.as_ref().wait_until(&promise) {
            self.log(&format!("waitUntil refused deferred work: {}", message_of(&error)));
        }
    }

    fn log(&self, line: &str) {
        worker::console_log!("{line}");
    }
}

/// What a JavaScript error says, without its stack.
fn message_of(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => error.message().into(),
        None => error.as_string().unwrap_or_else(|| "an error without a message".to_owned()),
    }
}
