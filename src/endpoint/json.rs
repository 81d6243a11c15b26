//! Request bodies of `application/json`: an object, its members each at most once, taken out by type. A member that nobody
//! took is refused where a typo must not pass unseen.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::http::Request;

const CONTENT_TYPE: &str = "application/json";

/// The members of an object in a request's body, as far as they are not yet taken.
#[derive(Debug)]
pub struct Members(Map<String, Value>);

impl Members {
    /// The object in the body; anything else, and anything but that content type, is refused.
    pub fn of(request: &Request) -> Result<Self, Refusal> {
        let content_type = request.header("content-type").unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case(CONTENT_TYPE) {
            return Err(Refusal::WrongContentType { expected: CONTENT_TYPE });
        }
        serde_json::from_slice(&request.body)
            .map_err(|_| Refusal::MalformedBody("The body is not a JSON object whose members have different names."))
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    pub fn take_text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(name, "has to be a string")),
        }
    }

    pub fn take_flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(invalid(name, "has to be true or false")),
        }
    }

    /// Refuses members that are the server's to set.
    pub fn refuse(&self, names: &[&str]) -> Result<(), Refusal> {
        match names.iter().find(|name| self.0.contains_key(**name)) {
            Some(name) => Err(invalid(name, "cannot be set")),
            None => Ok(()),
        }
    }

    /// Refuses whatever was not taken.
    pub fn finish(self) -> Result<(), Refusal> {
        self.names().next().map_or(Ok(()), |name| Err(unknown(name)))
    }

    /// The names of those that were not taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those that were not taken, for someone else to read.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.0
    }
}

/// What is wrong with a member. Its name may be anything a client sent, so it is cut short.
#[must_use]
pub fn invalid(name: &str, why: &'static str) -> Refusal {
    Refusal::InvalidMember { name: name.chars().take(60).collect(), why }
}

#[must_use]
pub fn unknown(name: &str) -> Refusal {
    invalid(name, "is not known here")
}

/// serde_json would let the last of several members of one name win (RFC 8259 §4 leaves that open).
impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("two members of one name"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn members(content_type: &str, body: &str) -> Result<Members, Refusal> {
        Members::of(&Request {
            method: Method::Post,
            path: "/".to_owned(),
            query: None,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.as_bytes().to_vec(),
            client_address: None,
        })
    }

    #[test]
    fn parameters_and_case_of_the_content_type_do_not_matter() {
        assert!(members("Application/JSON; charset=utf-8", "{}").is_ok());
        for other in ["", "text/json", "application/x-www-form-urlencoded", "application/jsonp"] {
            assert_eq!(
                members(other, "{}").unwrap_err(),
                Refusal::WrongContentType { expected: "application/json" },
                "{other}"
            );
        }
    }

    #[test]
    fn only_an_object_with_different_names_is_a_body() {
        for body in ["", "[]", "null", "\"{}\"", "{", "{}{}", r#"{"a":1,"a":2}"#, "\u{feff}{}"] {
            assert!(matches!(members("application/json", body), Err(Refusal::MalformedBody(_))), "{body}");
        }
    }

    #[test]
    fn members_that_nobody_takes_are_refused_by_name() {
        let mut given = members("application/json", r#"{"name":"a","nmae":"b"}"#).unwrap();
        assert_eq!(given.take_text("name"), Ok(Some("a".to_owned())));
        assert_eq!(given.finish(), Err(Refusal::InvalidMember { name: "nmae".to_owned(), why: "is not known here" }));
    }

    #[test]
    fn a_member_of_another_type_is_refused_null_included() {
        let mut given = members("application/json", r#"{"a":null,"b":1}"#).unwrap();
        assert!(given.take_text("a").is_err());
        assert!(given.take_flag("b").is_err());
        assert_eq!(given.take_flag("c"), Ok(None));
    }
}
