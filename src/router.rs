//! One match that names every endpoint. What stands before the endpoint's name is the tenant's path prefix.

use crate::http::Method;

/// What an address means, below its tenant's prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Home,
    OpenidConfiguration,
    OauthAuthorizationServer,
    Jwks,
    Authorize,
    SignIn,
    Consent,
    Token,
    UserInfo,
    Revoke,
    Introspect,
    EndSession,
    Register,
    RegisteredClient(String),
    Health,
    Maintenance,
    SetUp,
    Restore,
    Asset(String),
    AdminApi(Vec<String>),
}

/// A path taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The issuer's path: empty or beginning with `/`.
    pub prefix: String,
    pub endpoint: Endpoint,
}

/// First segments of endpoints; an issuer's path cannot have them.
const RESERVED: [&str; 17] = [
    ".well-known",
    "jwks",
    "authorize",
    "sign-in",
    "consent",
    "token",
    "userinfo",
    "revoke",
    "introspect",
    "end_session",
    "register",
    "health",
    "maintenance",
    "setup",
    "assets",
    "admin",
    "account",
];

const OPENID_CONFIGURATION: &str = "openid-configuration";
const OAUTH_AUTHORIZATION_SERVER: &str = "oauth-authorization-server";

#[must_use]
pub fn is_reserved_segment(segment: &str) -> bool {
    RESERVED.contains(&segment)
}

/// Which endpoint a path names; `None` when it names nothing. The prefix is cut at the first segment that is an endpoint's,
/// so there is exactly one candidate for the tenant.
#[must_use]
pub fn route(path: &str) -> Option<Route> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let at = segments.iter().position(|segment| is_reserved_segment(segment));
    let Some(at) = at else {
        // The issuer itself: `/` or its bare path.
        let prefix = path.trim_end_matches('/');
        return Some(Route { prefix: prefix.to_owned(), endpoint: Endpoint::Home });
    };
    let (before, rest) = segments.split_at(at);
    let mut prefix = join(before);
    let endpoint = match rest {
        // OpenID Connect Discovery §4 appends the well-known part to the issuer; RFC 8414 §3.1 puts it before the path.
        [".well-known", name, after @ ..] => {
            if !after.is_empty() {
                if !before.is_empty() || after.iter().any(|segment| is_reserved_segment(segment)) {
                    return None;
                }
                prefix = join(after);
            }
            match *name {
                OPENID_CONFIGURATION => Endpoint::OpenidConfiguration,
                OAUTH_AUTHORIZATION_SERVER => Endpoint::OauthAuthorizationServer,
                _ => return None,
            }
        }
        ["jwks"] => Endpoint::Jwks,
        ["authorize"] => Endpoint::Authorize,
        ["sign-in"] => Endpoint::SignIn,
        ["consent"] => Endpoint::Consent,
        ["token"] => Endpoint::Token,
        ["userinfo"] => Endpoint::UserInfo,
        ["revoke"] => Endpoint::Revoke,
        ["introspect"] => Endpoint::Introspect,
        ["end_session"] => Endpoint::EndSession,
        ["register"] => Endpoint::Register,
        ["register", id] if !id.is_empty() => Endpoint::RegisteredClient((*id).to_owned()),
        ["health"] => Endpoint::Health,
        ["maintenance"] => Endpoint::Maintenance,
        ["setup"] => Endpoint::SetUp,
        ["setup", "restore"] => Endpoint::Restore,
        ["assets", name] => Endpoint::Asset((*name).to_owned()),
        ["admin", "api", what @ ..] => Endpoint::AdminApi(what.iter().map(|&segment| segment.to_owned()).collect()),
        _ => return None,
    };
    Some(Route { prefix, endpoint })
}

fn join(segments: &[&str]) -> String {
    segments.iter().map(|segment| format!("/{segment}")).collect()
}

impl Endpoint {
    /// The methods that the endpoint answers to, besides HEAD where GET is and OPTIONS where scripts of other origins may call.
    #[must_use]
    pub fn methods(&self) -> &'static [Method] {
        match self {
            Self::Home
            | Self::OpenidConfiguration
            | Self::OauthAuthorizationServer
            | Self::Jwks
            | Self::Health
            | Self::Asset(_) => &[Method::Get],
            Self::Authorize | Self::UserInfo | Self::EndSession | Self::SetUp => &[Method::Get, Method::Post],
            Self::SignIn
            | Self::Consent
            | Self::Token
            | Self::Revoke
            | Self::Introspect
            | Self::Register
            | Self::Maintenance
            | Self::Restore => &[Method::Post],
            Self::RegisteredClient(_) => &[Method::Get, Method::Put, Method::Delete],
            // Its own router says more.
            Self::AdminApi(_) => &[Method::Get, Method::Post, Method::Patch, Method::Delete],
        }
    }

    /// Whether scripts of other origins may call it: endpoints that look at tokens and secrets but never at cookies.
    #[must_use]
    pub fn is_open_to_scripts(&self) -> bool {
        matches!(
            self,
            Self::OpenidConfiguration
                | Self::OauthAuthorizationServer
                | Self::Jwks
                | Self::Token
                | Self::UserInfo
                | Self::Revoke
                | Self::Introspect
                | Self::Register
                | Self::RegisteredClient(_)
        )
    }

    /// Whether people look at it in a browser.
    #[must_use]
    pub fn is_page(&self) -> bool {
        matches!(self, Self::Home | Self::Authorize | Self::SignIn | Self::Consent | Self::EndSession | Self::SetUp)
    }

    /// Its name in log lines.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Home => "home",
            Self::OpenidConfiguration => OPENID_CONFIGURATION,
            Self::OauthAuthorizationServer => OAUTH_AUTHORIZATION_SERVER,
            Self::Jwks => "jwks",
            Self::Authorize => "authorize",
            Self::SignIn => "sign-in",
            Self::Consent => "consent",
            Self::Token => "token",
            Self::UserInfo => "userinfo",
            Self::Revoke => "revoke",
            Self::Introspect => "introspect",
            Self::EndSession => "end_session",
            Self::Register => "register",
            Self::RegisteredClient(_) => "register/client",
            Self::Health => "health",
            Self::Maintenance => "maintenance",
            Self::SetUp => "setup",
            Self::Restore => "setup/restore",
            Self::Asset(_) => "assets",
            Self::AdminApi(_) => "admin/api",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routed(path: &str) -> Option<(String, Endpoint)> {
        route(path).map(|route| (route.prefix, route.endpoint))
    }

    #[test]
    fn the_prefix_is_what_stands_before_the_endpoint_as_whole_segments() {
        assert_eq!(routed("/token"), Some((String::new(), Endpoint::Token)));
        assert_eq!(routed("/t/acme/token"), Some(("/t/acme".to_owned(), Endpoint::Token)));
        assert_eq!(routed("/t/acmetoken").map(|r| r.1), Some(Endpoint::Home));
        assert_eq!(routed("/token/"), None);
        assert_eq!(routed("/token/x"), None);
    }

    #[test]
    fn the_well_known_part_stands_before_or_after_the_path_but_not_both() {
        let oidc = |prefix: &str| Some((prefix.to_owned(), Endpoint::OpenidConfiguration));
        assert_eq!(routed("/.well-known/openid-configuration"), oidc(""));
        assert_eq!(routed("/t/acme/.well-known/openid-configuration"), oidc("/t/acme"));
        assert_eq!(routed("/.well-known/openid-configuration/t/acme"), oidc("/t/acme"));
        assert_eq!(routed("/t/a/.well-known/openid-configuration/t/b"), None);
        assert_eq!(routed("/.well-known/other"), None);
    }

    #[test]
    fn the_first_reserved_segment_decides() {
        assert_eq!(routed("/register/token").map(|r| r.1), Some(Endpoint::RegisteredClient("token".to_owned())));
        assert_eq!(routed("/admin/api/tenants").map(|r| r.1), Some(Endpoint::AdminApi(vec!["tenants".to_owned()])));
    }
}
