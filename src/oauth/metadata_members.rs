//! Reading client metadata out of JSON, member by member, with an error that names the member (RFC 7591 §3.2.2).

use serde_json::{Map, Value};

use crate::error::Refusal;
use crate::platform::Alg;

pub(super) fn invalid(why: impl Into<String>) -> Refusal {
    Refusal::InvalidClientMetadata(why.into())
}

/// Typed access to JSON members; null counts as absent (RFC 7592 §2.2).
pub(super) struct Members<'a>(pub(super) &'a Map<String, Value>);

const LONGEST_TEXT: usize = 2000;
const LONGEST_LIST: usize = 50;

impl Members<'_> {
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, Refusal> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control) => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(invalid(format!("{name} has to be a string of at most {LONGEST_TEXT} printable bytes."))),
        }
    }

    pub(super) fn texts(&self, name: &'static str) -> Result<Option<Vec<String>>, Refusal> {
        let wrong = || {
            let why = format!("{name} has to be a list of at most {LONGEST_LIST} strings.");
            if name == "redirect_uris" { Refusal::InvalidRedirectUri(why) } else { invalid(why) }
        };
        let Some(value) = self.value(name) else { return Ok(None) };
        let list = value.as_array().filter(|list| list.len() <= LONGEST_LIST).ok_or_else(wrong)?;
        list.iter()
            .map(|item| item.as_str().filter(|text| text.len() <= LONGEST_TEXT).map(str::to_owned).ok_or_else(wrong))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.value(name)
            .map(|value| value.as_bool().ok_or_else(|| invalid(format!("{name} has to be true or false."))))
            .transpose()
    }

    pub(super) fn seconds(&self, name: &'static str) -> Result<Option<i64>, Refusal> {
        self.value(name)
            .map(|value| {
                value
                    .as_i64()
                    .filter(|seconds| *seconds >= 0)
                    .ok_or_else(|| invalid(format!("{name} has to be a number of seconds.")))
            })
            .transpose()
    }

    pub(super) fn alg(&self, name: &'static str) -> Result<Option<Alg>, Refusal> {
        self.text(name)?
            .map(|text| {
                let known = || Alg::ALL.map(Alg::as_str).join(", ");
                Alg::from_name(&text).ok_or_else(|| invalid(format!("{name} has to be one of {}.", known())))
            })
            .transpose()
    }

    /// Refuses when one of these is asked for.
    pub(super) fn check_unsupported(&self, unsupported: &[&str]) -> Result<(), Refusal> {
        let is_asked = |name: &&&str| self.value(name).is_some_and(|value| value != &Value::Bool(false));
        match unsupported.iter().find(is_asked) {
            Some(name) => Err(invalid(format!("{name} is not supported."))),
            None => Ok(()),
        }
    }
}
