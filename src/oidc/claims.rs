//! Claims about the person: what each scope means (OpenID Connect Core §5.4), the `claims` parameter (§5.5), and choosing from
//! what we know. A claim that we do not have is left out, essential or not (§5.5.1).

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::Refusal;
use crate::oauth::scope::Scope;
use crate::platform::UnixTime;
use crate::store::grants::UserClaims;

/// The claims of each scope; discovery and the consent page are made from this table.
pub const OF_SCOPE: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
];

/// Every claim about the person that we can give, besides `sub`.
pub fn supported() -> impl Iterator<Item = &'static str> {
    OF_SCOPE.iter().flat_map(|(_, claims)| claims.iter().copied())
}

fn is_supported(name: &str) -> bool {
    supported().any(|known| known == name)
}

/// The scope that a claim belongs to.
fn scope_of(claim: &str) -> Option<&'static str> {
    OF_SCOPE.iter().find(|(_, claims)| claims.contains(&claim)).map(|(scope, _)| *scope)
}

/// The `claims` parameter, reduced to what we can act on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimsRequest {
    /// Claims asked for from UserInfo by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub userinfo: Vec<String>,
    /// Claims asked for in the ID token by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_token: Vec<String>,
    /// The client insists on one of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subs: Vec<String>,
    /// `acr` values asked for in the ID token; essential when `acr_essential`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acr_essential: bool,
    /// `auth_time` asked for in the ID token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auth_time: bool,
}

/// Claims that are no person's, and that a request may ask for all the same (§5.5.1).
const OF_THE_SIGN_IN: [&str; 3] = ["sub", "acr", "auth_time"];

#[derive(Deserialize)]
struct Parameter {
    #[serde(default, deserialize_with = "known")]
    userinfo: Wishes,
    #[serde(default, deserialize_with = "known")]
    id_token: Wishes,
}

type Wishes = Option<BTreeMap<String, Option<Wish>>>;

/// Leaves out what is not understood, whatever its value is (§5.5).
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Wishes, D::Error> {
    let Some(all) = Option::<Map<String, Value>>::deserialize(deserializer)? else { return Ok(None) };
    let known = all.into_iter().filter(|(name, _)| is_supported(name) || OF_THE_SIGN_IN.contains(&name.as_str()));
    let wishes = known.map(|(name, wish)| Ok((name, serde_json::from_value(wish).map_err(D::Error::custom)?)));
    wishes.collect::<Result<_, _>>().map(Some)
}

#[derive(Deserialize, Default, Clone)]
struct Wish {
    #[serde(default)]
    essential: bool,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    values: Option<Vec<Value>>,
}

impl Wish {
    /// Whether it names values, and only such as the `sub` of somebody could be.
    fn insists_on_texts(&self) -> bool {
        self.values.as_ref().is_none_or(|values| !values.is_empty())
            && self.value.iter().chain(self.values.iter().flatten()).all(Value::is_string)
    }

    fn texts(&self) -> Vec<String> {
        let values = self.values.clone().unwrap_or_default();
        self.value.iter().chain(values.iter()).filter_map(Value::as_str).map(str::to_owned).collect()
    }
}

impl ClaimsRequest {
    /// Parses the parameter (a JSON object). Unknown claims are ignored.
    pub fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let Some(text) = text else { return Ok(Self::default()) };
        let malformed = || Refusal::MalformedParameter { name: "claims", why: "is not a claims request in JSON" };
        // serde would also read a struct from a list.
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|_| malformed())?;
        let parameter: Parameter = serde_json::from_value(Value::Object(object)).map_err(|_| malformed())?;
        let names = |wishes: &Wishes| -> Vec<String> {
            wishes.iter().flatten().map(|(name, _)| name.clone()).filter(|name| is_supported(name)).collect()
        };
        let wish = |name: &str| {
            let found = parameter.id_token.as_ref().and_then(|wishes| wishes.get(name).cloned());
            found.map(Option::unwrap_or_default)
        };
        let sub_of = |wishes: &Wishes| wishes.as_ref().and_then(|wishes| wishes.get("sub")?.clone());
        // Who insists on nobody that there can be must not get whoever is there.
        if [&parameter.id_token, &parameter.userinfo].into_iter().filter_map(sub_of).any(|sub| !sub.insists_on_texts())
        {
            return Err(Refusal::MalformedParameter { name: "claims", why: "asks for a sub that is not a string" });
        }
        let subs_of = |wishes: &Wishes| sub_of(wishes).map(|sub| sub.texts()).unwrap_or_default();
        let subs = Some(subs_of(&parameter.id_token)).filter(|subs| !subs.is_empty());
        let acr = wish("acr");
        Ok(Self {
            userinfo: names(&parameter.userinfo),
            id_token: names(&parameter.id_token),
            subs: subs.unwrap_or_else(|| subs_of(&parameter.userinfo)),
            acr_essential: acr.as_ref().is_some_and(|wish| wish.essential),
            acr: acr.map(|wish| wish.texts()).unwrap_or_default(),
            auth_time: wish("auth_time").is_some(),
        })
    }

    /// From what we stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What a person has to allow: the scopes, and `claim:name` for claims that no asked scope covers.
#[must_use]
pub fn consent_items(scope: &Scope, request: &ClaimsRequest) -> Vec<String> {
    let mut items: Vec<String> = scope.iter().map(str::to_owned).collect();
    for claim in request.userinfo.iter().chain(&request.id_token) {
        let covered = scope_of(claim).is_some_and(|covering| scope.contains(covering));
        let item = format!("claim:{claim}");
        if !covered && !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

/// Claims for UserInfo (§5.3.2), `sub` included.
#[must_use]
pub fn for_userinfo(sub: &str, user: &UserClaims, scope: &Scope, request: &ClaimsRequest) -> Map<String, Value> {
    let mut claims = chosen(user, |name| {
        request.userinfo.iter().any(|asked| asked == name)
            || scope_of(name).is_some_and(|covering| scope.contains(covering))
    });
    claims.insert("sub".to_owned(), json!(sub));
    claims
}

/// Claims that the ID token carries because they were asked for there by name (§5.5). Scope claims are UserInfo's, since an
/// access token is always issued too (§5.4).
#[must_use]
pub fn for_id_token(user: &UserClaims, request: &ClaimsRequest) -> Map<String, Value> {
    chosen(user, |name| request.id_token.iter().any(|asked| asked == name))
}

fn chosen(user: &UserClaims, wanted: impl Fn(&str) -> bool) -> Map<String, Value> {
    supported()
        .filter(|name| wanted(name))
        .filter_map(|name| {
            let value = match name {
                "updated_at" => Some(updated_at(user.updated_at)),
                _ => user.claims.get(name).cloned(),
            };
            value.map(|value| (name.to_owned(), value))
        })
        .collect()
}

fn updated_at(time: UnixTime) -> Value {
    json!(time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> UserClaims {
        let claims = json!({"name": "Alice", "email": "a@example.com", "email_verified": true});
        UserClaims { claims: claims.as_object().unwrap().clone(), updated_at: UnixTime(5) }
    }

    #[test]
    fn userinfo_gives_what_the_scopes_and_the_request_name_and_no_more() {
        let request = ClaimsRequest::parse(Some(r#"{"userinfo":{"name":{"essential":true},"x":null}}"#)).unwrap();
        let claims = for_userinfo("s", &user(), &Scope::stored("openid email"), &request);
        let names: Vec<_> = claims.keys().map(String::as_str).collect();
        assert_eq!(names, ["email", "email_verified", "name", "sub"]);
        assert!(for_id_token(&user(), &request).is_empty());
    }

    #[test]
    fn claims_outside_the_scopes_need_their_own_consent() {
        let request = ClaimsRequest::parse(Some(r#"{"userinfo":{"name":null,"email":null}}"#)).unwrap();
        assert_eq!(consent_items(&Scope::stored("openid email"), &request), ["openid", "email", "claim:name"]);
    }

    #[test]
    fn a_malformed_claims_parameter_is_refused() {
        for bad in ["", "{", "[]", r#"{"userinfo":7}"#, r#"{"userinfo":{"name":7}}"#] {
            assert!(ClaimsRequest::parse(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_is_ignored_whatever_it_says() {
        let text = r#"{"userinfo":{"verified_claims":[{"essential":7}],"name":null},"id_token":{"x":7},"y":[]}"#;
        let expected = ClaimsRequest { userinfo: vec!["name".to_owned()], ..ClaimsRequest::default() };
        assert_eq!(ClaimsRequest::parse(Some(text)).unwrap(), expected);
    }

    #[test]
    fn one_of_several_subjects_will_do() {
        let request = ClaimsRequest::parse(Some(r#"{"id_token":{"sub":{"values":["a","b"]}}}"#)).unwrap();
        assert_eq!(request.subs, ["a", "b"]);
    }

    #[test]
    fn a_request_survives_being_stored() {
        let text = r#"{"id_token":{"acr":{"essential":true,"values":["a","b"]},"auth_time":null,"sub":{"value":"u"}}}"#;
        let request = ClaimsRequest::parse(Some(text)).unwrap();
        assert_eq!(request.acr, ["a", "b"]);
        assert_eq!(ClaimsRequest::stored(&request.to_json()), request);
    }
}
