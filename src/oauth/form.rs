//! `application/x-www-form-urlencoded` parameters (WHATWG URL; RFC 6749 appendix B). In scope: strict decoding, and that no
//! parameter is given twice (RFC 6749 §3.1, §3.2).

use crate::error::Refusal;

/// Parameters at most. Every name is compared with those before it, so that endless ones would cost their square.
const MOST: usize = 200;

/// Decoded parameters, each name at most once. Parameters without a value count as omitted (RFC 6749 §3.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
    repeated: Vec<String>,
}

impl Form {
    /// Decodes strictly: a broken percent-encoding or bytes that are not UTF-8 are refused rather than repaired.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut form = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if form.pairs.len() + form.repeated.len() == MOST {
                return Err(Refusal::MalformedBody("There are more than 200 parameters."));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name =
                decode(name).ok_or(Refusal::MalformedBody("A parameter name is not valid percent-encoded UTF-8."))?;
            let value =
                decode(value).ok_or(Refusal::MalformedBody("A parameter is not valid percent-encoded UTF-8."))?;
            if form.pairs.iter().any(|(known, _)| *known == name) {
                form.repeated.push(name);
            } else {
                form.pairs.push((name, value));
            }
        }
        Ok(form)
    }

    /// The value of a parameter, unless it is absent or empty.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// As [`Form::value`], owned.
    #[must_use]
    pub fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(str::to_owned)
    }

    pub fn required(&self, name: &'static str) -> Result<&str, Refusal> {
        self.value(name).ok_or(Refusal::MissingParameter(name))
    }

    /// Refuses when any parameter came twice. Apart from parsing, because the authorization endpoint first wants to know
    /// where it may send the error.
    pub fn check_unique(&self) -> Result<(), Refusal> {
        self.repeated.first().map_or(Ok(()), |name| Err(Refusal::DuplicateParameter(name.clone())))
    }

    /// Whether this parameter came more than once.
    #[must_use]
    pub fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|known| known == name)
    }

    /// Each parameter that came once more, by name.
    pub fn repeated(&self) -> impl Iterator<Item = &str> {
        self.repeated.iter().map(String::as_str)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Percent-decodes one name or value, `+` being a space; `None` when an escape is broken or the result is not UTF-8.
#[must_use]
pub fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Encodes pairs as `name=value&…`.
#[must_use]
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn broken_escapes_are_refused_and_not_repaired() {
        for broken in ["a=%", "a=%4", "a=%zz", "%=1", "a=%ff"] {
            assert!(Form::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn an_empty_value_counts_as_omitted() {
        let form = Form::parse("a=&b&c=1").unwrap();
        assert_eq!((form.value("a"), form.value("b"), form.value("c")), (None, None, Some("1")));
    }

    #[test]
    fn a_repeated_parameter_is_reported_by_name() {
        let form = Form::parse("scope=a&state=x&scope=b&state=y&nonce=n").unwrap();
        assert_eq!(form.check_unique(), Err(Refusal::DuplicateParameter("scope".to_owned())));
        assert!(form.is_repeated("scope") && form.is_repeated("state") && !form.is_repeated("nonce"));
    }

    #[test]
    fn endless_parameters_are_refused() {
        let many = |count: usize| encode((0..count).map(|_| ("a", "b")));
        assert!(Form::parse(&many(MOST)).is_ok());
        assert!(Form::parse(&many(MOST + 1)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_again(name in "[a-z_]{1,10}", value in ".{1,60}") {
            let text = encode([(name.as_str(), value.as_str())]);
            let form = Form::parse(&text).unwrap();
            prop_assert_eq!(form.value(&name), Some(value.as_str()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = Form::parse(&text);
        }
    }
}
