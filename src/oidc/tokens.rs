//! What our JWTs say: ID tokens (OpenID Connect Core §2), access tokens (RFC 9068).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::platform::UnixTime;

/// `typ` of an ID token's header.
pub const ID_TOKEN: &str = "JWT";
/// `typ` of a signed UserInfo response's header.
pub const USERINFO: &str = "JWT";
/// `typ` of an access token's header (RFC 9068 §2.1).
pub const ACCESS_TOKEN: &str = "at+jwt";

/// Seconds for which an ID token is valid.
pub const ID_TOKEN_LIFETIME: i64 = 3600;
/// Seconds for which an access token is valid, unless the client has its own number.
pub const ACCESS_TOKEN_LIFETIME: i64 = 600;

/// RFC 9068 §2.2. `grant_id` is ours: the grant that the token belongs to. So is `secret`, in an operator client's tokens: which
/// secret it was got with, so that a new secret ends them (a hash of the hash; there is nothing to guess in either).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub client_id: String,
    pub iat: i64,
    pub exp: i64,
    pub jti: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amr: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// What an ID token is made from.
pub struct IdToken<'a> {
    pub iss: &'a str,
    pub sub: &'a str,
    pub aud: &'a str,
    pub now: UnixTime,
    pub auth_time: UnixTime,
    pub acr: &'a str,
    pub amr: &'a str,
    pub sid: &'a str,
    pub nonce: Option<&'a str>,
    pub at_hash: Option<String>,
    /// Claims about the person that were asked for by name.
    pub person: Map<String, Value>,
}

impl IdToken<'_> {
    #[must_use]
    pub fn claims(self) -> Value {
        let mut claims = self.person;
        let mut set = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        set("iss", json!(self.iss));
        set("sub", json!(self.sub));
        set("aud", json!(self.aud));
        set("iat", json!(self.now.0));
        set("exp", json!(self.now.plus(ID_TOKEN_LIFETIME).0));
        set("auth_time", json!(self.auth_time.0));
        set("acr", json!(self.acr));
        set("amr", json!(self.amr.split(' ').collect::<Vec<_>>()));
        set("sid", json!(self.sid));
        if let Some(nonce) = self.nonce {
            set("nonce", json!(nonce));
        }
        if let Some(at_hash) = self.at_hash {
            set("at_hash", json!(at_hash));
        }
        Value::Object(claims)
    }
}

/// What we read of an ID token that comes back as a hint.
#[derive(Clone, Debug, Deserialize)]
pub struct HintClaims {
    pub iss: String,
    /// May be over. Every ID token has it, and a signed UserInfo response, which is no hint, has not.
    pub exp: i64,
    pub sub: String,
    pub aud: String,
    #[serde(default)]
    pub sid: Option<String>,
}
