//! Vedette, an OpenID Connect provider without a server. This page is the map of the crate, and the only place where the
//! target chooses the host.

pub mod http;
pub mod platform;
