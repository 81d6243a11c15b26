//! One request from the entry point to its response: route, find the tenant, run the endpoint, render what went wrong, log.

use std::rc::Rc;

use serde::Serialize;
use serde_json::json;

use crate::configuration::Surface;
use crate::context::Context;
use crate::endpoint::{self, health, pages};
use crate::error::{Error, Refusal, Told};
use crate::http::{BODY_LIMIT, Method, Request, Response, Reuse};
use crate::isolate::Isolate;
use crate::plant::{Plant, planted};
use crate::platform::{Platform, UnixTime};
use crate::router::{Endpoint, Route, route};
use crate::tenant::Tenant;
use crate::{tenants, ui};

/// Serves one request. Never fails: what goes wrong becomes a response.
pub async fn handle<P: Platform>(platform: &P, isolate: &Rc<Isolate>, mut request: Request) -> Response {
    let context = Context::new(platform, isolate, request.client_address.clone());
    let route = route(&request.path);
    let endpoint = route.as_ref().map(|route| &route.endpoint);
    let mut served = Served::default();
    let result = serve(&context, &mut request, route.as_ref(), &mut served).await;
    let mut response = match result {
        Ok(response) => response,
        Err(error) => {
            context.note(&error);
            render(&context, &request, endpoint, served.tenant.as_deref(), &error)
        }
    };
    finish(&context, &request, endpoint, &mut response);
    let now = context.now();
    let line = log_line(&context, &request, endpoint, response.status, now);
    platform.log(&line);
    response.reuse = reuse(&context, &request, served.tenant.as_ref(), now, &line);
    if request.method == Method::Head {
        response.body.clear();
    }
    response
}

/// How many bytes of a request's body a host may hand over, and so has to read, before the core sees it: a host asks with a
/// request that has no body yet. Only a restore may have a large one, and only with its ticket.
pub async fn body_limit<P: Platform>(platform: &P, isolate: &Rc<Isolate>, request: &Request) -> usize {
    if request.path.ends_with(endpoint::restore::PATH) {
        endpoint::restore::body_limit(&Context::new(platform, isolate, None), request).await
    } else {
        BODY_LIMIT
    }
}

/// How far a request came, for rendering its error.
#[derive(Default)]
struct Served {
    tenant: Option<Rc<Tenant>>,
}

/// 1 an address that exists on this surface, 2 a method it answers to, 3 a body of bearable size, 4 a clock, 5 what needs no
/// tenant, 6 the tenant, 7 the endpoint.
async fn serve<P: Platform>(
    context: &Context<'_, P>,
    request: &mut Request,
    route: Option<&Route>,
    served: &mut Served,
) -> Result<Response, Error> {
    let Route { prefix, endpoint } = route.ok_or(Refusal::NotFound)?;
    if !is_on_this_surface(context, endpoint).await {
        return Err(Refusal::NotFound.into()); // 1
    }
    if request.method == Method::Options && endpoint.is_open_to_scripts() {
        return Ok(preflight(endpoint));
    }
    // At a path that names no endpoint only the tenant says whether there is anything.
    if *endpoint != Endpoint::Home {
        check_method(endpoint, request.method)?; // 2
    }
    if request.body.len() > BODY_LIMIT && *endpoint != Endpoint::Restore {
        return Err(Refusal::BodyTooLarge.into()); // 3
    }
    match endpoint {
        Endpoint::Health => return Ok(health::handle(context).await),
        Endpoint::Asset(name) => return asset(name),
        _ => health::check_clock(context.now())?, // 4
    }
    if *endpoint == Endpoint::Maintenance {
        return endpoint::maintenance::handle(context, request).await; // 5
    }
    if *endpoint == Endpoint::SetUp {
        return endpoint::setup::handle(context, request).await; // 5
    }
    if *endpoint == Endpoint::Restore {
        return endpoint::restore::handle(context, request).await; // 5
    }
    let tenant = tenants::find(context, request.header("host").unwrap_or_default(), prefix).await?; // 6
    served.tenant = Some(tenant.clone());
    let tenant = &tenant;
    // 7
    match endpoint {
        Endpoint::Home => {
            check_method(endpoint, request.method)?; // 2
            endpoint::home::handle(context, tenant, request).await
        }
        Endpoint::OpenidConfiguration | Endpoint::OauthAuthorizationServer => {
            endpoint::metadata::handle(context, tenant, request).await
        }
        Endpoint::Jwks => endpoint::jwks::handle(context, tenant, request).await,
        Endpoint::Authorize => endpoint::authorize::handle(context, tenant, request).await,
        Endpoint::SignIn => endpoint::sign_in::handle(context, tenant, request).await,
        Endpoint::Consent => endpoint::consent::handle(context, tenant, request).await,
        Endpoint::Token => endpoint::token::handle(context, tenant, request).await,
        Endpoint::UserInfo => endpoint::userinfo::handle(context, tenant, request).await,
        Endpoint::Revoke => endpoint::revoke::handle(context, tenant, request).await,
        Endpoint::Introspect => endpoint::introspect::handle(context, tenant, request).await,
        Endpoint::EndSession => endpoint::end_session::handle(context, tenant, request).await,
        Endpoint::Register => endpoint::register::handle(context, tenant, request).await,
        Endpoint::RegisteredClient(id) => endpoint::registered_client::handle(context, tenant, request, id).await,
        Endpoint::AdminApi(segments) => endpoint::admin::handle(context, tenant, request, segments).await,
        Endpoint::Health | Endpoint::Maintenance | Endpoint::SetUp | Endpoint::Restore | Endpoint::Asset(_) => {
            Err(Refusal::NotFound.into())
        }
    }
}

/// `SURFACE` (design.md §7): the public one is the issuer, the admin one set-up and management.
async fn is_on_this_surface<P: Platform>(context: &Context<'_, P>, endpoint: &Endpoint) -> bool {
    match context.configuration().await.surface {
        Surface::All => true,
        Surface::Admin => matches!(
            endpoint,
            // The operator client gets its token here too, and set-up shows pages.
            Endpoint::AdminApi(_)
                | Endpoint::SetUp
                | Endpoint::Restore
                | Endpoint::Health
                | Endpoint::Maintenance
                | Endpoint::Asset(_)
                | Endpoint::Token
        ),
        Surface::Public => !matches!(endpoint, Endpoint::AdminApi(_)),
    }
}

fn check_method(endpoint: &Endpoint, method: Method) -> Result<(), Refusal> {
    let methods = endpoint.methods();
    let asked = if method == Method::Head { Method::Get } else { method };
    if methods.contains(&asked) {
        return Ok(());
    }
    let mut allow: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if methods.contains(&Method::Get) {
        allow.push(Method::Head.as_str());
    }
    if endpoint.is_open_to_scripts() {
        allow.push(Method::Options.as_str());
    }
    Err(Refusal::MethodNotAllowed { allow: allow.join(", ") })
}

/// What scripts of other origins may do (Fetch §3.2): these endpoints look at no cookie, so every origin may.
fn preflight(endpoint: &Endpoint) -> Response {
    let methods: Vec<&str> = endpoint.methods().iter().map(|method| method.as_str()).collect();
    Response::new(204)
        .with("access-control-allow-methods", methods.join(", "))
        .with("access-control-allow-headers", "authorization, content-type")
        .with("access-control-max-age", "86400")
}

/// Assets are named after their content, so they may be kept for ever.
fn asset(name: &str) -> Result<Response, Error> {
    let asset = ui::asset(name).ok_or(Refusal::NotFound)?;
    Ok(Response::new(200)
        .with("content-type", asset.content_type)
        .with("cache-control", "public, max-age=31536000, immutable")
        .body(asset.body))
}

/// A page for people, JSON for programs.
fn render<P: Platform>(
    context: &Context<'_, P>,
    request: &Request,
    endpoint: Option<&Endpoint>,
    tenant: Option<&Tenant>,
    error: &Error,
) -> Response {
    let page = match endpoint {
        // Set-up is called by `cargo xtask dev --demo` too.
        Some(Endpoint::SetUp | Endpoint::Home) | None => request.wants_html(),
        Some(endpoint) => endpoint.is_page(),
    };
    let response = if page { pages::error(context, tenant, error) } else { json_error(error) };
    with_challenge(response, tenant, endpoint, error)
}

fn json_error(error: &Error) -> Response {
    match error {
        Error::Refused(refusal) => {
            let Told { status, code, text, .. } = refusal.told();
            Response::json(status, &json!({ "error": code, "error_description": text }))
        }
        Error::Broken(_) => Response::json(
            503,
            &json!({
                "error": "temporarily_unavailable",
                "error_description": "The server has a problem of its own. Please try again in a minute.",
            }),
        )
        .with("retry-after", "10"),
    }
}

/// Headers that belong to a refusal: `Allow` (RFC 9110 §10.2.1), `WWW-Authenticate` (RFC 6749 §5.2, RFC 6750 §3).
fn with_challenge(response: Response, tenant: Option<&Tenant>, endpoint: Option<&Endpoint>, error: &Error) -> Response {
    let Error::Refused(refusal) = error else { return response };
    if let Refusal::MethodNotAllowed { allow } = refusal {
        return response.with("allow", allow.clone());
    }
    let Told { status, code, text, .. } = refusal.told();
    let realm = tenant.map_or("vedette", Tenant::issuer);
    let takes_bearer = matches!(
        endpoint,
        Some(
            Endpoint::UserInfo
                | Endpoint::RegisteredClient(_)
                | Endpoint::AdminApi(_)
                | Endpoint::Maintenance
                | Endpoint::Restore
        )
    );
    // There, what is bad about a request is bad about how it presents its token.
    let is_userinfo = endpoint == Some(&Endpoint::UserInfo);
    match refusal {
        // RFC 6750 §3.1: a request without a token gets no error code.
        Refusal::TokenMissing => response.with("www-authenticate", format!("Bearer realm=\"{realm}\"")),
        _ if takes_bearer && (matches!(status, 401 | 403) || (status == 400 && is_userinfo)) => response.with(
            "www-authenticate",
            format!("Bearer realm=\"{realm}\", error=\"{code}\", error_description=\"{text}\""),
        ),
        _ if status == 401 => response.with("www-authenticate", format!("Basic realm=\"{realm}\"")),
        _ => response,
    }
}

/// Headers that every response has.
fn finish<P: Platform>(
    context: &Context<'_, P>,
    request: &Request,
    endpoint: Option<&Endpoint>,
    response: &mut Response,
) {
    let is_error = response.status >= 400;
    let mut add = |name: &'static str, value: &str| response.headers.push((name, value.to_owned()));
    add("x-content-type-options", "nosniff");
    add("x-request-id", &context.request_id);
    if endpoint.is_some_and(Endpoint::is_open_to_scripts) {
        add("access-control-allow-origin", "*");
        // What a script may need to report a failure.
        if is_error {
            add("access-control-expose-headers", "www-authenticate, x-request-id");
        }
    }
    if request.header("host").is_some_and(|host| !host.starts_with("localhost") && !host.starts_with("127.0.0.1")) {
        add("strict-transport-security", "max-age=31536000");
    }
}

/// Only of a request that nothing was asked for, so that the line says so of those that it stands for; and of the copy of the
/// tenant that the isolate has, whose change ends it.
fn reuse<P: Platform>(
    context: &Context<'_, P>,
    request: &Request,
    tenant: Option<&Rc<Tenant>>,
    now: UnixTime,
    log_line: &str,
) -> Option<Reuse> {
    let until = context.right_until.get().filter(|until| now < *until)?;
    let tenant = tenant?;
    let is_plain = request.method == Method::Get && request.query.is_none();
    let is_current = context.isolate.tenant(tenant.locator()).is_some_and(|copy| Rc::ptr_eq(&copy, tenant));
    if !is_plain || !is_current || context.spent.anything() {
        return None;
    }
    let (before, after_id) = log_line.split_once(&context.request_id)?;
    let (before_time, after_time) = before.rsplit_once(&now.0.to_string())?;
    Some(Reuse { when: now..until, log_line: [before_time, after_time, after_id].map(str::to_owned) })
}

/// One JSON line a request. Nothing that a client or person sent is in it, except what names an endpoint.
#[derive(Serialize)]
struct LogLine<'a> {
    level: &'static str,
    time: i64,
    request_id: &'a str,
    tenant: Option<&'a str>,
    endpoint: &'static str,
    method: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    sql: u32,
    kv: u32,
}

fn log_line<P: Platform>(
    context: &Context<'_, P>,
    request: &Request,
    endpoint: Option<&Endpoint>,
    status: u16,
    now: UnixTime,
) -> String {
    let (level, refusal, fault) = match &*context.trouble.borrow() {
        Some(Error::Refused(refusal)) => ("info", Some(refusal.told().reason), None),
        Some(Error::Broken(fault)) => ("error", None, Some(fault.to_string())),
        None => ("info", None, None),
    };
    let fault =
        fault.or_else(|| request.header("authorization").map(str::to_owned).filter(|_| planted(Plant::TokenInLog)));
    let tenant_id = context.tenant_id.borrow();
    let line = LogLine {
        level,
        time: now.0,
        request_id: &context.request_id,
        tenant: tenant_id.as_deref(),
        endpoint: endpoint.map_or("unknown", Endpoint::name),
        method: request.method.as_str(),
        status,
        refusal,
        fault,
        sql: context.spent.sql.get(),
        kv: context.spent.kv.get(),
    };
    serde_json::to_string(&line).unwrap_or_default()
}
