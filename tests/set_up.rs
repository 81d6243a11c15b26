//! First-run set-up: the link works once, makes everything or nothing, and shows the secret to whoever made it.

mod support;

use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::{Breakage, World, block_on, interleave};
use vedette::{setup, store};

use support::{Answer, Browser, Call, Deployment, ISSUER, PASSWORD, Page, USERNAME};

fn new() -> Deployment {
    Deployment::before_set_up(World::new(store::MIGRATIONS), ISSUER)
}

/// The deployment, with the operator client that set-up answered.
fn with_operator(mut deployment: Deployment, made: &Value) -> Deployment {
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    deployment.tenant_id = text("tenant_id");
    deployment.client_id = text("client_id");
    deployment.client_secret = text("client_secret");
    deployment.renew_admin_token();
    deployment
}

fn tables(deployment: &Deployment) -> Vec<i64> {
    ["tenants", "signing_keys", "users", "credentials", "clients", "used_tickets", "audit_events"]
        .map(|table| deployment.count(&format!("{table} WHERE ?1 = ?1")))
        .into()
}

const EVERYTHING: [i64; 7] = [1, 6, 1, 1, 1, 1, 1];

#[test]
fn before_set_up_there_is_no_issuer_but_health_answers() {
    let deployment = new();
    for path in ["/", "/.well-known/openid-configuration", "/jwks", "/authorize?client_id=x"] {
        assert_eq!(deployment.send(deployment.get(path)).status, 404, "{path}");
    }
    let health = deployment.send(Call::new(Method::Get, "/health").host("anything.example")).expect(200);
    assert_eq!((&health["status"], &health["tenants"]), (&json!("ok"), &json!("none")));
}

#[test]
fn a_person_sets_up_on_the_page_behind_the_link() {
    let deployment = new();
    let browser = Browser::new(&deployment);
    let page = browser.get(&format!("/setup?ticket={}", deployment.ticket()));
    assert_eq!(page.status, 200);
    let form = Page::of(&page);
    let fields =
        [("issuer_name", "Acme <ID>"), ("username", "admin"), ("password", PASSWORD), ("email", "admin@example.com")];
    let done = browser.submit(&form, &fields);
    assert_eq!((done.status, done.header("cache-control")), (201, "no-store"));
    assert!(done.text().contains("The operator client"), "{}", done.text());
    assert_eq!(tables(&deployment), EVERYTHING);
    // Registration is closed unless it was opened, and the name is on the pages.
    let document = deployment.send(deployment.get("/.well-known/openid-configuration")).expect(200);
    assert_eq!(document.get("registration_endpoint"), None);
    assert!(browser.get("/").text().contains("Acme &#60;ID&#62;"));
    // The link is dead.
    assert_eq!(browser.get(&format!("/setup?ticket={}", deployment.ticket())).error_page().0, 409);
    assert_eq!(browser.submit(&form, &fields).error_page().0, 409);
}

#[test]
fn what_set_up_makes_works_at_once() {
    let deployment = new();
    let made = deployment.send(deployment.set_up()).expect(201);
    assert_eq!(made["issuer"], ISSUER);
    let deployment = with_operator(deployment, &made);
    let admin =
        deployment.send(deployment.manage(Method::Get, &format!("/users/{}", made["user_id"].as_str().unwrap())));
    let admin = admin.expect(200);
    assert_eq!(
        (&admin["username"], &admin["administrator"], &admin["email_verified"]),
        (&json!(USERNAME), &json!(true), &json!(false))
    );
    let client = deployment.client();
    let browser = Browser::new(&deployment);
    let user = support::User { id: String::new(), username: USERNAME.to_owned(), password: PASSWORD.to_owned() };
    let _ = browser.code(&client.ask(), &user);
}

#[test]
fn what_is_wrong_in_the_form_is_said_and_makes_nothing() {
    let deployment = new();
    let ticket = deployment.ticket();
    let long = "x".repeat(2000);
    for (name, value) in [
        ("username", ""),
        ("username", "a\nb"),
        ("username", &long),
        ("password", ""),
        ("password", "short"),
        ("password", &long),
        ("email", "nobody"),
        ("issuer_name", &long),
        ("issuer_name", "a\u{7}"),
    ] {
        let mut fields =
            vec![("ticket", &*ticket), ("issuer_name", "X"), ("username", "admin"), ("password", PASSWORD)];
        fields.retain(|(known, _)| *known != name);
        fields.push((name, value));
        let as_page = deployment.send(deployment.post("/setup").for_a_page().form(&fields));
        assert_eq!(as_page.status, 422, "{name}");
        assert!(as_page.text().contains("role=\"alert\"") && !as_page.text().contains(PASSWORD), "{name}");
        let as_json = deployment.send(deployment.post("/setup").form(&fields));
        assert_eq!(as_json.error(), (400, "invalid_request"), "{name}");
    }
    assert_eq!(tables(&deployment), [0; 7]);
}

#[test]
fn a_ticket_is_ours_and_lives_an_hour() {
    let deployment = new();
    let ticket = deployment.ticket();
    let foreign = setup::mint_ticket(&"A".repeat(43), ISSUER, deployment.world.now().0, [7; 16]).unwrap();
    for wrong in ["", "x", &foreign, &ticket[1..]] {
        let answer = Browser::new(&deployment).get(&format!("/setup?ticket={wrong}"));
        assert_eq!(answer.error_page(), (403, "access_denied"), "{wrong}");
    }
    deployment.world.advance(3600);
    assert_eq!(Browser::new(&deployment).get(&format!("/setup?ticket={ticket}")).error_page(), (403, "access_denied"));
    assert_eq!(deployment.last_log()["refusal"], "ticket_expired");
}

#[test]
fn the_issuer_is_the_tickets_whatever_host_the_link_was_opened_on() {
    let deployment = new();
    let answer = deployment.send(deployment.set_up().host("evil.example"));
    assert_eq!(answer.expect(201)["issuer"], ISSUER);
}

#[test]
fn a_lost_answer_still_shows_the_secret() {
    for breakage in [Breakage::SqlAnswerLost, Breakage::SqlTimeoutBefore, Breakage::SqlError] {
        let deployment = new();
        // Whether anything is set up; then the batch.
        deployment.world.break_after(1, breakage);
        let made = deployment.send(deployment.set_up()).expect(201);
        assert_eq!(tables(&deployment), EVERYTHING, "{breakage:?}");
        with_operator(deployment, &made);
    }
}

#[test]
fn a_database_that_fails_after_the_batch_does_not_keep_the_secret_back() {
    let deployment = new();
    deployment.world.break_after(2, Breakage::SqlError);
    let made = deployment.send(deployment.set_up()).expect(201);
    with_operator(deployment, &made);
}

#[test]
fn a_failure_makes_nothing_at_all() {
    for (pass, breakage) in [(0, Breakage::SqlError), (0, Breakage::SecretMissing), (2, Breakage::GenerateKeyError)] {
        let deployment = new();
        deployment.world.break_after(pass, breakage);
        assert_eq!(deployment.send(deployment.set_up()).error(), (503, "temporarily_unavailable"), "{breakage:?}");
        deployment.world.mend();
        assert_eq!(tables(&deployment), [0; 7], "{breakage:?}");
        deployment.send(deployment.set_up()).expect(201);
    }
}

#[test]
fn ten_at_once_are_one_deployment_and_one_secret() {
    for seed in 0..6 {
        let deployment = new();
        let isolates: Vec<Deployment> = (0..10).map(|_| deployment.other_isolate()).collect();
        let answers: Vec<Answer> = interleave(isolates.iter().map(|isolate| isolate.handle(isolate.set_up())), seed)
            .into_iter()
            .map(Answer::from)
            .collect();
        let (made, refused): (Vec<&Answer>, Vec<&Answer>) = answers.iter().partition(|answer| answer.status == 201);
        assert_eq!(made.len(), 1, "seed {seed}");
        assert!(refused.iter().all(|answer| answer.error() == (409, "invalid_request")), "seed {seed}");
        assert_eq!(tables(&deployment), EVERYTHING, "seed {seed}");
        block_on(deployment.world.run_deferred());
        with_operator(deployment, &made[0].body);
    }
}
