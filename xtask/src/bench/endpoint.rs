//! What is measured.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    Discovery,
    Jwks,
    ClientCredentials,
    CodeExchange,
    Refresh,
    UserInfo,
    Health,
    SignInPage,
    AuthorizeCode,
    Consent,
    Introspect,
    Revoke,
    Register,
    EndSessionPage,
    AdminApi,
    SignIn,
}

impl Endpoint {
    /// In the order of the tables. Those that fill tables come last.
    pub const ALL: [Endpoint; 16] = [
        Endpoint::Discovery,
        Endpoint::Jwks,
        Endpoint::ClientCredentials,
        Endpoint::CodeExchange,
        Endpoint::Refresh,
        Endpoint::UserInfo,
        Endpoint::Health,
        Endpoint::SignInPage,
        Endpoint::AuthorizeCode,
        Endpoint::Consent,
        Endpoint::Introspect,
        Endpoint::Revoke,
        Endpoint::EndSessionPage,
        Endpoint::AdminApi,
        Endpoint::Register,
        Endpoint::SignIn,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Discovery => "discovery",
            Endpoint::Jwks => "jwks",
            Endpoint::ClientCredentials => "client_credentials",
            Endpoint::CodeExchange => "code-exchange",
            Endpoint::Refresh => "refresh",
            Endpoint::UserInfo => "userinfo",
            Endpoint::Health => "health",
            Endpoint::SignInPage => "sign-in-page",
            Endpoint::AuthorizeCode => "authorize",
            Endpoint::Consent => "consent",
            Endpoint::Introspect => "introspect",
            Endpoint::Revoke => "revoke",
            Endpoint::Register => "register",
            Endpoint::EndSessionPage => "end_session-page",
            Endpoint::AdminApi => "admin-api",
            Endpoint::SignIn => "sign-in",
        }
    }

    /// What it is, for the tables.
    pub fn title(self) -> &'static str {
        match self {
            Endpoint::Discovery => "discovery",
            Endpoint::Jwks => "JWKS",
            Endpoint::ClientCredentials => "token: client_credentials",
            Endpoint::CodeExchange => "token: code exchange",
            Endpoint::Refresh => "token: refresh",
            Endpoint::UserInfo => "UserInfo",
            Endpoint::Health => "health",
            Endpoint::SignInPage => "authorize: the sign-in page",
            Endpoint::AuthorizeCode => "authorize: signed in, a code",
            Endpoint::Consent => "consent, allowed",
            Endpoint::Introspect => "introspection",
            Endpoint::Revoke => "revocation of an access token",
            Endpoint::Register => "registration of a client",
            Endpoint::EndSessionPage => "end_session with an ID token hint",
            Endpoint::AdminApi => "management: list tenants",
            Endpoint::SignIn => "sign-in with a password",
        }
    }

    /// Measured in many rounds; the others once, for their CPU.
    pub fn is_compared(self) -> bool {
        self.has_floor()
    }

    pub fn has_floor(self) -> bool {
        matches!(
            self,
            Endpoint::Discovery
                | Endpoint::Jwks
                | Endpoint::ClientCredentials
                | Endpoint::CodeExchange
                | Endpoint::Refresh
                | Endpoint::UserInfo
        )
    }

    /// The same bytes for everybody: what remains beside them is the log line, so they have a floor with one as well.
    pub fn is_document(self) -> bool {
        matches!(self, Endpoint::Discovery | Endpoint::Jwks)
    }

    /// The share of the floor's requests per second that Vedette is to reach.
    pub fn goal(self) -> Option<f64> {
        match self {
            Endpoint::Discovery | Endpoint::Jwks | Endpoint::CodeExchange | Endpoint::Refresh => Some(0.8),
            _ => None,
        }
    }

    /// Password checking is slow on purpose.
    pub fn checks_password(self) -> bool {
        self == Endpoint::SignIn
    }
}
