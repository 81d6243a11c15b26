//! From our response to a Workers `Response`.

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::ResponseInit;

use crate::http::Response;

/// What a `Response` has when nothing else is asked of it.
const DEFAULT_STATUS: u16 = 200;

const CONTENT_TYPE: &str = "content-type";

/// The order of the steps is the quick one, measured in workerd: a body of text costs half of one of bytes, and headers set
/// on a `Response` cost next to nothing, those handed to its constructor as much again as all the rest.
pub(super) fn build(from: &Response) -> Result<web_sys::Response, JsValue> {
    let response = with_body(from)?;
    let headers = response.headers();
    for (name, value) in &from.headers {
        if *name == CONTENT_TYPE {
            headers.set(name, value)?;
        } else {
            headers.append(name, value)?;
        }
    }
    Ok(response)
}

fn with_body(from: &Response) -> Result<web_sys::Response, JsValue> {
    // The constructor refuses a body, even an empty one, for the statuses that never have one (RFC 9110 §15).
    if from.body.is_empty() || matches!(from.status, 204 | 205 | 304) {
        return bare(from.status);
    }
    // Text gets a type of its own, which must be there to be replaced.
    let text = from.header(CONTENT_TYPE).and_then(|_| str::from_utf8(&from.body).ok());
    match text {
        Some(text) if from.status == DEFAULT_STATUS => web_sys::Response::new_with_opt_str(Some(text)),
        Some(text) => web_sys::Response::new_with_opt_str_and_init(Some(text), &init(from.status)),
        None => {
            let bytes = Uint8Array::from(from.body.as_slice());
            web_sys::Response::new_with_opt_js_u8_array_and_init(Some(&bytes), &init(from.status))
        }
    }
}

/// A response that is nothing but its status.
pub(super) fn bare(status: u16) -> Result<web_sys::Response, JsValue> {
    web_sys::Response::new_with_opt_str_and_init(None, &init(status))
}

fn init(status: u16) -> ResponseInit {
    let init = ResponseInit::new();
    init.set_status(status);
    init
}
