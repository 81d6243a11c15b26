//! The two metadata documents: OpenID Connect Discovery §4 and RFC 8414 §3. They say the same.

use std::rc::Rc;

use crate::context::Context;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::oidc::metadata::{Provider, document};
use crate::platform::{Platform, UnixTime};
use crate::store::tenants::Registration;
use crate::tenant::{Document, Tenant};

/// Seconds for which others may keep the document.
const MAX_AGE: i64 = 300;

/// No SQL while the copy of the tenant is fresh; the body is made once per copy.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    _request: &Request,
) -> Result<Response, Error> {
    let now = context.now();
    let configuration = context.configuration().await;
    let document = tenant.document("metadata", now, || Document {
        body: body(tenant, &configuration.region, now),
        valid_until: UnixTime(i64::MAX),
    });
    context.right_until.set(Some(tenant.right_until(&document)));
    Ok(Response::new(200)
        .with("content-type", "application/json")
        .with("cache-control", format!("public, max-age={MAX_AGE}"))
        .body(document.body.clone()))
}

fn body(tenant: &Tenant, region: &str, now: UnixTime) -> Vec<u8> {
    let provider = Provider {
        url: &|path| tenant.url(path),
        issuer: tenant.issuer(),
        registration_open: tenant.registration() == Registration::Open,
        signing_algorithms: &tenant.algorithms(region, now),
    };
    document(&provider).to_string().into_bytes()
}
