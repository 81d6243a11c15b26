//! Answers that the entry point may give again without asking the core ([`crate::http::Reuse`]). kept.mjs keeps and gives them.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::response;
use crate::http::Response;

#[wasm_bindgen(module = "/src/cloudflare/kept.mjs")]
extern "C" {
    fn keep(
        request: &web_sys::Request,
        from: f64,
        until: f64,
        lines: &str,
        body: &str,
        before_time: &str,
        before_id: &str,
        after_id: &str,
    );
    /// Forgets every answer.
    pub(super) fn forget();
    fn door() -> JsValue;
}

/// What main.mjs calls before it calls `fetch`.
#[wasm_bindgen(js_name = keptAnswers)]
pub fn kept_answers() -> JsValue {
    door()
}

/// Keeps an answer, if the core says that it may stand for others.
pub(super) fn consider(request: &web_sys::Request, answer: &Response) -> Result<(), JsValue> {
    let (Some(reuse), 200, Ok(body)) = (&answer.reuse, answer.status, str::from_utf8(&answer.body)) else {
        return Ok(());
    };
    let [before_time, before_id, after_id] = &reuse.log_line;
    // JavaScript's numbers are whole up to 2⁵³; seconds are fewer.
    let (from, until) = (reuse.when.start.0 as f64, reuse.when.end.0 as f64);
    keep(request, from, until, &response::lines(answer)?, body, before_time, before_id, after_id);
    Ok(())
}
