//! The `fetch` event.
//!
//! A panic hook is not set here: crate `worker` has one, which logs and marks the instance for replacement; another would
//! take its place.

use std::rc::Rc;

use wasm_bindgen::JsValue;
use worker::{Context, Env, console_error, event};

use super::{Workers, message_of, request, response};
use crate::Isolate;

thread_local! {
    static ISOLATE: Rc<Isolate> = Rc::default();
}

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    answer(&request, env, context).await.or_else(|error| {
        console_error!("the request could not be read, or its response not built: {}", message_of(&error));
        Ok(response::bare(500)?)
    })
}

async fn answer(request: &web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response, JsValue> {
    let request = request::read(request).await?;
    let isolate = ISOLATE.with(Rc::clone);
    let answer = crate::handle(&Workers::new(env, context), &isolate, request).await;
    response::build(answer)
}
