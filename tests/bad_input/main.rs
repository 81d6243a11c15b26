//! What bad input gets, from whichever side it comes: clients, browsers, bindings, clocks, stored values.

#[path = "../support/mod.rs"]
mod support;

mod bindings;
mod fuzz;
mod secrets;
mod shape;
mod stored;

use serde_json::json;
use vedette::http::Method;

use support::{Answer, Browser, Call, Client, Deployment, Page, Tokens, User};

const OFFLINE: &str = "openid offline_access";

/// Alice, signed in, and everything that she and her client hold.
struct Scene {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
    tokens: Tokens,
    registration: Registration,
}

struct Registration {
    path: String,
    id: String,
    token: String,
}

impl Scene {
    fn new() -> Self {
        let deployment = Deployment::new();
        let client = deployment.client_with(json!({
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
            "post_logout_redirect_uris": ["https://rp.example/out"],
        }));
        let alice = deployment.user("alice");
        let browser = Browser::new(&deployment);
        let code = browser.code(&client.ask().with("scope", OFFLINE), &alice);
        let tokens = Tokens::of(client.redeem(&deployment, &code));
        let made = deployment.send(deployment.post("/register").json(&support::metadata(json!({})))).expect(201);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let registration = Registration {
            path: format!("/register/{}", text("client_id")),
            id: text("client_id"),
            token: text("registration_access_token"),
        };
        Self { deployment, client, alice, browser, tokens, registration }
    }

    fn code(&self) -> String {
        self.browser.code(&self.client.ask().with("scope", OFFLINE), &self.alice)
    }

    /// A good request to everything that asks SQL or KV for anything, by name.
    fn good_requests(&self) -> Vec<(&'static str, Call)> {
        let Self { deployment, client, tokens, browser, .. } = self;
        let sign_in = Page::of(&browser.ask(&client.ask().with("prompt", "login")));
        let consent = Page::of(&browser.ask(&client.ask().with("prompt", "consent")));
        let sign_out = Page::of(&browser.get("/end_session"));
        let name_and_password =
            [("username", self.alice.username.as_str()), ("password", self.alice.password.as_str())];
        let wrong = [("username", self.alice.username.as_str()), ("password", "wrong")];
        let hint = format!("/end_session?id_token_hint={}", tokens.id_token());
        let registration = deployment.get(&self.registration.path).bearer(&self.registration.token);
        let mut update = support::metadata(json!({"client_name": "Updated"}));
        update["client_id"] = json!(self.registration.id);
        let by_browser = |call: Call| browser.dressed(call);
        vec![
            ("discovery", deployment.get("/.well-known/openid-configuration")),
            ("jwks", deployment.get("/jwks")),
            ("home", by_browser(deployment.get("/"))),
            ("authorize", by_browser(deployment.get(&client.ask().path()))),
            ("sign-in", by_browser(browser.submission(&sign_in, &name_and_password))),
            ("a wrong password", by_browser(browser.submission(&sign_in, &wrong))),
            ("allow", by_browser(browser.submission(&consent, &[("answer", "allow")]))),
            ("deny", by_browser(browser.submission(&consent, &[("answer", "deny")]))),
            ("code", client.redemption(deployment, &self.code())),
            ("refresh", client.refreshing(deployment, tokens.refresh_token())),
            ("client credentials", client.post(deployment, "/token", &[("grant_type", "client_credentials")])),
            ("userinfo", deployment.get("/userinfo").bearer(&tokens.access_token)),
            ("introspect", client.post(deployment, "/introspect", &[("token", tokens.access_token.as_str())])),
            ("revoke an access token", client.post(deployment, "/revoke", &[("token", tokens.access_token.as_str())])),
            ("revoke", client.post(deployment, "/revoke", &[("token", tokens.refresh_token())])),
            ("sign out", by_browser(deployment.get(&hint))),
            ("confirm signing out", by_browser(browser.submission(&sign_out, &[("answer", "sign-out")]))),
            ("register", deployment.post("/register").json(&support::metadata(json!({})))),
            ("read a registration", registration.clone()),
            (
                "update a registration",
                deployment.call(Method::Put, &self.registration.path).bearer(&self.registration.token).json(&update),
            ),
            (
                "delete a registration",
                deployment.call(Method::Delete, &self.registration.path).bearer(&self.registration.token),
            ),
            ("list users", deployment.manage(Method::Get, "/users")),
            ("create a user", deployment.manage(Method::Post, "/users").json(&json!({"username": "new"}))),
            ("rotate a secret", deployment.manage(Method::Post, &format!("/clients/{}/secret", client.id))),
        ]
    }

    /// All rows but counts of attempts, which are there to be written before anything else happens.
    fn rows(&self) -> Vec<String> {
        let tables = self.deployment.world.with_db(|db| {
            let mut names =
                db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'throttles'").unwrap();
            names.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<String>, _>>().unwrap()
        });
        tables.iter().flat_map(|table| rows_of(&self.deployment, table)).collect()
    }
}

/// The rows of a table as text.
fn rows_of(deployment: &Deployment, table: &str) -> Vec<String> {
    deployment.world.with_db(|db| {
        let mut statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|column| Ok(format!("{:?}", row.get::<_, rusqlite::types::Value>(column)?)));
            Ok(format!("{table}: {}", values.collect::<Result<Vec<_>, rusqlite::Error>>()?.join(", ")))
        });
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    })
}

/// An answer that blames the server and says nothing of why.
#[track_caller]
fn assert_unavailable(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.text());
    assert!(!answer.header("retry-after").is_empty(), "{what}");
    assert!(answer.headers("set-cookie").is_empty(), "{what}");
    assert!(answer.response.header("location").is_none(), "{what}");
    if answer.header("content-type") == "application/json" {
        assert_eq!(answer.error(), (503, "temporarily_unavailable"), "{what}");
    } else {
        assert_eq!(answer.error_page(), (503, "temporarily_unavailable"), "{what}");
    }
    // Words only: a request id is random letters, and may happen to spell one of these.
    let request_id = answer.header("x-request-id");
    assert!(!request_id.is_empty(), "{what}");
    let words = answer.text().replace(request_id, "");
    for detail in ["SQL", "sql", "decode", "column", "secret", "SECRET", "broken", "Fault", "wrangler", "nonsense"] {
        assert!(!words.contains(detail), "{what}: {detail}: {words}");
    }
}
