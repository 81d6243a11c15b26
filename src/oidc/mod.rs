//! The vocabulary and rules of OpenID Connect: pure, no Platform.

pub mod authorization_request;
pub mod claims;
pub mod code;
pub mod metadata;
pub mod prompt;
pub mod standard_claims;
pub mod tokens;
