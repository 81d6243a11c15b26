//! From our response to a `wasi:http` response.

use spin_sdk::wasip3::http::types::{ErrorCode, Fields, Response as WasiResponse};
use spin_sdk::wasip3::{spawn, wit_future, wit_stream};

use super::Spin;
use crate::http::{Method, Response};

/// Sends `from`, which answers a request of `method`; what was deferred starts when it is gone.
pub(super) fn send(method: Method, from: Response, platform: Spin) -> Result<WasiResponse, ErrorCode> {
    let headers = Fields::from_list(&fields(method, &from)).map_err(internal)?;
    let (mut body, contents) = wit_stream::new();
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    let (response, sent) = WasiResponse::new(headers, (!from.body.is_empty()).then_some(contents), no_trailers);
    response.set_status_code(from.status).map_err(|()| internal("not a status code"))?;
    spawn(async move {
        // Who hung up hears nothing; what was deferred is due all the same.
        body.write_all(from.body).await;
        drop(body);
        let _ = trailers.write(Ok(None)).await;
        if platform.has_deferred() {
            let _ = sent.await;
            platform.start_deferred();
        }
    });
    Ok(response)
}

/// With a content-length wherever one may be (RFC 9110 §8.6: not for HEAD, whose body the core has dropped): without it the
/// host sends the body in chunks, the last of which can wait 40 ms for Nagle.
fn fields(method: Method, from: &Response) -> Vec<(String, Vec<u8>)> {
    let field = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut fields: Vec<_> = from.headers.iter().map(|(name, value)| field(name, value)).collect();
    if method != Method::Head && !matches!(from.status, 204 | 304) {
        fields.push(field("content-length", &from.body.len().to_string()));
    }
    fields
}

fn internal(error: impl ToString) -> ErrorCode {
    ErrorCode::InternalError(Some(error.to_string()))
}
