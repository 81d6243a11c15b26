//! Guessing passwords: counted before anything is verified, per account and per address, over restarts.

use serde_json::json;

use crate::support::{Answer, Browser, Call, Client, Deployment, PASSWORD, Page, User};

const PER_ACCOUNT: usize = 10;
const PER_ADDRESS: usize = 100;
const WINDOW: i64 = 900;

struct Guesser {
    browser: Browser,
    page: Page,
}

impl Guesser {
    fn new(deployment: &Deployment, client: &Client) -> Self {
        let browser = Browser::new(deployment);
        let page = Page::of(&browser.ask(&client.ask()));
        Self { browser, page }
    }

    fn call(&self, username: &str, password: &str) -> Call {
        self.browser.submission(&self.page, &[("username", username), ("password", password)])
    }

    fn guess(&self, username: &str, password: &str) -> Answer {
        self.browser.send(self.call(username, password))
    }

    /// The counters as they were after so many attempts, without making them: each would cost an Argon2.
    fn after(&self, attempts: usize) {
        let db = format!("UPDATE throttles SET attempts = {attempts}");
        self.browser.deployment.execute(&db);
    }
}

fn all() -> (Deployment, Client, User) {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    (deployment, client, alice)
}

#[test]
fn after_ten_wrong_passwords_even_the_right_one_waits() {
    let (deployment, client, _) = all();
    let guesser = Guesser::new(&deployment, &client);
    for attempt in 1..=PER_ACCOUNT {
        assert_eq!(guesser.guess("alice", "wrong").status, 422, "attempt {attempt}");
    }
    deployment.world.advance(60);
    let refused = guesser.guess("alice", PASSWORD);
    assert_eq!((refused.status, refused.header("retry-after")), (429, "840"));
    assert!(refused.text().contains("14 minutes") && Page::of(&refused).is_sign_in(), "{}", refused.text());
    assert!(refused.headers("set-cookie").is_empty());
    assert_eq!(deployment.count("sessions WHERE tenant_id = ?1"), 0);
    assert_eq!((deployment.audited("user.sign_in_failed"), deployment.audited("user.sign_in_throttled")), (10, 1));
    // Another spelling is the same account.
    assert_eq!(guesser.guess(" ALICE ", PASSWORD).status, 429);
    deployment.world.advance(WINDOW - 60);
    let page = Guesser::new(&deployment, &client).guess("alice", PASSWORD);
    assert!(page.status == 200 && Page::of(&page).is_consent(), "{}", page.status);
}

#[test]
fn the_count_outlives_the_isolate_and_comes_before_the_check() {
    let (deployment, client, _) = all();
    let guesser = Guesser::new(&deployment, &client);
    guesser.guess("alice", "wrong");
    guesser.after(PER_ACCOUNT);
    let other = deployment.other_isolate();
    assert_eq!(Guesser::new(&other, &client).guess("alice", PASSWORD).status, 429);
}

#[test]
fn guesses_at_the_same_time_are_all_counted() {
    let (deployment, client, _) = all();
    let guesser = Guesser::new(&deployment, &client);
    let calls: Vec<Call> = (0..16).map(|_| guesser.browser.dressed(guesser.call("alice", "wrong"))).collect();
    let statuses: Vec<u16> = vedette::memory::interleave(calls.into_iter().map(|call| deployment.handle(call)), 7)
        .iter()
        .map(|response| response.status)
        .collect();
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), PER_ACCOUNT, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 16 - PER_ACCOUNT, "{statuses:?}");
}

#[test]
fn signing_in_clears_the_account() {
    let (deployment, client, _) = all();
    let guesser = Guesser::new(&deployment, &client);
    guesser.guess("alice", "wrong");
    guesser.after(PER_ACCOUNT - 1);
    assert_eq!(guesser.guess("alice", PASSWORD).status, 200);
    assert_eq!(deployment.count("throttles WHERE tenant_id = ?1 AND bucket LIKE 'account:%'"), 0);
}

#[test]
fn an_address_may_be_wrong_a_hundred_times_over_all_accounts() {
    let (deployment, client, alice) = all();
    let guesser = Guesser::new(&deployment, &client);
    guesser.guess("somebody", "wrong");
    deployment.execute(&format!("UPDATE throttles SET attempts = {PER_ADDRESS} WHERE bucket LIKE 'address:%'"));
    assert_eq!(guesser.guess("alice", PASSWORD).status, 429);
    let elsewhere = guesser.browser.send(guesser.call(&alice.username, PASSWORD).at_address("198.51.100.7"));
    assert_eq!(elsewhere.status, 200);
}

#[test]
fn who_signs_in_does_not_use_up_the_address() {
    let (deployment, client, _) = all();
    for _ in 0..3 {
        assert_eq!(Guesser::new(&deployment, &client).guess("alice", PASSWORD).status / 100, 2);
    }
    assert_eq!(deployment.count("throttles WHERE tenant_id = ?1 AND attempts > 0"), 0);
}

#[test]
fn addresses_of_one_ipv6_network_are_one_and_mapped_ipv4_ones_are_not() {
    let (deployment, client, _) = all();
    let guesser = Guesser::new(&deployment, &client);
    let buckets = |addresses: [&str; 2]| {
        deployment.execute("DELETE FROM throttles");
        for address in addresses {
            guesser.browser.send(guesser.call("nobody", "wrong").at_address(address));
        }
        deployment.count("throttles WHERE tenant_id = ?1 AND bucket LIKE 'address:%'")
    };
    assert_eq!(buckets(["2001:db8:1:2:3::4", "2001:db8:1:2::5"]), 1);
    assert_eq!(buckets(["2001:db8:1:2::5", "2001:db8:1:3::5"]), 2);
    assert_eq!(buckets(["::ffff:192.0.2.1", "::ffff:192.0.2.2"]), 2);
    assert_eq!(buckets(["::ffff:192.0.2.1", "192.0.2.1"]), 1);
}

#[test]
fn the_table_of_attempts_names_nobody() {
    let (deployment, client, _) = all();
    Guesser::new(&deployment, &client).guess("alice", "wrong");
    let buckets = deployment.world.with_db(|db| {
        db.query_row("SELECT group_concat(bucket) FROM throttles", [], |row| row.get::<_, String>(0)).unwrap()
    });
    assert!(!buckets.contains("alice") && !buckets.contains("192.0.2.1"), "{buckets}");
}

/// A page without what differs between any two showings: the sealed request.
fn shown(answer: &Answer) -> (u16, String, Vec<(&'static str, String)>) {
    let text = answer.text().replace(Page::of(answer).field("request"), "…");
    let headers = answer.response.headers.iter().filter(|(name, _)| *name != "x-request-id").cloned().collect();
    (answer.status, text, headers)
}

#[test]
fn an_unknown_person_a_disabled_one_and_a_wrong_password_look_the_same() {
    let (deployment, client, _) = all();
    let bob = deployment.user("bobby");
    deployment.patch(&format!("/users/{}", bob.id), &json!({"disabled": true}));
    let guesser = Guesser::new(&deployment, &client);
    // Names of one length, typed back into the page.
    let named = |name: &str, password: &str| {
        let (status, text, headers) = shown(&guesser.guess(name, password));
        (status, text.replace(name, "…"), headers)
    };
    let wrong = named("alice", "wrong");
    assert_eq!(wrong.0, 422);
    assert_eq!(named("nemo1", "wrong"), wrong);
    assert_eq!(named("bobby", PASSWORD), wrong);
}

#[test]
fn empty_and_endless_names_and_passwords_are_just_wrong() {
    let (deployment, client, _) = all();
    let guesser = Guesser::new(&deployment, &client);
    let long = "x".repeat(10_000);
    for (username, password) in [("", ""), ("alice", ""), ("", PASSWORD), (&*long, "wrong"), ("alice", &*long)] {
        assert_eq!(guesser.guess(username, password).status, 422);
    }
    assert_eq!(guesser.guess("alice", &format!("{PASSWORD}{long}")).status, 422);
}
