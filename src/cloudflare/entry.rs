//! The `fetch` and `scheduled` events.
//!
//! main.mjs calls the exports of these names for them. `fetch` is written out here, not by the macro `worker::event`, so that a
//! request that waits for nothing is answered at once: a promise, its task and its turn of the queue were measured to take a
//! fifth of discovery's requests a second.
//!
//! A panic hook is not set here: crate `worker` has one, which logs and marks the instance for replacement; another would
//! take its place.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Poller, Poll, Waker};

use js_sys::futures::future_to_promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::{Context, Env, console_error, worker_sys};

use super::{Workers, kept, message_of, request, response};
use crate::Isolate;

thread_local! {
    static ISOLATE: Rc<Isolate> = {
        // Of the instance before this one, if that broke.
        kept::forget();
        Rc::new(Isolate::telling(kept::forget))
    };
}

/// The `fetch` event: a `Response`, or the promise of one.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: Env, context: worker_sys::Context) -> Result<JsValue, JsValue> {
    let mut answer: Pin<Box<dyn Future<Output = Result<JsValue, JsValue>>>> =
        Box::pin(answer(request, env, Context::new(context)));
    match answer.as_mut().poll(&mut Poller::from_waker(Waker::noop())) {
        Poll::Ready(response) => response,
        // Polled once more from its own task, so that whatever it waits for learns whom to wake.
        Poll::Pending => Ok(future_to_promise(answer).into()),
    }
}

/// The `scheduled` event: maintenance of every tenant, as often as `wrangler.toml` says.
#[wasm_bindgen]
pub fn scheduled(_event: JsValue, env: Env, context: worker_sys::Context) -> JsValue {
    let platform = Workers::new(env, Context::new(context));
    let isolate = ISOLATE.with(Rc::clone);
    let run = async move {
        // A run that failed shows as failed where the operator looks at runs; the log has said why.
        let is_fine = crate::maintenance::scheduled(&platform, &isolate).await;
        if is_fine { Ok(JsValue::UNDEFINED) } else { Err(JsValue::from_str("maintenance failed; see the log")) }
    };
    future_to_promise(run).into()
}

async fn answer(request: web_sys::Request, env: Env, context: Context) -> Result<JsValue, JsValue> {
    let response = match respond(&request, env, context).await {
        Ok(response) => response,
        Err(error) => {
            let fault = format!("the request could not be read, or its response not built: {}", message_of(&error));
            console_error!("{}", serde_json::json!({ "level": "error", "fault": fault }));
            response::bare(500)?
        }
    };
    Ok(response.into())
}

async fn respond(from: &web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response, JsValue> {
    let (platform, isolate) = (Workers::new(env, context), ISOLATE.with(Rc::clone));
    let request = request::read(from, &platform, &isolate).await?;
    let answer = crate::handle(&platform, &isolate, request).await;
    kept::consider(from, &answer)?;
    response::build(&answer)
}
