//! From our response to a Workers `Response`.

use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use web_sys::{Headers, ResponseInit};

use crate::http::Response;

pub(super) fn build(from: Response) -> Result<web_sys::Response, JsValue> {
    let headers = Headers::new()?;
    for (name, value) in &from.headers {
        headers.append(name, value)?;
    }
    let init = ResponseInit::new();
    init.set_status(from.status);
    init.set_headers(&headers);
    // The constructor refuses a body, even an empty one, for the statuses that never have one.
    let body = (!from.body.is_empty()).then(|| Uint8Array::from(from.body.as_slice()));
    web_sys::Response::new_with_opt_js_u8_array_and_init(body.as_ref(), &init)
}

/// A response that is nothing but its status.
pub(super) fn bare(status: u16) -> Result<web_sys::Response, JsValue> {
    let init = ResponseInit::new();
    init.set_status(status);
    web_sys::Response::new_with_opt_str_and_init(None, &init)
}
