//! Authorization codes and refresh tokens as sealed values (design.md §4): nothing is stored before it must be.

use serde::{Deserialize, Serialize};

use super::authorization_request::{Addressee, AuthorizationRequest};
use crate::error::Refusal;
use crate::oauth::pkce::Challenge;
use crate::plant::{Plant, planted};
use crate::platform::UnixTime;
use crate::seal::Sealed;
use crate::store::sessions::SessionRow;

/// Seconds for which a code can be redeemed.
pub const CODE_LIFETIME: i64 = 60;
/// Longest sealed code, in characters.
pub const CODE_LIMIT: usize = 2 * 1024;

/// What a code says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Code {
    /// Fresh for every code; the grant's primary key.
    #[serde(rename = "g")]
    pub grant_id: String,
    #[serde(rename = "c")]
    pub client_id: String,
    #[serde(rename = "r")]
    pub redirect_uri: String,
    #[serde(rename = "u")]
    pub user_id: String,
    #[serde(rename = "s")]
    pub session_id: String,
    #[serde(rename = "t")]
    pub auth_time: UnixTime,
    #[serde(rename = "a")]
    pub acr: String,
    #[serde(rename = "m")]
    pub amr: String,
    #[serde(rename = "o")]
    pub scope: String,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// JSON of the claims request.
    #[serde(rename = "q")]
    pub claims: String,
    #[serde(rename = "e")]
    pub expires_at: UnixTime,
}

impl Sealed for Code {
    const PURPOSE: &'static str = "code";
}

impl Code {
    #[must_use]
    pub fn new(grant_id: String, request: &AuthorizationRequest, session: &SessionRow, now: UnixTime) -> Self {
        let Addressee { client_id, redirect_uri, .. } = &request.addressee;
        Self {
            grant_id,
            client_id: client_id.clone(),
            redirect_uri: redirect_uri.as_str().to_owned(),
            user_id: session.user_id.clone(),
            session_id: session.id.clone(),
            auth_time: session.auth_time,
            acr: session.acr.clone(),
            amr: session.amr.clone(),
            scope: request.scope.clone(),
            nonce: request.nonce.clone(),
            challenge: request.challenge.clone(),
            claims: request.claims.to_json(),
            expires_at: now.plus(CODE_LIFETIME),
        }
    }

    /// RFC 6749 §4.1.3: the code was issued to this client, and the redirect URI is the one of the request.
    pub fn check_bound_to(&self, client_id: &str, redirect_uri: Option<&str>) -> Result<(), Refusal> {
        if self.client_id != client_id && !planted(Plant::CodeOfAnyClient) {
            Err(Refusal::CodeOfAnotherClient)
        } else if redirect_uri != Some(self.redirect_uri.as_str()) {
            Err(Refusal::CodeRedirectUriMismatch)
        } else {
            Ok(())
        }
    }

    pub fn check_live(&self, now: UnixTime) -> Result<(), Refusal> {
        if now < self.expires_at { Ok(()) } else { Err(Refusal::CodeExpired) }
    }

    /// RFC 7636 §4.6, and no verifier where there was no challenge (RFC 9700 §2.1.1).
    pub fn check_verifier(&self, verifier: Option<&str>) -> Result<(), Refusal> {
        match (&self.challenge, verifier) {
            _ if planted(Plant::VerifierUnchecked) => Ok(()),
            (Some(challenge), Some(verifier)) => challenge.verify(verifier),
            (Some(_), None) => Err(Refusal::VerifierMissing),
            (None, Some(_)) => Err(Refusal::VerifierWithoutChallenge),
            (None, None) => Ok(()),
        }
    }
}

/// What a refresh token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefreshToken {
    #[serde(rename = "g")]
    pub grant_id: String,
    #[serde(rename = "c")]
    pub client_id: String,
    #[serde(rename = "n")]
    pub generation: i64,
    /// What was granted, so that asking for more is refused before anything is stepped.
    #[serde(rename = "o")]
    pub scope: String,
}

impl Sealed for RefreshToken {
    const PURPOSE: &'static str = "refresh-token";
}
