//! Vedette, an OpenID Connect provider without a server. This page is the map of the crate, and the only place where the
//! target chooses the host.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`platform`], [`http`] | the seam: what the core asks of a host, and requests and responses as plain data |
//! | [`service`], [`router`] | one request from the entry point to its response |
//! | [`endpoint`], [`grant`] | one file an endpoint or grant type: parse, check, act, respond |
//! | [`oauth`], [`oidc`], [`jose`] | vocabulary and rules of the specifications; pure |
//! | [`keys`], [`root`], [`seal`] | signing keys' life; root secrets; authenticated encryption |
//! | [`backup`] | everything in one sealed bundle |
//! | [`maintenance`] | what is done without a request: keys that are due, rows that are dead |
//! | [`tenant`], [`tenants`], [`isolate`] | issuers, finding a request's, and what an isolate may remember |
//! | [`store`] | every SQL statement, typed rows |
//! | [`ui`] | pages and assets |
//! | `deadline` | limits of time for what a host does, on both hosts |
//! | `cloudflare`, `spin`, [`memory`] | the platforms: Workers, Spin, and tests |

pub mod backup;
pub mod configuration;
pub mod context;
pub mod endpoint;
pub mod error;
pub mod grant;
pub mod http;
pub mod isolate;
pub mod jose;
pub mod keys;
pub mod maintenance;
pub mod oauth;
pub mod oidc;
pub mod password;
pub mod plant;
pub mod platform;
pub mod root;
pub mod router;
pub mod seal;
pub mod service;
pub mod setup;
pub mod store;
pub mod tenant;
pub mod tenants;
pub mod ui;

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
mod cloudflare;
#[cfg(target_family = "wasm")]
mod deadline;
#[cfg(not(target_family = "wasm"))]
pub mod memory;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;

pub use isolate::Isolate;
pub use service::handle;
