//! `prompt` and `display`, OpenID Connect Core §3.1.2.1.

use crate::error::Refusal;

/// The prompt values that discovery names.
pub const SUPPORTED: [&str; 4] = ["none", "login", "consent", "select_account"];
/// The display values that discovery names.
pub const DISPLAYS: [&str; 4] = ["page", "popup", "touch", "wap"];

/// What the client wants the person to be asked, or not to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Prompt {
    pub none: bool,
    pub login: bool,
    pub consent: bool,
    pub select_account: bool,
}

impl Prompt {
    /// `none` excludes the others; unknown values are refused.
    pub fn parse(text: Option<&str>) -> Result<Self, Refusal> {
        let mut prompt = Self::default();
        for value in text.unwrap_or_default().split(' ').filter(|value| !value.is_empty()) {
            match value {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "consent" => prompt.consent = true,
                "select_account" => prompt.select_account = true,
                _ => return Err(Refusal::MalformedParameter { name: "prompt", why: "has an unknown value" }),
            }
        }
        if prompt.none && (prompt.login || prompt.consent || prompt.select_account) {
            return Err(Refusal::MalformedParameter { name: "prompt", why: "has none together with another value" });
        }
        Ok(prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_stands_alone() {
        assert!(Prompt::parse(Some("none")).unwrap().none);
        assert!(Prompt::parse(Some("none login")).is_err());
        assert!(Prompt::parse(Some("login consent")).is_ok());
        assert!(Prompt::parse(Some("create")).is_err());
    }
}
