//! Relying parties: what they are registered as, what they ask, and the tokens that they hold.

use serde_json::{Value, json};
use vedette::http::Method;
use vedette::oauth::form;

use super::{Answer, Browser, Call, Deployment, User};

/// The redirect URI of every client that names no other.
pub const REDIRECT_URI: &str = "https://rp.example/cb";

/// RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Metadata of a client, with these members over the usual ones.
#[must_use]
pub fn metadata(over: Value) -> Value {
    let mut members = json!({"client_name": "RP", "redirect_uris": [REDIRECT_URI]});
    if let (Some(members), Value::Object(over)) = (members.as_object_mut(), over) {
        members.extend(over);
    }
    members
}

#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    /// `None` for public clients.
    pub secret: Option<String>,
    pub redirect_uri: String,
}

impl Deployment {
    /// A confidential client for codes and refreshing.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with(json!({}))
    }

    /// A public client for codes and refreshing.
    #[must_use]
    pub fn public_client(&self) -> Client {
        self.client_with(json!({"token_endpoint_auth_method": "none"}))
    }

    /// A client for codes and refreshing, with these members over the usual ones.
    #[must_use]
    pub fn client_with(&self, over: Value) -> Client {
        let mut members = metadata(json!({"grant_types": ["authorization_code", "refresh_token"]}));
        if let (Some(members), Value::Object(over)) = (members.as_object_mut(), over) {
            members.extend(over);
        }
        let made = self.send(self.manage(Method::Post, "/clients").json(&members)).expect(201);
        Client {
            id: made["client_id"].as_str().expect("an id").to_owned(),
            secret: made["client_secret"].as_str().map(str::to_owned),
            redirect_uri: members["redirect_uris"][0].as_str().unwrap_or_default().to_owned(),
        }
    }
}

/// What a token response gave.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access_token: String,
    pub id_token: Option<String>,
    pub refresh_token: Option<String>,
}

impl Tokens {
    #[track_caller]
    #[must_use]
    pub fn of(answer: Answer) -> Self {
        let body = answer.expect(200);
        let token = |name: &str| body[name].as_str().map(str::to_owned);
        Self {
            access_token: token("access_token").expect("an access token"),
            id_token: token("id_token"),
            refresh_token: token("refresh_token"),
        }
    }

    #[track_caller]
    #[must_use]
    pub fn id_token(&self) -> &str {
        self.id_token.as_deref().expect("an ID token")
    }

    #[track_caller]
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        self.refresh_token.as_deref().expect("a refresh token")
    }
}

/// What a client calls.
impl Client {
    /// A call to one of the endpoints where clients authenticate: by `client_secret_basic`, or as a public client.
    #[must_use]
    pub fn post(&self, deployment: &Deployment, path: &str, pairs: &[(&str, &str)]) -> Call {
        match &self.secret {
            Some(secret) => deployment.post(path).form(pairs).basic(&self.id, secret),
            None => deployment.post(path).form(&[pairs, &[("client_id", self.id.as_str())]].concat()),
        }
    }

    /// Redeems a code that [`Client::ask`] led to.
    #[must_use]
    pub fn redemption(&self, deployment: &Deployment, code: &str) -> Call {
        let mut pairs =
            vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", self.redirect_uri.as_str())];
        if self.secret.is_none() {
            pairs.push(("code_verifier", VERIFIER));
        }
        self.post(deployment, "/token", &pairs)
    }

    pub fn redeem(&self, deployment: &Deployment, code: &str) -> Answer {
        deployment.send(self.redemption(deployment, code))
    }

    #[must_use]
    pub fn refreshing(&self, deployment: &Deployment, refresh_token: &str) -> Call {
        self.post(deployment, "/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)])
    }

    pub fn refresh(&self, deployment: &Deployment, refresh_token: &str) -> Answer {
        deployment.send(self.refreshing(deployment, refresh_token))
    }

    pub fn introspect(&self, deployment: &Deployment, token: &str) -> Answer {
        deployment.send(self.post(deployment, "/introspect", &[("token", token)]))
    }

    /// Whether a token is active, as this client is told.
    #[track_caller]
    #[must_use]
    pub fn sees_active(&self, deployment: &Deployment, token: &str) -> bool {
        self.introspect(deployment, token).expect(200)["active"].as_bool().expect("active")
    }

    pub fn revoke(&self, deployment: &Deployment, token: &str) -> Answer {
        deployment.send(self.post(deployment, "/revoke", &[("token", token)]))
    }

    /// A code for a person who signs in and consents in a browser of their own.
    #[track_caller]
    #[must_use]
    pub fn code(&self, deployment: &Deployment, user: &User, scope: &str) -> String {
        Browser::new(deployment).code(&self.ask().with("scope", scope), user)
    }

    /// Tokens for that person.
    #[track_caller]
    #[must_use]
    pub fn tokens(&self, deployment: &Deployment, user: &User, scope: &str) -> Tokens {
        Tokens::of(self.redeem(deployment, &self.code(deployment, user, scope)))
    }

    /// What a simple relying party asks: a code for `openid`, with state and nonce, and PKCE if the client is public.
    #[must_use]
    pub fn ask(&self) -> Ask {
        let ask = Ask { parameters: Vec::new() }
            .with("response_type", "code")
            .with("client_id", &self.id)
            .with("redirect_uri", &self.redirect_uri)
            .with("scope", "openid")
            .with("state", "af0ifjsldkj")
            .with("nonce", "n-0S6_WzA2Mj");
        if self.secret.is_some() { ask } else { ask.with_challenge() }
    }
}

impl Deployment {
    pub fn userinfo(&self, access_token: &str) -> Answer {
        self.send(self.get("/userinfo").bearer(access_token))
    }
}

/// An authorization request in the making.
#[derive(Clone, Debug)]
pub struct Ask {
    pub parameters: Vec<(String, String)>,
}

impl Ask {
    /// With this parameter, in its old place if it is there.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.parameters.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// With this parameter once more.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(known, _)| known != name);
        self
    }

    #[must_use]
    pub fn with_challenge(self) -> Self {
        self.with("code_challenge", CHALLENGE).with("code_challenge_method", "S256")
    }

    #[must_use]
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Path and query of the GET.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/authorize?{}", form::encode(self.pairs()))
    }
}
