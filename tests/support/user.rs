//! People with accounts.

use serde_json::{Value, json};
use vedette::http::Method;

use super::{Deployment, PASSWORD};

#[derive(Clone, Debug)]
pub struct User {
    pub id: String,
    pub username: String,
    pub password: String,
}

impl Deployment {
    /// A user who has every standard claim.
    #[must_use]
    pub fn user(&self, username: &str) -> User {
        let mut members = every_claim(username);
        members["username"] = json!(username);
        members["password"] = json!(PASSWORD);
        let made = self.send(self.manage(Method::Post, "/users").json(&members)).expect(201);
        User {
            id: made["id"].as_str().expect("an id").to_owned(),
            username: username.to_owned(),
            password: PASSWORD.to_owned(),
        }
    }
}

/// Every claim of OpenID Connect Core §5.1 that can be written.
#[must_use]
pub fn every_claim(username: &str) -> Value {
    json!({
        "name": "Alice Adams",
        "given_name": "Alice",
        "family_name": "Adams",
        "middle_name": "B",
        "nickname": "Al",
        "preferred_username": username,
        "profile": "https://people.example/alice",
        "picture": "https://people.example/alice.png",
        "website": "https://alice.example/",
        "gender": "female",
        "birthdate": "1990-04-01",
        "zoneinfo": "Europe/Paris",
        "locale": "en-GB",
        "email": format!("{username}@example.com"),
        "email_verified": true,
        "phone_number": "+1 (310) 123-4567",
        "phone_number_verified": false,
        "address": {"street_address": "1 Main Street", "locality": "Paris", "country": "FR"},
    })
}
