//! From a `wasi:http` request to ours: the few headers that the core reads, and a body that cannot be larger than it may.

use std::rc::Rc;

use spin_sdk::wasip3::http::types::{ErrorCode, Method as WasiMethod, Request as WasiRequest};
use spin_sdk::wasip3::wit_bindgen::StreamResult;
use spin_sdk::wasip3::wit_future;

use super::Spin;
use crate::Isolate;
use crate::configuration::Configuration;
use crate::http::{HEADERS_READ, Method, Request, peer_address};
use crate::service::body_limit;

/// Where Spin tells the peer's address and port. It comes after what a client sends under this name.
const CLIENT_ADDRESS: &str = "spin-client-addr";

/// Bytes of a body asked for at once.
const CHUNK: usize = 16 * 1024;

pub(super) async fn read(from: WasiRequest, platform: &Spin, isolate: &Rc<Isolate>) -> Result<Request, ErrorCode> {
    let method = method(from.get_method());
    let (path, query) = target(&from.get_path_with_query().unwrap_or_default());
    let mut headers = Vec::with_capacity(HEADERS_READ.len());
    let configuration = Configuration::of(platform, isolate).await;
    let forwarded = configuration.client_address_header.as_deref();
    let (mut peer, mut behind_proxy) = (None, None);
    // In one go: each look-up by name would be a call to the host.
    for (name, value) in from.get_headers().copy_all() {
        let name = name.to_ascii_lowercase();
        if HEADERS_READ.contains(&name.as_str()) {
            headers.push((name, String::from_utf8_lossy(&value).into_owned()));
        } else if name == CLIENT_ADDRESS {
            peer = std::str::from_utf8(&value).ok().and_then(peer_address);
        } else if forwarded == Some(name.as_str()) {
            behind_proxy = std::str::from_utf8(&value).ok().and_then(peer_address);
        }
    }
    let client_address = behind_proxy.or(peer);
    let mut request = Request { method, path, query, headers, body: Vec::new(), client_address };
    if request.header("host").is_none() {
        request.headers.extend(from.get_authority().map(|authority| ("host".to_owned(), authority)));
    }
    if matches!(method, Method::Post | Method::Put | Method::Patch | Method::Delete) {
        let declared = request.header("content-length").and_then(|length| length.parse::<usize>().ok());
        let limit = body_limit(platform, isolate, &request).await;
        request.body = body(from, declared, limit).await?;
    }
    Ok(request)
}

fn method(method: WasiMethod) -> Method {
    match method {
        WasiMethod::Get => Method::Get,
        WasiMethod::Head => Method::Head,
        WasiMethod::Post => Method::Post,
        WasiMethod::Put => Method::Put,
        WasiMethod::Patch => Method::Patch,
        WasiMethod::Delete => Method::Delete,
        WasiMethod::Options => Method::Options,
        WasiMethod::Connect | WasiMethod::Trace | WasiMethod::Other(_) => Method::Other,
    }
}

/// Path and query of a request target, untouched.
fn target(target: &str) -> (String, Option<String>) {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    (if path.starts_with('/') { path } else { "/" }.to_owned(), query)
}

/// The body, or a byte more than the limit of one that is too long.
async fn body(from: WasiRequest, declared: Option<usize>, limit: usize) -> Result<Vec<u8>, ErrorCode> {
    if declared.is_some_and(|length| length > limit) {
        // Never read: the core needs to know only that it is too long.
        return Ok(vec![0; limit + 1]);
    }
    // Nothing goes wrong here that the sender would hear of.
    let (_, handled) = wit_future::new(|| Ok(()));
    let (mut stream, outcome) = WasiRequest::consume_body(from, handled);
    let mut bytes = Vec::new();
    loop {
        let (status, chunk) = stream.read(Vec::with_capacity(CHUNK)).await;
        bytes.extend(chunk);
        if bytes.len() > limit {
            bytes.truncate(limit + 1);
            return Ok(bytes);
        }
        if !matches!(status, StreamResult::Complete(_)) {
            // Tells an end from a connection that broke off.
            outcome.await?;
            return Ok(bytes);
        }
    }
}
