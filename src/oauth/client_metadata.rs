//! Client metadata: RFC 7591 §2, OpenID Connect Registration §2, and RP-Initiated Logout §3.1. Parsed and checked once, when a
//! client is registered; what is stored is what was checked.
//!
//! Members that are not in [`ClientMetadata`] are ignored, as RFC 7591 §2 says; they are not echoed either.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::grant_type::{AuthMethod, GrantType};
use super::metadata_members::{Members, invalid};
use super::redirect_uri::{ApplicationType, check_page, check_registrable, check_web};
use super::response_mode::RESPONSE_TYPES;
use super::scope::{self, Scope};
use crate::error::Refusal;
use crate::platform::Alg;

/// Bytes of metadata that a client may register by itself.
const SELF_REGISTERED_LIMIT: usize = 8 * 1024;

/// What a client is, under the names of the specifications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientMetadata {
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    #[serde(default)]
    pub post_logout_redirect_uris: Vec<String>,
    pub token_endpoint_auth_method: String,
    pub grant_types: Vec<String>,
    pub response_types: Vec<String>,
    #[serde(default)]
    pub application_type: ApplicationType,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
    /// Space-separated; what the client may ask for at most. Absent: everything we know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<Alg>,
    /// UserInfo answers a JWT, not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<Alg>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_max_age: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_auth_time: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_acr_values: Option<Vec<String>>,
}

/// The members that registration knows.
const MEMBERS: [&str; 24] = [
    "redirect_uris",
    "post_logout_redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
    "application_type",
    "client_name",
    "client_uri",
    "logo_uri",
    "policy_uri",
    "tos_uri",
    "initiate_login_uri",
    "contacts",
    "scope",
    "jwks",
    "jwks_uri",
    "software_id",
    "software_version",
    "subject_type",
    "id_token_signed_response_alg",
    "userinfo_signed_response_alg",
    "default_max_age",
    "require_auth_time",
    "default_acr_values",
];

/// Members that ask for protection which we do not give: better refused than ignored.
const UNSUPPORTED: [&str; 11] = [
    "sector_identifier_uri",
    "id_token_encrypted_response_alg",
    "id_token_encrypted_response_enc",
    "userinfo_encrypted_response_alg",
    "userinfo_encrypted_response_enc",
    "request_object_signing_alg",
    "request_object_encryption_alg",
    "request_object_encryption_enc",
    "token_endpoint_auth_signing_alg",
    "tls_client_certificate_bound_access_tokens",
    "dpop_bound_access_tokens",
];

/// The members that choose what something is signed with.
pub const ALGORITHM_MEMBERS: [&str; 2] = ["id_token_signed_response_alg", "userinfo_signed_response_alg"];

const SOFTWARE_STATEMENT: &str = "software_statement";

/// Whether [`ClientMetadata::parse`] has anything to say of a member, for those who must not ignore the others.
#[must_use]
pub fn is_member(name: &str) -> bool {
    MEMBERS.contains(&name) || UNSUPPORTED.contains(&name) || name == SOFTWARE_STATEMENT
}

impl ClientMetadata {
    /// Reads and checks what a client sent. Defaults are those of RFC 7591 §2.
    pub fn parse(members: &Map<String, Value>) -> Result<Self, Refusal> {
        if members.get(SOFTWARE_STATEMENT).is_some_and(|statement| !statement.is_null()) {
            return Err(Refusal::SoftwareStatementUnsupported);
        }
        let members = Members(members);
        let application_type = match members.text("application_type")?.as_deref() {
            None | Some("web") => ApplicationType::Web,
            Some("native") => ApplicationType::Native,
            Some(_) => return Err(invalid("application_type has to be web or native.")),
        };
        let metadata = Self {
            redirect_uris: members.texts("redirect_uris")?.unwrap_or_default(),
            post_logout_redirect_uris: members.texts("post_logout_redirect_uris")?.unwrap_or_default(),
            token_endpoint_auth_method: members
                .text("token_endpoint_auth_method")?
                .unwrap_or_else(|| AuthMethod::ClientSecretBasic.as_str().to_owned()),
            grant_types: members
                .texts("grant_types")?
                .unwrap_or_else(|| vec![GrantType::AuthorizationCode.as_str().to_owned()]),
            response_types: Vec::new(),
            application_type,
            client_name: members.text("client_name")?,
            client_uri: members.text("client_uri")?,
            logo_uri: members.text("logo_uri")?,
            policy_uri: members.text("policy_uri")?,
            tos_uri: members.text("tos_uri")?,
            initiate_login_uri: members.text("initiate_login_uri")?,
            contacts: members.texts("contacts")?,
            scope: members.text("scope")?,
            jwks: members.0.get("jwks").filter(|jwks| !jwks.is_null()).cloned(),
            jwks_uri: members.text("jwks_uri")?,
            software_id: members.text("software_id")?,
            software_version: members.text("software_version")?,
            subject_type: members.text("subject_type")?,
            id_token_signed_response_alg: members.alg("id_token_signed_response_alg")?,
            userinfo_signed_response_alg: members.alg("userinfo_signed_response_alg")?,
            default_max_age: members.seconds("default_max_age")?,
            require_auth_time: members.flag("require_auth_time")?,
            default_acr_values: members.texts("default_acr_values")?,
        };
        let response_types = members.texts("response_types")?;
        metadata.with_response_types(response_types).checked(&members)
    }

    /// `["code"]` unless the client said something or cannot use a redirect at all.
    fn with_response_types(mut self, given: Option<Vec<String>>) -> Self {
        let uses_codes = self.allows(GrantType::AuthorizationCode);
        self.response_types = given.unwrap_or_else(|| if uses_codes { vec!["code".to_owned()] } else { Vec::new() });
        self
    }

    fn checked(self, members: &Members<'_>) -> Result<Self, Refusal> {
        if AuthMethod::from_name(&self.token_endpoint_auth_method).is_none() {
            return Err(invalid(
                "token_endpoint_auth_method has to be client_secret_basic, client_secret_post or none.",
            ));
        }
        if let Some(unknown) = self.grant_types.iter().find(|name| GrantType::from_name(name).is_none()) {
            return Err(invalid(format!("The grant type {unknown} is not supported.")));
        }
        if let Some(unknown) = self.response_types.iter().find(|name| !RESPONSE_TYPES.contains(&name.as_str())) {
            return Err(invalid(format!("The response type {unknown} is not supported.")));
        }
        let uses_codes = self.allows(GrantType::AuthorizationCode);
        if uses_codes != self.response_types.iter().any(|name| name == "code") {
            return Err(invalid("grant_types authorization_code and response_types code go together."));
        }
        if self.is_public() && self.allows(GrantType::ClientCredentials) {
            return Err(invalid("A public client cannot use client_credentials."));
        }
        self.check_redirect_uris(uses_codes)?;
        type Check = fn(&str) -> Result<(), &'static str>;
        for (name, uri, check) in [
            ("client_uri", &self.client_uri, check_page as Check),
            ("logo_uri", &self.logo_uri, check_web),
            ("policy_uri", &self.policy_uri, check_page),
            ("tos_uri", &self.tos_uri, check_page),
            ("jwks_uri", &self.jwks_uri, check_web),
        ] {
            if let Some(uri) = uri {
                check(uri).map_err(|why| invalid(format!("{name} {why}.")))?;
            }
        }
        if self.initiate_login_uri.as_deref().is_some_and(|uri| !uri.starts_with("https://") || check_web(uri).is_err())
        {
            return Err(invalid("initiate_login_uri has to be an https URI."));
        }
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err(invalid("jwks and jwks_uri exclude each other."));
        }
        if self.jwks.as_ref().is_some_and(|jwks| !jwks.get("keys").is_some_and(Value::is_array)) {
            return Err(invalid("jwks has to be a JWK Set."));
        }
        if self.subject_type.as_deref().is_some_and(|subject_type| subject_type != "public") {
            return Err(invalid("subject_type has to be public."));
        }
        if let Some(scope) = &self.scope {
            Scope::parse(scope).map_err(|_| invalid("scope is malformed."))?;
        }
        members.check_unsupported(&UNSUPPORTED)?;
        Ok(self)
    }

    fn check_redirect_uris(&self, uses_codes: bool) -> Result<(), Refusal> {
        if uses_codes && self.redirect_uris.is_empty() {
            return Err(Refusal::InvalidRedirectUri("redirect_uris is missing.".to_owned()));
        }
        for uri in &self.redirect_uris {
            check_registrable(uri, self.application_type)
                .map_err(|why| Refusal::InvalidRedirectUri(format!("A redirect URI {why}.")))?;
        }
        for uri in &self.post_logout_redirect_uris {
            check_registrable(uri, self.application_type)
                .map_err(|why| invalid(format!("A post_logout_redirect_uri {why}.")))?;
        }
        Ok(())
    }

    /// Refuses algorithms that nothing can be signed with here yet; discovery lists those that it can.
    pub fn check_algorithms(&self, active: &[Alg]) -> Result<(), Refusal> {
        let chosen = [self.id_token_signed_response_alg, self.userinfo_signed_response_alg];
        for (name, alg) in ALGORITHM_MEMBERS.into_iter().zip(chosen) {
            if let Some(alg) = alg.filter(|alg| !active.contains(alg)) {
                let listed: Vec<&str> = active.iter().map(|alg| alg.as_str()).collect();
                return Err(invalid(format!(
                    "{name} {} is not available; there are {}.",
                    alg.as_str(),
                    listed.join(", ")
                )));
            }
        }
        Ok(())
    }

    /// What of this a client may say by itself: of scopes those that mean the same everywhere, and those that it has already,
    /// from an operator. Resource servers read other scopes as rights. What is left out shows in the answer (RFC 7591 §3.2.1).
    pub fn by_itself(self, before: Option<&Self>) -> Result<Self, Refusal> {
        // Anybody may send one, and it is kept.
        if self.to_json().len() > SELF_REGISTERED_LIMIT {
            return Err(invalid("The metadata is longer than 8 KiB."));
        }
        let Some(scope) = &self.scope else { return Ok(self) };
        let has_already =
            |token: &str| before.is_some_and(|before| before.scope.is_some() && before.may_ask_for(token));
        let kept = Scope::stored(scope).filtered(|token| scope::SUPPORTED.contains(&token) || has_already(token));
        if kept.is_empty() {
            return Err(invalid("scope names nothing that a client can register for by itself."));
        }
        Ok(Self { scope: Some(kept.to_string()), ..self })
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The members as a JSON object.
    #[must_use]
    pub fn members(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        }
    }

    #[must_use]
    pub fn allows(&self, grant_type: GrantType) -> bool {
        self.grant_types.iter().any(|name| name == grant_type.as_str())
    }

    /// Whether the client has no secret.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == AuthMethod::None.as_str()
    }

    /// RS256 unless the client chose (OpenID Connect Registration §2).
    #[must_use]
    pub fn id_token_alg(&self) -> Alg {
        self.id_token_signed_response_alg.unwrap_or(Alg::RS256)
    }

    /// Whether the client may ask for this scope token.
    #[must_use]
    pub fn may_ask_for(&self, token: &str) -> bool {
        self.scope.as_deref().is_none_or(|scope| scope.split(' ').any(|known| known == token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(value: Value) -> Result<ClientMetadata, Refusal> {
        ClientMetadata::parse(value.as_object().unwrap())
    }

    #[test]
    fn defaults_are_those_of_rfc_7591() {
        let client = parse(json!({"redirect_uris": ["https://rp.example/cb"]})).unwrap();
        assert_eq!(client.token_endpoint_auth_method, "client_secret_basic");
        assert_eq!(client.grant_types, ["authorization_code"]);
        assert_eq!(client.response_types, ["code"]);
        assert_eq!(client.id_token_alg(), Alg::RS256);
    }

    #[test]
    fn each_kind_of_bad_metadata_has_its_code() {
        let code = |value| parse(value).unwrap_err().told().code;
        assert_eq!(code(json!({})), "invalid_redirect_uri");
        assert_eq!(code(json!({"redirect_uris": ["https://rp.example/cb#f"]})), "invalid_redirect_uri");
        assert_eq!(code(json!({"redirect_uris": "https://rp.example/cb"})), "invalid_redirect_uri");
        let with = |name: &str, value: Value| {
            let mut object = json!({"redirect_uris": ["https://rp.example/cb"]});
            object[name] = value;
            object
        };
        for (name, value) in [
            ("grant_types", json!(["implicit"])),
            ("response_types", json!(["id_token"])),
            ("token_endpoint_auth_method", json!("tls_client_auth")),
            ("logo_uri", json!("javascript:alert(1)")),
            ("initiate_login_uri", json!("http://rp.example/login")),
            ("id_token_signed_response_alg", json!("none")),
            ("subject_type", json!("pairwise")),
            ("client_name", json!(7)),
            ("default_max_age", json!(-1)),
            ("userinfo_signed_response_alg", json!("none")),
        ] {
            assert_eq!(code(with(name, value)), "invalid_client_metadata", "{name}");
        }
        assert_eq!(code(with("software_statement", json!("x.y.z"))), "unapproved_software_statement");
    }

    #[test]
    fn unknown_members_are_ignored_and_not_echoed() {
        let client = parse(json!({"redirect_uris": ["https://rp.example/cb"], "operator": true, "x": 1})).unwrap();
        assert!(!client.members().contains_key("operator"));
        assert!(!client.members().contains_key("x"));
    }

    #[test]
    fn the_members_that_registration_knows_are_those_that_it_stores() {
        let redirect_uris = json!(["https://rp.example/cb"]);
        // jwks and jwks_uri exclude each other.
        let with_jwks = parse(json!({"redirect_uris": redirect_uris, "jwks": {"keys": []}})).unwrap();
        let with_the_rest = parse(json!({
            "redirect_uris": redirect_uris,
            "client_name": "RP",
            "client_uri": "https://rp.example/",
            "logo_uri": "https://rp.example/logo.png",
            "policy_uri": "https://rp.example/policy",
            "tos_uri": "https://rp.example/tos",
            "initiate_login_uri": "https://rp.example/login",
            "contacts": ["rp@rp.example"],
            "scope": "openid",
            "jwks_uri": "https://rp.example/jwks",
            "software_id": "rp",
            "software_version": "1",
            "subject_type": "public",
            "id_token_signed_response_alg": "ES256",
            "userinfo_signed_response_alg": "EdDSA",
            "default_max_age": 1,
            "require_auth_time": true,
            "default_acr_values": ["1"],
        }))
        .unwrap();
        let mut stored = with_the_rest.members();
        stored.extend(with_jwks.members());
        let mut stored: Vec<&str> = stored.keys().map(String::as_str).collect();
        let mut known = MEMBERS.to_vec();
        stored.sort_unstable();
        known.sort_unstable();
        assert_eq!(stored, known);
    }
}
