//! How the authorization response travels: OAuth 2.0 Multiple Response Types §2.1 and Form Post Response Mode.

use crate::error::Refusal;

/// The response types that discovery names.
pub const RESPONSE_TYPES: [&str; 1] = ["code"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

impl ResponseMode {
    pub const ALL: [Self; 3] = [Self::Query, Self::Fragment, Self::FormPost];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Fragment => "fragment",
            Self::FormPost => "form_post",
        }
    }

    /// From the parameter, else the default of the response type.
    pub fn parse(parameter: Option<&str>, response_type: Option<&str>) -> Result<Self, Refusal> {
        let Some(name) = parameter else { return Ok(Self::default_of(response_type)) };
        Self::ALL.into_iter().find(|mode| mode.as_str() == name).ok_or(Refusal::UnsupportedResponseMode)
    }

    /// Multiple Response Types §2.1 and §5. A client that asks for tokens in the front channel does not look at the query, not even
    /// for the error that says that it gets none.
    fn default_of(response_type: Option<&str>) -> Self {
        let mut values = response_type.unwrap_or_default().split(' ');
        if values.any(|value| matches!(value, "token" | "id_token")) { Self::Fragment } else { Self::Query }
    }
}
