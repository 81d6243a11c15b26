//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1), parsed into types that cannot be wrong.
//!
//! Parsing has two halves, because an error may be sent to the client only once its redirect URI is proven: [`Addressee`] says
//! who asks and where an answer would go, [`AuthorizationRequest`] is the rest. Out of scope: request objects (RFC 9101) by value
//! and by reference, answered with their own error codes.

use serde::{Deserialize, Serialize};

use super::claims::ClaimsRequest;
use super::prompt::Prompt;
use crate::error::Refusal;
use crate::oauth::client_metadata::ClientMetadata;
use crate::oauth::form::Form;
use crate::oauth::grant_type::GrantType;
use crate::oauth::pkce::Challenge;
use crate::oauth::redirect_uri::RegisteredRedirect;
use crate::oauth::response_mode::ResponseMode;
use crate::oauth::scope::{self, Scope};
use crate::seal::Sealed;

/// The only `acr` value we know: a password was given.
pub const ACR_PASSWORD: &str = "urn:vedette:acr:password";

/// Where an answer to the client goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    pub client_id: String,
    pub redirect_uri: RegisteredRedirect,
    pub response_mode: ResponseMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// A checked authorization request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    pub addressee: Addressee,
    pub scope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    pub prompt: Prompt,
    /// Seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_hint: Option<String>,
    /// One of these has to be signed in, if there are any: from `id_token_hint` or the `claims` parameter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected_subs: Vec<String>,
    pub claims: ClaimsRequest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr_values: Vec<String>,
}

/// A request that waits for a person, sealed into the page's hidden field (design.md §4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingRequest {
    /// Fresh for every page that begins a flow; what a session row's `answered_request` names.
    pub id: String,
    /// Seconds since 1970 after which the form is too old.
    pub expires_at: i64,
    /// Hash of the pre-session cookie of the browser that the page was made for.
    pub browser: String,
    /// The user whom the page asked for consent; none on a sign-in page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    pub request: AuthorizationRequest,
}

impl Sealed for PendingRequest {
    const PURPOSE: &'static str = "pending-request";
}

/// Longest sealed pending request, in characters (design.md §4).
pub const PENDING_LIMIT: usize = 6 * 1024;
/// Seconds for which a sign-in or consent page stays usable.
pub const PENDING_LIFETIME: i64 = 3600;

impl Addressee {
    /// Proves the redirect URI. Every refusal here is for a page of ours.
    pub fn parse(form: &Form, client_id: &str, client: &ClientMetadata, any_loopback: bool) -> Result<Self, Refusal> {
        for name in ["client_id", "redirect_uri"] {
            if form.is_repeated(name) {
                return Err(Refusal::DuplicateParameter(name.to_owned()));
            }
        }
        let redirect_uri =
            RegisteredRedirect::find(form.required("redirect_uri")?, &client.redirect_uris, any_loopback)?;
        // A mode that is refused below goes by the query: that refusal has to be sent somehow.
        let response_mode = ResponseMode::parse(form.value("response_mode"), form.value("response_type"))
            .ok()
            .filter(|mode| *mode != ResponseMode::FormPost || redirect_uri.is_web())
            .unwrap_or(ResponseMode::Query);
        Ok(Self {
            client_id: client_id.to_owned(),
            redirect_uri,
            response_mode,
            state: form.owned("state").filter(|_| !form.is_repeated("state")),
        })
    }
}

impl AuthorizationRequest {
    /// Checks everything that needs no session. Every refusal here goes to the client's redirect URI. The `sub` of a verified
    /// `id_token_hint` comes in as `hinted_sub`.
    pub fn parse(
        form: &Form,
        addressee: Addressee,
        client: &ClientMetadata,
        hinted_sub: Option<String>,
    ) -> Result<Self, Refusal> {
        form.check_unique()?;
        if form.value("request").is_some() {
            return Err(Refusal::RequestObjectUnsupported);
        }
        if form.value("request_uri").is_some() {
            return Err(Refusal::RequestUriUnsupported);
        }
        if form.value("registration").is_some() {
            return Err(Refusal::RegistrationParameterUnsupported);
        }
        let response_mode = ResponseMode::parse(form.value("response_mode"), form.value("response_type"))?;
        if response_mode == ResponseMode::FormPost && !addressee.redirect_uri.is_web() {
            return Err(Refusal::UnsupportedResponseMode);
        }
        match form.required("response_type")? {
            "code" => {}
            _ => return Err(Refusal::UnsupportedResponseType),
        }
        if !client.allows(GrantType::AuthorizationCode) {
            return Err(Refusal::ResponseTypeNotRegistered);
        }
        let challenge = Challenge::parse(form.value("code_challenge"), form.value("code_challenge_method"))?;
        if challenge.is_none() && client.is_public() {
            return Err(Refusal::ChallengeMissing);
        }
        let claims = ClaimsRequest::parse(form.value("claims"))?;
        if claims.acr_essential && !claims.acr.is_empty() && !claims.acr.iter().any(|acr| acr == ACR_PASSWORD) {
            return Err(Refusal::AcrUnavailable);
        }
        if hinted_sub.as_ref().is_some_and(|hinted| !claims.subs.is_empty() && !claims.subs.contains(hinted)) {
            return Err(Refusal::MalformedParameter { name: "claims", why: "asks for another sub than id_token_hint" });
        }
        Ok(Self {
            scope: granted_scope(form.value("scope"), client)?.to_string(),
            nonce: form.owned("nonce"),
            challenge,
            prompt: Prompt::parse(form.value("prompt"))?,
            max_age: max_age(form.value("max_age"))?.or(client.default_max_age),
            login_hint: form.owned("login_hint").filter(|hint| hint.len() <= 320),
            expected_subs: hinted_sub.map_or_else(|| claims.subs.clone(), |hinted| vec![hinted]),
            acr_values: acr_values(form, client),
            claims,
            addressee,
        })
    }
}

/// What may be granted of the scopes asked for. Unknown ones are ignored (OpenID Connect Core §3.1.2.1); known ones that the
/// client did not register are refused; `offline_access` counts only for clients that may refresh (§11).
fn granted_scope(parameter: Option<&str>, client: &ClientMetadata) -> Result<Scope, Refusal> {
    let may_refresh = client.allows(GrantType::RefreshToken);
    let asked = Scope::parse(parameter.unwrap_or_default())?
        .filtered(|token| scope::SUPPORTED.contains(&token) && (token != scope::OFFLINE_ACCESS || may_refresh));
    if asked.is_empty() {
        return Err(Refusal::InvalidScope("The scope has to name openid or another scope that is known here."));
    }
    if !asked.iter().all(|token| client.may_ask_for(token)) {
        return Err(Refusal::InvalidScope("The scope has a token that the client is not registered for."));
    }
    Ok(asked)
}

fn max_age(parameter: Option<&str>) -> Result<Option<i64>, Refusal> {
    parameter
        .map(|text| {
            if !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Refusal::MalformedParameter { name: "max_age", why: "is not a number of seconds" });
            }
            // What does not fit is longer than any session.
            Ok(text.parse().unwrap_or(i64::MAX))
        })
        .transpose()
}

/// `acr_values`, else the client's default ones; voluntary either way.
fn acr_values(form: &Form, client: &ClientMetadata) -> Vec<String> {
    match form.value("acr_values") {
        Some(text) => text.split(' ').filter(|value| !value.is_empty()).take(20).map(str::to_owned).collect(),
        None => client.default_acr_values.clone().unwrap_or_default(),
    }
}
