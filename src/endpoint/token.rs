//! The token endpoint, RFC 6749 §3.2.

use std::rc::Rc;

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::grant;
use crate::http::{Request, Response};
use crate::oauth::grant_type::GrantType;
use crate::platform::Platform;
use crate::tenant::Tenant;

use super::client_auth::Presented;
use super::form_body;

/// RFC 6749 §3.2: 1 a form without repeated parameters, 2 the client authenticates (decided in SQL by each grant type),
/// 3 the grant type says the rest.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let form = form_body(request)?; // 1
    form.check_unique()?;
    let grant_type = form.required("grant_type")?;
    let client = Presented::of(request, &form)?; // 2
    match GrantType::from_name(grant_type) {
        // 3
        Some(GrantType::AuthorizationCode) => {
            grant::authorization_code::exchange(context, tenant, &client, &form).await
        }
        Some(GrantType::RefreshToken) => grant::refresh_token::exchange(context, tenant, &client, &form).await,
        Some(GrantType::ClientCredentials) => {
            grant::client_credentials::exchange(context, tenant, &client, &form).await
        }
        None => Err(Refusal::UnsupportedGrantType.into()),
    }
}
