//! The vocabulary and rules of OAuth 2.0: pure, no Platform.

pub mod client_metadata;
pub mod form;
pub mod grant_type;
mod metadata_members;
pub mod pkce;
pub mod redirect_uri;
pub mod response_mode;
pub mod scope;
pub mod secret;
