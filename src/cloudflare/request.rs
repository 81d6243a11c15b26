//! From a Workers `Request` to ours: the few headers that the core reads, and a body that cannot be larger than it may.

use std::rc::Rc;

use js_sys::{Array, JsString, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::Workers;
use crate::Isolate;
use crate::http::{HEADERS_READ, Method, Request};
use crate::service::body_limit;

/// Where Cloudflare vouches for the peer's address. It replaces what a client sends under this name.
const CLIENT_ADDRESS: &str = "cf-connecting-ip";

#[wasm_bindgen(module = "/src/cloudflare/glue.mjs")]
extern "C" {
    fn describe(request: &web_sys::Request, names: &Array) -> String;

    #[wasm_bindgen(js_name = body)]
    fn limited_body(request: &web_sys::Request, limit: usize, is_declared: bool) -> Promise;
}

/// Taken from the URL. Of a request from outside the URL has it as it was sent; of another Worker's, by a service binding, the
/// URL is what was asked for, and the header may be any or none. So the URL alone says whose answer it is (kept.mjs).
const HOST: &str = "host";

fn headers_read() -> impl Iterator<Item = &'static str> {
    HEADERS_READ.into_iter().filter(|name| *name != HOST)
}

thread_local! {
    /// [`headers_read`] and, last, [`CLIENT_ADDRESS`].
    static NAMES: Array = headers_read().chain([CLIENT_ADDRESS]).map(JsString::from).collect();
}

pub(super) async fn read(
    from: &web_sys::Request,
    platform: &Workers,
    isolate: &Rc<Isolate>,
) -> Result<Request, JsValue> {
    let described = NAMES.with(|names| describe(from, names));
    let mut lines = described.split('\n');
    let method = Method::from_name(lines.next().unwrap_or_default());
    let (host, path, query) = target(lines.next().unwrap_or_default());
    let mut values = lines.map(|line| line.strip_prefix(' ').map(str::to_owned));
    let found = |(name, value): (&str, Option<String>)| Some((name.to_owned(), value?));
    let mut headers: Vec<_> = headers_read().zip(values.by_ref()).filter_map(found).collect();
    headers.push((HOST.to_owned(), host));
    let client_address = values.next().flatten();
    let mut request = Request { method, path, query, headers, body: Vec::new(), client_address };
    if matches!(method, Method::Post | Method::Put | Method::Patch | Method::Delete) {
        let declared = request.header("content-length").and_then(|length| length.parse::<u64>().ok());
        let limit = body_limit(platform, isolate, &request).await;
        request.body = body(from, declared, limit).await?;
    }
    Ok(request)
}

/// Host (with its port), path and query of an absolute URL, untouched: the runtime keeps what the client sent.
fn target(url: &str) -> (String, String, Option<String>) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (host, target) = match after_scheme.find(['/', '?']).and_then(|start| after_scheme.split_at_checked(start)) {
        Some(parts) => parts,
        None => (after_scheme, "/"),
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    (host.to_owned(), if path.is_empty() { "/" } else { path }.to_owned(), query)
}

/// The body, or a byte more than the limit of one that is too long.
async fn body(from: &web_sys::Request, declared: Option<u64>, limit: usize) -> Result<Vec<u8>, JsValue> {
    if from.body().is_none() {
        return Ok(Vec::new());
    }
    if declared.is_some_and(|length| length > limit as u64) {
        // Never read: the core needs to know only that it is too long.
        return Ok(vec![0; limit + 1]);
    }
    Ok(limited_body(from, limit, declared.is_some()).await?.unchecked_into::<Uint8Array>().to_vec())
}
