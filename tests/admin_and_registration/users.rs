use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vedette::http::Method;
use vedette::keys::wrap;
use vedette::memory::{Breakage, interleave};
use vedette::root::Roots;
use vedette::seal::KeyMaterial;

use crate::support::{Answer, Deployment, PASSWORD, ROOT_SECRET, USERNAME};

fn create(deployment: &Deployment, body: Value) -> Answer {
    deployment.send(deployment.manage(Method::Post, "/users").json(&body))
}

fn created(deployment: &Deployment, body: Value) -> String {
    create(deployment, body).expect(201)["id"].as_str().unwrap().to_owned()
}

fn read(deployment: &Deployment, id: &str) -> Answer {
    deployment.send(deployment.manage(Method::Get, &format!("/users/{id}")))
}

fn patch(deployment: &Deployment, id: &str, body: Value) -> Answer {
    deployment.send(deployment.manage(Method::Patch, &format!("/users/{id}")).json(&body))
}

/// Whether that user of that tenant has this password, under the tenant's own pepper.
fn has_password(deployment: &Deployment, tenant_id: &str, user_id: &str, password: &str) -> bool {
    let (wrapped, hash): (String, String) = deployment.world.with_db(|db| {
        let sql = "SELECT t.wrapped_master, c.secret FROM tenants AS t JOIN credentials AS c ON c.tenant_id = t.id \
            WHERE t.id = ?1 AND c.user_id = ?2";
        db.query_row(sql, [tenant_id, user_id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    });
    let roots = Roots::parse(&URL_SAFE_NO_PAD.encode(ROOT_SECRET)).unwrap();
    let master = wrap::unwrap_master(&roots, tenant_id, &wrapped).unwrap();
    let pepper = KeyMaterial::new(master.derive("vedette password pepper v1"));
    vedette::password::verify(&pepper, password, Some(&hash)).unwrap()
}

/// A session and a grant of that user, as signing in and redeeming a code would leave them.
fn signed_in(deployment: &Deployment, user_id: &str) {
    deployment.world.with_db(|db| {
        db.execute(
            "INSERT INTO sessions VALUES (?1, 's-' || ?2, ?2, 0, 0, 0, 9999999999, 'pwd', '1', '', NULL)",
            [&deployment.tenant_id, user_id],
        )
        .unwrap();
        db.execute(
            "INSERT INTO grants VALUES (?1, 'g-' || ?2, ?2, ?3, 's-' || ?2, 'openid', '{}', 0, '1', 'pwd', 1, 'x', 0, 0, NULL, \
             0, 9999999999, NULL, 0, 0, 0)",
            [&deployment.tenant_id, user_id, &deployment.client_id],
        )
        .unwrap();
    });
}

fn live_sessions(deployment: &Deployment) -> i64 {
    deployment.count("sessions WHERE tenant_id = ?1 AND ended_at IS NULL")
}

fn live_grants(deployment: &Deployment) -> i64 {
    deployment.count("grants WHERE tenant_id = ?1 AND revoked_at IS NULL")
}

#[test]
fn a_user_has_what_was_said_and_never_shows_a_password() {
    let deployment = Deployment::new();
    let said = json!({
        "username": "alice",
        "password": "a long enough one",
        "name": "Alice Example",
        "email": "alice@example.com",
        "email_verified": true,
        "address": {"formatted": "1 Lane\n1010 Vienna", "country": "Austria"},
        "middle_name": null,
    });
    let made = create(&deployment, said).expect(201);
    let id = made["id"].as_str().unwrap();
    let now = deployment.world.now().0;
    assert_eq!(
        made,
        json!({
            "id": id,
            "username": "alice",
            "administrator": false,
            "disabled": false,
            "created_at": now,
            "updated_at": now,
            "name": "Alice Example",
            "email": "alice@example.com",
            "email_verified": true,
            "address": {"formatted": "1 Lane\n1010 Vienna", "country": "Austria"},
        })
    );
    assert_eq!(read(&deployment, id).expect(200), made);
    assert!(has_password(&deployment, &deployment.tenant_id, id, "a long enough one"));
    assert_eq!(deployment.audited("user.created"), 1);
}

#[test]
fn what_a_user_cannot_be_is_refused_by_name() {
    let deployment = Deployment::new();
    for (over, named) in [
        (json!({"username": null}), "username"),
        (json!({"username": ""}), "username"),
        (json!({"username": " alice"}), "username"),
        (json!({"username": "al\u{7}ice"}), "username"),
        (json!({"username": "x".repeat(129)}), "username"),
        (json!({"password": 12_345_678}), "password"),
        (json!({"password": "short"}), "password"),
        (json!({"administrator": "yes"}), "administrator"),
        (json!({"disabled": 0}), "disabled"),
        (json!({"id": "chosen"}), "id"),
        (json!({"sub": "chosen"}), "sub"),
        (json!({"updated_at": 0}), "updated_at"),
        (json!({"emial": "alice@example.com"}), "emial"),
        (json!({"email": "nowhere"}), "email"),
        (json!({"phone_number_verified": "true"}), "phone_number_verified"),
        (json!({"address": {"planet": "Earth"}}), "address"),
    ] {
        let mut body = json!({"username": "alice"});
        body.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        let answer = create(&deployment, body);
        assert_eq!(answer.error(), (400, "invalid_request"), "{over}");
        let text = answer.body["error_description"].as_str().unwrap();
        assert!(text.contains(&format!(" {named} ")), "{text}");
    }
    assert_eq!(create(&deployment, json!({"name": "Alice"})).error(), (400, "invalid_request"));
    assert_eq!(deployment.count("users WHERE tenant_id = ?1"), 1);
    assert_eq!(deployment.audited("user.created"), 0);
}

#[test]
fn a_username_is_taken_whatever_its_case() {
    let deployment = Deployment::new();
    let alice = created(&deployment, json!({"username": "alice"}));
    assert_eq!(create(&deployment, json!({"username": "ALICE"})).error(), (409, "invalid_request"));
    let bob = created(&deployment, json!({"username": "bob"}));
    assert_eq!(patch(&deployment, &bob, json!({"username": "Alice"})).error(), (409, "invalid_request"));
    patch(&deployment, &alice, json!({"username": "Alice"})).expect(200);
    assert_eq!((deployment.audited("user.created"), deployment.audited("user.changed")), (2, 1));
}

#[test]
fn a_lost_answer_makes_one_user_and_says_so() {
    let deployment = Deployment::new();
    // Standing, tenant; then the batch.
    deployment.world.break_after(2, Breakage::SqlAnswerLost);
    let id = created(&deployment, json!({"username": "alice"}));
    assert_eq!((read(&deployment, &id).status, deployment.audited("user.created")), (200, 1));
}

#[test]
fn a_password_gets_the_pepper_of_its_own_tenant() {
    let deployment = Deployment::new();
    let acme = json!({"issuer": "https://acme.example", "name": "Acme"});
    let acme = deployment.send(deployment.admin(Method::Post, "/tenants").json(&acme)).expect(201);
    let acme = acme["id"].as_str().unwrap();
    let alice = json!({"username": USERNAME, "password": PASSWORD});
    let alice =
        deployment.send(deployment.admin(Method::Post, &format!("/tenants/{acme}/users")).json(&alice)).expect(201);
    let alice = alice["id"].as_str().unwrap();
    assert!(has_password(&deployment, acme, alice, PASSWORD));
    // The user is of that tenant only.
    assert_eq!(read(&deployment, alice).status, 404);
    assert_eq!(patch(&deployment, alice, json!({"name": "Alice"})).status, 404);
}

#[test]
fn a_change_changes_what_it_names() {
    let deployment = Deployment::new();
    let id = created(
        &deployment,
        json!({"username": "alice", "nickname": "Al", "email": "a@example.com", "email_verified": true}),
    );
    let before = read(&deployment, &id).expect(200);
    deployment.world.advance(60);
    let after =
        patch(&deployment, &id, json!({"nickname": null, "administrator": true, "email": "b@example.com"})).expect(200);
    let mut expected = before;
    expected["administrator"] = json!(true);
    expected["email"] = json!("b@example.com");
    expected["updated_at"] = json!(deployment.world.now().0);
    let members = expected.as_object_mut().unwrap();
    members.remove("nickname");
    // Another address was not verified.
    members.remove("email_verified");
    assert_eq!((&after, read(&deployment, &id).expect(200)), (&expected, expected.clone()));

    assert_eq!(patch(&deployment, &id, json!({"nikname": null})).error(), (400, "invalid_request"));
    assert_eq!(patch(&deployment, "unknown", json!({"name": "x"})).error(), (404, "not_found"));
    patch(&deployment, &id, json!({})).expect(200);
    patch(&deployment, &id, json!({"administrator": true})).expect(200);
    assert_eq!(deployment.audited("user.changed"), 1);
}

#[test]
fn whoever_gets_another_password_or_is_disabled_is_signed_out() {
    let deployment = Deployment::new();
    for change in [json!({"password": "another long one"}), json!({"disabled": true})] {
        let username = format!("user-{}", deployment.audited("user.created"));
        let id = created(&deployment, json!({"username": username, "password": "a long enough one"}));
        signed_in(&deployment, &id);
        patch(&deployment, &id, json!({"name": "Alice"})).expect(200);
        assert_eq!((live_sessions(&deployment), live_grants(&deployment)), (1, 1));
        patch(&deployment, &id, change.clone()).expect(200);
        assert_eq!((live_sessions(&deployment), live_grants(&deployment)), (0, 0), "{change}");
        let is_old = has_password(&deployment, &deployment.tenant_id, &id, "a long enough one");
        assert_eq!(is_old, change.get("password").is_none());
    }
}

#[test]
fn a_refused_change_changes_nothing_at_all() {
    let deployment = Deployment::new();
    let id = created(&deployment, json!({"username": "alice", "password": "a long enough one"}));
    signed_in(&deployment, &id);
    let before = read(&deployment, &id).expect(200);
    let refused =
        patch(&deployment, &id, json!({"username": USERNAME, "password": "another long one", "disabled": true}));
    assert_eq!(refused.error(), (409, "invalid_request"));
    assert_eq!(read(&deployment, &id).expect(200), before);
    assert_eq!((live_sessions(&deployment), live_grants(&deployment)), (1, 1));
    assert!(has_password(&deployment, &deployment.tenant_id, &id, "a long enough one"));
    assert_eq!(deployment.audited("user.changed"), 0);
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    for seed in 0..20 {
        let deployment = Deployment::new();
        let id = created(&deployment, json!({"username": "alice"}));
        let changes = [json!({"name": "Alice"}), json!({"nickname": "Al"}), json!({"administrator": true})];
        let calls = changes.iter().map(|change| {
            let call = deployment.manage(Method::Patch, &format!("/users/{id}")).json(change);
            vedette::handle(&deployment.host, &deployment.isolate, call.0)
        });
        let statuses: Vec<u16> = interleave(calls, seed).iter().map(|response| response.status).collect();
        assert_eq!(statuses, [200, 200, 200], "seed {seed}");
        let user = read(&deployment, &id).expect(200);
        assert_eq!(
            (&user["name"], &user["nickname"], &user["administrator"]),
            (&json!("Alice"), &json!("Al"), &json!(true)),
            "seed {seed}"
        );
        assert_eq!(deployment.audited("user.changed"), 3);
    }
}

#[test]
fn of_two_new_passwords_the_later_one_counts_also_when_an_answer_is_lost() {
    for seed in 0..60_u32 {
        let deployment = Deployment::new();
        let id = created(&deployment, json!({"username": "alice", "password": "a long enough one"}));
        let passwords = ["the one of one operator", "the one of the other"];
        let calls = passwords.map(|password| {
            let call = deployment.manage(Method::Patch, &format!("/users/{id}")).json(&json!({"password": password}));
            vedette::handle(&deployment.host, &deployment.isolate, call.0)
        });
        deployment.world.break_after(4 + seed as usize % 6, Breakage::SqlAnswerLost);
        let answers: Vec<Answer> = interleave(calls, seed.into()).into_iter().map(Answer::from).collect();
        deployment.world.mend();
        let made = answers.iter().zip(passwords).filter(|(answer, _)| answer.status == 200);
        let last = made.max_by_key(|(answer, _)| answer.body["updated_at"].as_i64().unwrap());
        if let Some((_, password)) = last.filter(|_| answers.iter().all(|answer| answer.status == 200)) {
            assert!(has_password(&deployment, &deployment.tenant_id, &id, password), "seed {seed}");
        }
    }
}

#[test]
fn a_deleted_user_is_gone_with_everything() {
    let deployment = Deployment::new();
    let id = created(&deployment, json!({"username": "alice", "password": "a long enough one"}));
    signed_in(&deployment, &id);
    let delete = || deployment.send(deployment.manage(Method::Delete, &format!("/users/{id}")));
    // Standing; then the batch, whose answer is lost: the second time nobody is there to delete.
    deployment.world.break_after(1, Breakage::SqlAnswerLost);
    assert_eq!(delete().status, 204);
    assert_eq!(delete().error(), (404, "not_found"));
    assert_eq!(read(&deployment, &id).status, 404);
    assert_eq!((live_sessions(&deployment), live_grants(&deployment)), (0, 0));
    assert_eq!(deployment.count("credentials WHERE tenant_id = ?1"), 1);
    assert_eq!(deployment.audited("user.deleted"), 1);
}

#[test]
fn pages_show_everyone_once() {
    let deployment = Deployment::new();
    for number in 0..6 {
        created(&deployment, json!({"username": format!("user-{number}")}));
    }
    let mut names = Vec::new();
    let mut path = "/users?limit=3".to_owned();
    let mut pages = 0;
    loop {
        let page = deployment.send(deployment.manage(Method::Get, &path)).expect(200);
        let users = page["users"].as_array().unwrap();
        names.extend(users.iter().map(|user| user["username"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/users?limit=3&cursor={next}");
    }
    names.sort_unstable();
    assert_eq!(
        (pages, names),
        (
            3,
            vec![
                "admin".to_owned(),
                "user-0".to_owned(),
                "user-1".to_owned(),
                "user-2".to_owned(),
                "user-3".to_owned(),
                "user-4".to_owned(),
                "user-5".to_owned(),
            ]
        )
    );
    assert_eq!(deployment.send(deployment.manage(Method::Get, "/users?limit=0")).error(), (400, "invalid_request"));
}

#[test]
fn the_audit_names_members_and_the_operator_but_no_values() {
    let deployment = Deployment::new();
    let id = created(&deployment, json!({"username": "alice"}));
    patch(&deployment, &id, json!({"password": "another long one", "nickname": "Al"})).expect(200);
    let (actor, user, detail): (String, String, String) = deployment.world.with_db(|db| {
        let sql = "SELECT actor, user_id, detail FROM audit_events WHERE event = 'user.changed'";
        db.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    });
    assert_eq!((&actor, &user), (&deployment.client_id, &id));
    let detail: Value = serde_json::from_str(&detail).unwrap();
    assert_eq!(detail, json!({"operator_tenant": deployment.tenant_id, "members": ["nickname", "password"]}));
}
