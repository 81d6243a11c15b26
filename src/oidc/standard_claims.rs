//! The standard claims of OpenID Connect Core §5.1 and §5.1.1 as somebody may write them: names, types, and the syntax that
//! the specification gives. `sub` and `updated_at` are the server's own and cannot be written.

use serde_json::{Map, Value};
use url::Url;

/// Longest text, in characters.
const LONGEST: usize = 1000;

/// Claims that say of another claim that it was verified.
const VERIFIED: [(&str, &str); 2] = [("email", "email_verified"), ("phone_number", "phone_number_verified")];

/// A claim that cannot be written, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongClaim {
    pub name: String,
    pub why: &'static str,
}

/// Writes `changes` over `claims`; null removes a claim. An email address or phone number that changes is not a verified one
/// any more, unless `changes` says that it is.
pub fn merge(claims: &mut Map<String, Value>, changes: Map<String, Value>) -> Result<(), WrongClaim> {
    for (claim, flag) in VERIFIED {
        if changes.get(claim).is_some_and(|new| claims.get(claim) != Some(new)) {
            claims.remove(flag);
        }
    }
    for (name, value) in changes {
        let wrong = |why| WrongClaim { name: name.clone(), why };
        let kind = Kind::of(&name).map_err(wrong)?;
        if value.is_null() {
            claims.remove(&name);
        } else {
            kind.check(&value).map_err(wrong)?;
            claims.insert(name, value);
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Lines,
    Url,
    Email,
    Birthdate,
    Flag,
    Address,
}

impl Kind {
    fn of(claim: &str) -> Result<Self, &'static str> {
        match claim {
            "name" | "given_name" | "family_name" | "middle_name" | "nickname" | "preferred_username" | "gender"
            | "zoneinfo" | "locale" | "phone_number" => Ok(Self::Text),
            "profile" | "picture" | "website" => Ok(Self::Url),
            "email" => Ok(Self::Email),
            "birthdate" => Ok(Self::Birthdate),
            "email_verified" | "phone_number_verified" => Ok(Self::Flag),
            "address" => Ok(Self::Address),
            "sub" | "updated_at" => Err("cannot be set"),
            _ => Err("is not known here"),
        }
    }

    fn of_address_member(member: &str) -> Result<Self, &'static str> {
        match member {
            "formatted" | "street_address" => Ok(Self::Lines),
            "locality" | "region" | "postal_code" | "country" => Ok(Self::Text),
            _ => Err("has a member that is not one of an address"),
        }
    }

    fn check(self, value: &Value) -> Result<(), &'static str> {
        match (self, value) {
            (Self::Flag, Value::Bool(_)) => Ok(()),
            (Self::Flag, _) => Err("has to be true or false"),
            (Self::Address, Value::Object(members)) => check_address(members),
            (Self::Address, _) => Err("has to be an object of strings"),
            (_, Value::String(text)) => self.check_text(text),
            _ => Err("has to be a string"),
        }
    }

    fn check_text(self, text: &str) -> Result<(), &'static str> {
        if text.trim().is_empty() {
            return Err("is blank; null removes a claim");
        }
        if text.chars().count() > LONGEST {
            return Err("is longer than 1000 characters");
        }
        let is_line_break = |c: char| matches!(self, Self::Lines) && matches!(c, '\n' | '\r');
        if text.chars().any(|c| c.is_control() && !is_line_break(c)) {
            return Err("has a control character");
        }
        match self {
            Self::Url if !is_web_page(text) => Err("has to be an http or https URL"),
            Self::Email if !is_email(text) => Err("has to be an email address"),
            Self::Birthdate if !is_birthdate(text) => Err("has to be YYYY-MM-DD, 0000-MM-DD or YYYY"),
            _ => Ok(()),
        }
    }
}

fn check_address(members: &Map<String, Value>) -> Result<(), &'static str> {
    if members.is_empty() {
        return Err("is empty; null removes a claim");
    }
    members.iter().try_for_each(|(member, value)| {
        let text = value.as_str().ok_or("has to be an object of strings")?;
        Kind::of_address_member(member)?.check_text(text)
    })
}

fn is_web_page(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The addr-spec of RFC 5322 §3.4.1 in the form that people use: a dot-atom, `@`, a domain.
fn is_email(text: &str) -> bool {
    let is_atoms = |part: &str, others: &[u8]| {
        part.split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || others.contains(&b)))
    };
    text.len() <= 254
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            local.len() <= 64 && is_atoms(local, b"!#$%&'*+-/=?^_`{|}~") && is_atoms(domain, b"-")
        })
}

/// ISO 8601-1 as §5.1 narrows it: the year may be 0000 where it is withheld, or stand alone.
fn is_birthdate(text: &str) -> bool {
    let number = |digits: &str, count: usize| {
        let is_number = digits.len() == count && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let mut parts = text.split('-');
    let Some(year) = parts.next().and_then(|part| number(part, 4)) else { return false };
    match (parts.next(), parts.next(), parts.next()) {
        (None, None, None) => year != 0,
        (Some(month), Some(day), None) => {
            // A withheld year may be a leap year, and 0 counts as one.
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let longest = match number(month, 2) {
                Some(2) => 28 + u32::from(is_leap),
                Some(4 | 6 | 9 | 11) => 30,
                Some(1..=12) => 31,
                _ => 0,
            };
            number(day, 2).is_some_and(|day| (1..=longest).contains(&day))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn merged(before: Value, changes: Value) -> Result<Value, WrongClaim> {
        let mut claims = before.as_object().unwrap().clone();
        merge(&mut claims, changes.as_object().unwrap().clone())?;
        Ok(Value::Object(claims))
    }

    #[test]
    fn what_the_specification_shows_can_be_written() {
        // OpenID Connect Core §5.3.2 and §5.6.1, and §5.1.1's address.
        let claims = json!({
            "name": "Jane Doe",
            "given_name": "Jane",
            "family_name": "Doe",
            "preferred_username": "j.doe",
            "email": "janedoe@example.com",
            "email_verified": false,
            "picture": "http://example.com/janedoe/me.jpg",
            "birthdate": "0000-03-22",
            "phone_number": "+1 (310) 123-4567;ext=5678",
            "address": {"street_address": "1234 Hollywood Blvd.\r\nApt 7", "locality": "Los Angeles", "country": "US"},
        });
        assert_eq!(merged(json!({}), claims.clone()), Ok(claims));
    }

    #[test]
    fn each_kind_of_wrong_claim_is_named() {
        for (name, value) in [
            ("sub", json!("x")),
            ("sub", Value::Null),
            ("updated_at", json!(0)),
            ("emial", json!("x@example.com")),
            ("emial", Value::Null),
            ("name", json!(7)),
            ("name", json!("  ")),
            ("name", json!("a\nb")),
            ("name", json!("x".repeat(1001))),
            ("email_verified", json!("true")),
            ("email", json!("jane")),
            ("email", json!("jane@")),
            ("email", json!("jane doe@example.com")),
            ("email", json!("jane@example..com")),
            ("website", json!("javascript:alert(1)")),
            ("picture", json!("/me.jpg")),
            ("birthdate", json!("1990-4-1")),
            ("birthdate", json!("1990-02-29")),
            ("birthdate", json!("0000")),
            ("birthdate", json!("1990-13-01")),
            ("address", json!("Los Angeles")),
            ("address", json!({})),
            ("address", json!({"planet": "Earth"})),
            ("address", json!({"locality": null})),
        ] {
            assert_eq!(merged(json!({}), json!({name: value})).unwrap_err().name, name, "{value}");
        }
    }

    #[test]
    fn dates_of_leap_years_and_withheld_years_are_birthdates() {
        for date in ["2000-02-29", "0000-02-29", "1984", "1990-12-31"] {
            assert!(is_birthdate(date), "{date}");
        }
    }

    #[test]
    fn null_removes_and_what_is_not_named_stays() {
        let before = json!({"name": "Jane Doe", "nickname": "J"});
        assert_eq!(merged(before, json!({"nickname": null})), Ok(json!({"name": "Jane Doe"})));
    }

    #[test]
    fn an_address_that_changes_is_not_a_verified_one_unless_said_so() {
        let before = json!({"email": "a@example.com", "email_verified": true});
        let changed = |changes| merged(before.clone(), changes).unwrap();
        assert_eq!(changed(json!({"email": "b@example.com"})), json!({"email": "b@example.com"}));
        assert_eq!(changed(json!({"email": null})), json!({}));
        assert_eq!(changed(json!({"email": "a@example.com"})), before);
        let said_so = json!({"email": "b@example.com", "email_verified": true});
        assert_eq!(changed(said_so.clone()), said_so);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in ".{0,40}") {
            for kind in [Kind::Url, Kind::Email, Kind::Birthdate, Kind::Lines] {
                let _ = kind.check_text(&text);
            }
        }
    }
}
