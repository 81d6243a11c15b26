//! The export `wasi:http/handler`.
//!
//! Written out, not by the macro `spin_sdk::http_service`, so that requests and responses pass through no third form on
//! their way, and deferred work learns when the response is gone.

use std::rc::Rc;

use spin_sdk::wasip3::exports::http::handler::Guest;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};

use super::{Spin, request, response};
use crate::Isolate;

thread_local! {
    static ISOLATE: Rc<Isolate> = Rc::default();
}

struct Component;

spin_sdk::wasip3::http::service::export!(Component);

impl Guest for Component {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        answer(request).await.inspect_err(|error| {
            println!("the request could not be read, or its response not built: {error}");
        })
    }
}

async fn answer(request: Request) -> Result<Response, ErrorCode> {
    let platform = Spin::new();
    let isolate = ISOLATE.with(Rc::clone);
    let request = request::read(request, &platform, &isolate).await?;
    let method = request.method;
    let answer = crate::handle(&platform, &isolate, request).await;
    response::send(method, answer, platform)
}
