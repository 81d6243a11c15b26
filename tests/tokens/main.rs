//! Tokens: how they are got, what they say, how they are renewed, and how they end.

#[path = "../support/mod.rs"]
mod support;

mod client_authentication;
mod client_credentials;
mod codes;
mod contents;
mod endings;
mod introspection;
mod keys;
mod races;
mod refreshing;
mod revocation;
mod userinfo;

use serde_json::json;

use support::{Browser, Client, Deployment, Tokens, User};

/// Everything that `openid offline_access` needs.
struct Scene {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
}

const OFFLINE: &str = "openid offline_access";

impl Scene {
    fn new() -> Self {
        let deployment = Deployment::new();
        let (client, alice) = (deployment.client(), deployment.user("alice"));
        let browser = Browser::new(&deployment);
        Self { deployment, client, alice, browser }
    }

    /// A fresh code, from the one browser that Alice has.
    fn code(&self, scope: &str) -> String {
        self.browser.code(&self.client.ask().with("scope", scope), &self.alice)
    }

    fn tokens(&self, scope: &str) -> Tokens {
        Tokens::of(self.client.redeem(&self.deployment, &self.code(scope)))
    }

    /// Which of UserInfo, introspection and refreshing still honour these tokens.
    fn honoured(&self, tokens: &Tokens) -> Vec<&'static str> {
        let deployment = &self.deployment;
        let mut honoured = Vec::new();
        if deployment.userinfo(&tokens.access_token).status == 200 {
            honoured.push("userinfo");
        }
        if self.client.sees_active(deployment, &tokens.access_token) {
            honoured.push("access token");
        }
        if let Some(refresh_token) = &tokens.refresh_token {
            if self.client.sees_active(deployment, refresh_token) {
                honoured.push("refresh token");
            }
            if self.client.refresh(deployment, refresh_token).status == 200 {
                honoured.push("refreshing");
            }
        }
        honoured
    }

    /// A client that may introspect everybody's access tokens.
    fn resource_server(&self) -> Client {
        self.deployment.client_with(json!({"grant_types": ["client_credentials"], "resource_server": true}))
    }
}

const ALL: [&str; 4] = ["userinfo", "access token", "refresh token", "refreshing"];
