//! From our response to a Workers `Response`.

use js_sys::{JsString, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::http::Response;

const CONTENT_TYPE: &str = "content-type";

#[wasm_bindgen(module = "/src/cloudflare/glue.mjs")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn respond(status: u16, lines: &str, body: &JsValue) -> Result<web_sys::Response, JsValue>;
}

pub(super) fn build(from: &Response) -> Result<web_sys::Response, JsValue> {
    respond(from.status, &lines(from)?, &body(from))
}

/// Names and values of the headers in turn, a line each.
pub(super) fn lines(from: &Response) -> Result<String, JsValue> {
    let length = from.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut lines = String::with_capacity(length);
    for (name, value) in &from.headers {
        // It would be another header. Nothing that we answer has one.
        if value.contains('\n') {
            return Err(JsValue::from_str("a header's value has a line break"));
        }
        for part in [name, value.as_str()] {
            lines.push_str(part);
            lines.push('\n');
        }
    }
    Ok(lines)
}

fn body(from: &Response) -> JsValue {
    // The constructor refuses a body, even an empty one, for the statuses that never have one (RFC 9110 §15).
    if from.body.is_empty() || matches!(from.status, 204 | 205 | 304) {
        return JsValue::NULL;
    }
    match str::from_utf8(&from.body) {
        // A text without a type would be given one.
        Ok(text) if from.header(CONTENT_TYPE).is_some() => JsString::from(text).into(),
        _ => Uint8Array::from(from.body.as_slice()).into(),
    }
}

/// A response that is nothing but its status.
pub(super) fn bare(status: u16) -> Result<web_sys::Response, JsValue> {
    respond(status, "", &JsValue::NULL)
}
