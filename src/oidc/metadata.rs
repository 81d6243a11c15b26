//! The provider's metadata: OpenID Connect Discovery §3, RFC 8414 §2, RP-Initiated Logout §2.1, RFC 9207 §3. Made from the
//! tables that the code itself uses, so that it states what is true and nothing else.

use serde_json::{Value, json};

use super::authorization_request::ACR_PASSWORD;
use super::{claims, prompt};
use crate::oauth::grant_type::{AuthMethod, GrantType};
use crate::oauth::response_mode::{RESPONSE_TYPES, ResponseMode};
use crate::oauth::{pkce, scope};
use crate::platform::Alg;

/// What of a tenant shows in its metadata.
pub struct Provider<'a> {
    /// Makes an absolute URL below the issuer.
    pub url: &'a dyn Fn(&str) -> String,
    pub issuer: &'a str,
    pub registration_open: bool,
    /// Algorithms with an active key.
    pub signing_algorithms: &'a [Alg],
}

/// Members that RFC 8414 defines; the rest of the document are OpenID Connect's and ride along in both documents.
#[must_use]
pub fn document(provider: &Provider<'_>) -> Value {
    let url = provider.url;
    let algorithms: Vec<&str> = provider.signing_algorithms.iter().map(|alg| alg.as_str()).collect();
    let with_secret: Vec<&str> =
        AuthMethod::ALL.iter().filter(|method| **method != AuthMethod::None).map(|method| method.as_str()).collect();
    let all_methods: Vec<&str> = AuthMethod::ALL.iter().map(|method| method.as_str()).collect();
    let standing = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid"];
    let mut document = json!({
        "issuer": provider.issuer,
        "authorization_endpoint": url("/authorize"),
        "token_endpoint": url("/token"),
        "userinfo_endpoint": url("/userinfo"),
        "jwks_uri": url("/jwks"),
        "revocation_endpoint": url("/revoke"),
        "introspection_endpoint": url("/introspect"),
        "end_session_endpoint": url("/end_session"),
        "scopes_supported": scope::SUPPORTED,
        "response_types_supported": RESPONSE_TYPES,
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::as_str),
        "grant_types_supported": GrantType::ALL.map(GrantType::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms,
        "userinfo_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": all_methods,
        "revocation_endpoint_auth_methods_supported": all_methods,
        "introspection_endpoint_auth_methods_supported": with_secret,
        "code_challenge_methods_supported": pkce::METHODS,
        "claims_supported": standing.into_iter().chain(claims::supported()).collect::<Vec<_>>(),
        "claim_types_supported": ["normal"],
        "acr_values_supported": [ACR_PASSWORD],
        "display_values_supported": prompt::DISPLAYS,
        "prompt_values_supported": prompt::SUPPORTED,
        "ui_locales_supported": ["en"],
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
    });
    if provider.registration_open
        && let Some(members) = document.as_object_mut()
    {
        members.insert("registration_endpoint".to_owned(), json!(url("/register")));
    }
    document
}
