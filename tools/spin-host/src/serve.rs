//! HTTP/1.1 in front of the components, with the routes, headers and well-known path of Spin's HTTP trigger.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use wasmtime_wasi_http::handler::ErrorCode as BodyError;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use crate::instance::Handler;
use crate::route::Route;

type Body = UnsyncBoxBody<Bytes, wasmtime::Error>;

pub struct Server {
    /// In the order to try them in.
    pub routes: Vec<Route>,
    /// By component; each route has its own.
    pub handlers: BTreeMap<String, Handler>,
}

impl Server {
    /// Serves connections for as long as it is polled.
    pub async fn run(self, listener: TcpListener) {
        let server = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, client)) => drop(tokio::spawn(server.clone().serve(stream, client))),
                Err(error) => {
                    // Most likely too many open files: give connections time to end.
                    eprintln!("no connection could be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, client: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            eprintln!("connection of {client}: {error}");
        }
        let service = hyper::service::service_fn(|request| self.answer(request, client));
        let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        if let Err(error) = served
            && !error.is_incomplete_message()
        {
            eprintln!("connection of {client}: {:#}", anyhow!(error));
        }
    }

    /// An error closes the connection without an answer, which is what Spin does about an unusable Host header.
    async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Result<Response<Body>> {
        let path = request.uri().path();
        if let Some(well_known) = path.strip_prefix("/.well-known/spin/") {
            return Ok(match well_known {
                "health" => fixed(StatusCode::OK, "OK"),
                _ => fixed(StatusCode::NOT_FOUND, ""),
            });
        }
        let matched = self.routes.iter().find_map(|route| Some((route, route.matches(path)?)));
        let Some((route, rest)) = matched else {
            return Ok(fixed(StatusCode::NOT_FOUND, ""));
        };
        let rest = rest.to_owned();
        let request = with_absolute_uri(request)?;
        let answered = match self.handlers.get(&route.component) {
            Some(handler) => handle(handler, route, &rest, request, client).await,
            None => Err(anyhow!("it was not compiled")),
        };
        Ok(answered.unwrap_or_else(|error| {
            eprintln!("component {:?} failed a request: {error:#}", route.component);
            fixed(StatusCode::INTERNAL_SERVER_ERROR, "")
        }))
    }
}

async fn handle(
    handler: &Handler,
    route: &Route,
    rest: &str,
    mut request: Request<Incoming>,
    client: SocketAddr,
) -> Result<Response<Body>> {
    add_spin_headers(&mut request, route, rest, client)?;
    let request = request
        .map(|body| body.map_err(|error| BodyError::P3(ErrorCode::from_hyper_request_error(error))).boxed_unsync());
    handler.handle((), request).await.map_err(|error| anyhow!("{error:#}"))
}

fn fixed(status: StatusCode, body: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// Gives the URI its scheme and authority; the authority comes from the Host header and must not contradict the URI's.
fn with_absolute_uri(mut request: Request<Incoming>) -> Result<Request<Incoming>> {
    let from_header = match request.headers().get(HOST) {
        Some(host) => Some(host.to_str()?.parse::<Authority>().context("the Host header is not one")?),
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    if let (Some(header), Some(uri)) = (&from_header, &parts.authority)
        && header != uri
    {
        return Err(anyhow!("the Host header contradicts the request's URI"));
    }
    parts.authority = from_header.or(parts.authority);
    if parts.authority.is_none() {
        return Err(anyhow!("there is no Host header"));
    }
    parts.scheme = Some(Scheme::HTTP);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(request)
}

/// Appends what Spin tells about a request. What a client sent under the same names stays before it.
fn add_spin_headers<B>(request: &mut Request<B>, route: &Route, rest: &str, client: SocketAddr) -> Result<()> {
    for value in request.headers().values() {
        std::str::from_utf8(value.as_bytes()).context("a header is not UTF-8")?;
    }
    let uri = request.uri().to_string();
    let headers = request.headers_mut();
    append(headers, "spin-path-info", rest)?;
    append(headers, "spin-full-url", &uri)?;
    append(headers, "spin-matched-route", &route.raw)?;
    append(headers, "spin-base-path", "/")?;
    append(headers, "spin-raw-component-route", &route.raw)?;
    append(headers, "spin-component-route", route.raw_prefix())?;
    append(headers, "spin-client-addr", &client.to_string())
}

fn append(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<()> {
    let value = HeaderValue::from_str(value).with_context(|| format!("{name} cannot be a header"))?;
    headers.append(HeaderName::from_static(name), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_client_address_is_the_last_one() {
        let mut request = Request::new(());
        *request.uri_mut() = "http://op.test/foo/bar?x=1".parse().expect("URI");
        request.headers_mut().append("spin-client-addr", HeaderValue::from_static("6.6.6.6:6"));
        let route = Route::parse("/foo/...", "app").expect("route");
        add_spin_headers(&mut request, &route, "/bar", ([127, 0, 0, 1], 4000).into()).expect("headers");

        let addresses: Vec<_> = request.headers().get_all("spin-client-addr").iter().collect();
        assert_eq!(addresses, ["6.6.6.6:6", "127.0.0.1:4000"]);
        for (name, value) in [
            ("spin-path-info", "/bar"),
            ("spin-full-url", "http://op.test/foo/bar?x=1"),
            ("spin-matched-route", "/foo/..."),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", "/foo/..."),
            ("spin-component-route", "/foo"),
        ] {
            assert_eq!(request.headers()[name], value, "{name}");
        }
    }
}
