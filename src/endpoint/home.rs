//! The page at the issuer itself, for people who come by.

use std::rc::Rc;

use crate::context::Context;
use crate::error::Error;
use crate::http::{Request, Response};
use crate::platform::{Freshness, Platform};
use crate::store::sessions;
use crate::tenant::Tenant;
use crate::ui::{self, Home};

use super::{authorize, cookies, pages};

pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
) -> Result<Response, Error> {
    let session = match cookies::session(tenant, request) {
        None => None,
        Some(cookie) => {
            let batch = [sessions::with_user(tenant.id(), &cookie.session_id)];
            let answer = context.sql(&batch, Freshness::AtLeast(cookie.bookmark.as_deref())).await?;
            authorize::live_session(context, &answer, 0)?
        }
    };
    let html = ui::home(&Home {
        site: pages::site(tenant),
        issuer: tenant.issuer(),
        account: session.as_ref().map(|session| session.username.as_str()),
        request: None,
    });
    Ok(pages::plain(200, html))
}
