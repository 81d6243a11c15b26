//! What can go wrong, by who is at fault: a [`Refusal`] is the client's or the person's mistake and has an RFC error code; a
//! [`Fault`] is the host's and is answered without detail. The two never mix.
//!
//! Codes: RFC 6749 §4.1.2.1 and §5.2, RFC 6750 §3.1, OpenID Connect Core §3.1.2.6, RFC 7591 §3.2.2, RFC 7009 §2.2.1.

use crate::backup;
use crate::platform::Fault;

/// Why a request was not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    Refused(Refusal),
    Broken(Fault),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault)
    }
}

/// Each reason for which we say no. The log gets the reason; the client gets the code and the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    // The shape of the request.
    NotFound,
    /// At an address of the management API that names one.
    NoSuch(&'static str),
    NoTenant,
    MethodNotAllowed {
        allow: String,
    },
    BodyTooLarge,
    WrongContentType {
        expected: &'static str,
    },
    MalformedBody(&'static str),
    DuplicateParameter(String),
    MissingParameter(&'static str),
    MalformedParameter {
        name: &'static str,
        why: &'static str,
    },
    RequestTooLarge,

    // Clients.
    UnknownClient,
    ClientDisabled,
    ClientAuthenticationMissing,
    ClientAuthenticationFailed {
        basic: bool,
    },
    TwoClientAuthentications,
    GrantTypeNotRegistered,
    ResponseTypeNotRegistered,

    // Authorization requests.
    RedirectUriNotRegistered,
    UnsupportedResponseType,
    UnsupportedResponseMode,
    InvalidScope(&'static str),
    ChallengeMissing,
    ChallengeMethodUnsupported,
    RequestObjectUnsupported,
    RequestUriUnsupported,
    RegistrationParameterUnsupported,
    LoginRequired,
    ConsentRequired,
    AccessDenied,
    AcrUnavailable,

    // Forms and cookies of ours.
    FormNotOurs,
    FormExpired,
    CookiesMissing,
    SignInFailed,
    SignInThrottled,

    // Token requests.
    UnsupportedGrantType,
    CodeUnreadable,
    CodeExpired,
    CodeOfAnotherClient,
    CodeRedirectUriMismatch,
    CodeRedirectUriNotRegistered,
    CodeReplayed,
    GrantNotLive,
    VerifierMissing,
    VerifierMismatch,
    VerifierWithoutChallenge,
    RefreshTokenUnreadable,
    RefreshTokenOfAnotherClient,
    AccessTokenOfAnotherClient,
    RefreshTokenSuperseded,
    RefreshTokenReused,

    // Protected resources.
    TokenMissing,
    MaintenanceSecretWrong,
    TokenTwice,
    TokenInvalid(&'static str),
    InsufficientScope {
        needed: &'static str,
    },
    NotAnOperator,

    // Registration and management.
    RegistrationClosed,
    RegisteredClientDisabled,
    InvalidRedirectUri(String),
    InvalidClientMetadata(String),
    SoftwareStatementUnsupported,
    InvalidMember {
        name: String,
        why: &'static str,
    },
    Conflict(&'static str),

    // Logout.
    HintInvalid,
    PostLogoutRedirectUriNotRegistered,

    // Set-up.
    TicketInvalid,
    TicketExpired,
    AlreadySetUp,

    // Backups.
    Bundle(backup::Refused),
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// HTTP status where the refusal is not carried by a redirect.
    pub status: u16,
    /// The RFC's error code.
    pub code: &'static str,
    /// Our own name of the reason, for the log and the audit.
    pub reason: &'static str,
    /// One sentence in the character set of RFC 6749 §5.2 (no quotes, no line breaks).
    pub text: String,
}

fn told(status: u16, code: &'static str, reason: &'static str, text: impl Into<String>) -> Told {
    // RFC 6749 §5.2 allows %x20-21 / %x23-5B / %x5D-7E; what a client sent may be quoted in a text.
    let text =
        text.into().chars().map(|c| if matches!(c, ' '..='~') && c != '"' && c != '\\' { c } else { '\'' }).collect();
    Told { status, code, reason, text }
}

impl Refusal {
    /// The one place where our reasons become the specifications' codes.
    #[must_use]
    pub fn told(&self) -> Told {
        use Refusal as R;
        match self {
            R::NotFound => told(404, "not_found", "not_found", "There is nothing at this address."),
            R::NoSuch(what) => told(404, "not_found", "not_found", format!("There is no such {what}.")),
            R::NoTenant => told(404, "not_found", "no_tenant", "No issuer is set up for this host and path."),
            R::MethodNotAllowed { allow } => {
                told(405, "invalid_request", "method_not_allowed", format!("This address answers to {allow}."))
            }
            R::BodyTooLarge => told(413, "invalid_request", "body_too_large", "The body is larger than 64 KiB."),
            R::WrongContentType { expected } => {
                told(415, "invalid_request", "wrong_content_type", format!("The body has to be {expected}."))
            }
            R::MalformedBody(why) => told(400, "invalid_request", "malformed_body", *why),
            R::DuplicateParameter(name) => {
                // The name may be anything, and as long as a request.
                let name: String = name.chars().take(60).collect();
                told(400, "invalid_request", "duplicate_parameter", format!("The parameter {name} is given twice."))
            }
            R::MissingParameter(name) => {
                told(400, "invalid_request", "missing_parameter", format!("The parameter {name} is missing."))
            }
            R::MalformedParameter { name, why } => {
                told(400, "invalid_request", "malformed_parameter", format!("The parameter {name} {why}."))
            }
            R::RequestTooLarge => told(400, "invalid_request", "request_too_large", "The request is too large."),

            R::UnknownClient => told(400, "invalid_client", "unknown_client", "No such client is registered here."),
            R::ClientDisabled => told(400, "unauthorized_client", "client_disabled", "The client is disabled."),
            R::ClientAuthenticationMissing => {
                told(401, "invalid_client", "client_authentication_missing", "The client has to authenticate.")
            }
            R::ClientAuthenticationFailed { .. } => {
                told(401, "invalid_client", "client_authentication_failed", "Client authentication failed.")
            }
            R::TwoClientAuthentications => told(
                400,
                "invalid_request",
                "two_client_authentications",
                "The client authenticates in more than one way.",
            ),
            R::GrantTypeNotRegistered => told(
                400,
                "unauthorized_client",
                "grant_type_not_registered",
                "The client is not registered for this grant type.",
            ),
            R::ResponseTypeNotRegistered => told(
                400,
                "unauthorized_client",
                "response_type_not_registered",
                "The client is not registered for this response type.",
            ),

            R::RedirectUriNotRegistered => told(
                400,
                "invalid_request",
                "redirect_uri_not_registered",
                "The redirect_uri is not one that the client registered.",
            ),
            R::UnsupportedResponseType => told(
                400,
                "unsupported_response_type",
                "unsupported_response_type",
                "The response_type is not supported; use code.",
            ),
            R::UnsupportedResponseMode => told(
                400,
                "invalid_request",
                "unsupported_response_mode",
                "The response_mode is not supported; use query, fragment or form_post.",
            ),
            R::InvalidScope(why) => told(400, "invalid_scope", "invalid_scope", *why),
            R::ChallengeMissing => told(
                400,
                "invalid_request",
                "challenge_missing",
                "A public client has to send a code_challenge (PKCE, S256).",
            ),
            R::ChallengeMethodUnsupported => told(
                400,
                "invalid_request",
                "challenge_method_unsupported",
                "The code_challenge_method has to be S256.",
            ),
            R::RequestObjectUnsupported => {
                told(400, "request_not_supported", "request_object", "The parameter request is not supported.")
            }
            R::RequestUriUnsupported => {
                told(400, "request_uri_not_supported", "request_uri", "The parameter request_uri is not supported.")
            }
            R::RegistrationParameterUnsupported => told(
                400,
                "registration_not_supported",
                "registration_parameter",
                "The parameter registration is not supported.",
            ),
            R::LoginRequired => told(400, "login_required", "login_required", "The person has to sign in."),
            R::ConsentRequired => told(400, "consent_required", "consent_required", "The person has to consent."),
            R::AcrUnavailable => told(
                400,
                "unmet_authentication_requirements",
                "acr_unavailable",
                "None of the essential acr values can be met.",
            ),
            R::AccessDenied => told(403, "access_denied", "access_denied", "The person declined."),

            R::FormNotOurs => {
                told(400, "invalid_request", "form_not_ours", "The form does not belong to this browser.")
            }
            R::FormExpired => told(400, "invalid_request", "form_expired", "The page was open for too long."),
            R::CookiesMissing => told(
                400,
                "invalid_request",
                "cookies_missing",
                "The browser did not send our cookie. Allow cookies for this site.",
            ),

            // The sign-in page says these two in words of its own.
            R::SignInFailed => told(422, "access_denied", "sign_in_failed", "That username and password do not match."),
            R::SignInThrottled => told(429, "access_denied", "sign_in_throttled", "There were too many attempts."),

            R::UnsupportedGrantType => {
                told(400, "unsupported_grant_type", "unsupported_grant_type", "The grant_type is not supported.")
            }
            R::CodeUnreadable => told(400, "invalid_grant", "code_unreadable", "The code is not valid."),
            R::CodeExpired => told(400, "invalid_grant", "code_expired", "The code has expired."),
            R::CodeOfAnotherClient => {
                told(400, "invalid_grant", "code_of_another_client", "The code was issued to another client.")
            }
            R::CodeRedirectUriMismatch => told(
                400,
                "invalid_grant",
                "code_redirect_uri_mismatch",
                "The redirect_uri is not the one of the authorization request.",
            ),
            R::CodeRedirectUriNotRegistered => told(
                400,
                "invalid_grant",
                "code_redirect_uri_not_registered",
                "The redirect_uri is not registered any more.",
            ),
            R::CodeReplayed => {
                told(400, "invalid_grant", "code_replayed", "The code was used before; its tokens are revoked.")
            }
            R::GrantNotLive => told(400, "invalid_grant", "grant_not_live", "The grant has ended."),
            R::VerifierMissing => told(400, "invalid_grant", "verifier_missing", "The code_verifier is missing."),
            R::VerifierMismatch => {
                told(400, "invalid_grant", "verifier_mismatch", "The code_verifier does not match the code_challenge.")
            }
            R::VerifierWithoutChallenge => told(
                400,
                "invalid_grant",
                "verifier_without_challenge",
                "A code_verifier came without a code_challenge in the authorization request.",
            ),
            R::RefreshTokenUnreadable => {
                told(400, "invalid_grant", "refresh_token_unreadable", "The refresh token is not valid.")
            }
            R::RefreshTokenOfAnotherClient => told(
                400,
                "invalid_grant",
                "refresh_token_of_another_client",
                "The refresh token was issued to another client.",
            ),
            R::AccessTokenOfAnotherClient => told(
                400,
                "invalid_grant",
                "access_token_of_another_client",
                "The access token was issued to another client.",
            ),
            R::RefreshTokenSuperseded => {
                told(400, "invalid_grant", "refresh_token_superseded", "A newer refresh token was issued.")
            }
            R::RefreshTokenReused => told(
                400,
                "invalid_grant",
                "refresh_token_reused",
                "The refresh token was used before; the grant is revoked.",
            ),

            R::TokenMissing => told(401, "invalid_token", "token_missing", "An access token is needed."),
            R::TokenTwice => {
                told(400, "invalid_request", "token_twice", "The access token is given in more than one way.")
            }
            R::TokenInvalid(why) => told(401, "invalid_token", why, "The access token is not valid."),
            R::MaintenanceSecretWrong => told(
                401,
                "invalid_token",
                "maintenance_secret_wrong",
                "The bearer token has to be the MAINTENANCE_SECRET of this deployment.",
            ),
            R::InsufficientScope { needed } => told(
                403,
                "insufficient_scope",
                "insufficient_scope",
                format!("The access token lacks the scope {needed}."),
            ),
            R::NotAnOperator => {
                told(403, "insufficient_scope", "not_an_operator", "The token is not one of an operator client.")
            }

            R::RegistrationClosed => told(
                403,
                "access_denied",
                "registration_closed",
                "Dynamic registration is closed here; ask the operator to register the client.",
            ),
            R::RegisteredClientDisabled => {
                told(403, "access_denied", "registered_client_disabled", "The operator has disabled this client.")
            }
            R::InvalidRedirectUri(why) => told(400, "invalid_redirect_uri", "invalid_redirect_uri", why.clone()),
            R::InvalidClientMetadata(why) => {
                told(400, "invalid_client_metadata", "invalid_client_metadata", why.clone())
            }
            R::SoftwareStatementUnsupported => told(
                400,
                "unapproved_software_statement",
                "software_statement",
                "Software statements are not supported.",
            ),
            R::InvalidMember { name, why } => {
                told(400, "invalid_request", "invalid_member", format!("The member {name} {why}."))
            }
            R::Conflict(why) => told(409, "invalid_request", "conflict", *why),

            R::HintInvalid => {
                told(400, "invalid_request", "hint_invalid", "The id_token_hint is not an ID token of this issuer.")
            }
            R::PostLogoutRedirectUriNotRegistered => told(
                400,
                "invalid_request",
                "post_logout_redirect_uri_not_registered",
                "The post_logout_redirect_uri is not one that the client registered.",
            ),

            R::TicketInvalid => told(
                403,
                "access_denied",
                "ticket_invalid",
                "This is not a valid set-up link. Make one with: cargo xtask setup-link --issuer URL",
            ),
            R::TicketExpired => told(
                403,
                "access_denied",
                "ticket_expired",
                "The set-up link is older than an hour. Make one with: cargo xtask setup-link --issuer URL",
            ),
            R::AlreadySetUp => {
                told(409, "invalid_request", "already_set_up", "This deployment is set up; the set-up link is dead.")
            }
            R::Bundle(why) => {
                let (status, reason) = why.reason();
                told(status, if status == 403 { "access_denied" } else { "invalid_request" }, reason, why.text())
            }
        }
    }
}
