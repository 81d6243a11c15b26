//! Scope values, RFC 6749 §3.3, and those of OpenID Connect Core §5.4 and §11 that we know.

use crate::error::Refusal;

/// The scopes that discovery names.
pub const SUPPORTED: [&str; 6] = ["openid", "profile", "email", "address", "phone", "offline_access"];

/// Tokens at most. Each is compared with those before it, so that endless ones would cost their square.
const MOST: usize = 100;

pub const OPENID: &str = "openid";
pub const OFFLINE_ACCESS: &str = "offline_access";

/// A set of scope tokens in the order given, without repetitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<String>);

impl Scope {
    /// Parses a `scope` parameter; only its syntax is checked.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let mut tokens: Vec<String> = Vec::new();
        for token in text.split(' ').filter(|token| !token.is_empty()) {
            if !token.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
                return Err(Refusal::InvalidScope("The scope has a character that scopes may not have."));
            }
            if !tokens.iter().any(|known| known == token) {
                if tokens.len() == MOST {
                    return Err(Refusal::InvalidScope("The scope has too many tokens."));
                }
                tokens.push(token.to_owned());
            }
        }
        Ok(Self(tokens))
    }

    /// From text of our own, already checked once.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.split(' ').filter(|token| !token.is_empty()).map(str::to_owned).collect())
    }

    #[must_use]
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|known| known == token)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.0.iter().all(|token| other.contains(token))
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Keeps the tokens for which `keep` holds.
    #[must_use]
    pub fn filtered(self, keep: impl Fn(&str) -> bool) -> Self {
        Self(self.0.into_iter().filter(|token| keep(token)).collect())
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_parsed_scope_prints_to_something_that_parses_the_same(text in "[ -~]{0,80}") {
            if let Ok(scope) = Scope::parse(&text) {
                prop_assert_eq!(Scope::parse(&scope.to_string()).unwrap(), scope);
            }
        }
    }

    #[test]
    fn quotes_and_backslashes_are_not_scope_characters() {
        assert!(Scope::parse("openid \"x\"").is_err());
        assert!(Scope::parse("a\\b").is_err());
        assert!(Scope::parse("openid\temail").is_err());
    }
}
