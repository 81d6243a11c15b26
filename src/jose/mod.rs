//! JOSE: JWK (RFC 7517), JWS (RFC 7515) and JWT (RFC 7519), pure except the calls that sign and verify.

pub mod jwk;
pub mod jws;
pub mod software;
