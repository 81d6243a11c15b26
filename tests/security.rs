//! What a reviewer tried and found possible once: each test is named for what holds now.

#[path = "support/mod.rs"]
mod support;

use serde_json::json;
use vedette::http::Method;
use vedette::keys::schedule::ROTATION_PERIOD;
use vedette::memory::{Breakage, block_on, interleave};
use vedette::tenants::kv_key;

use support::{Answer, Browser, Deployment, Page, metadata, verifies};

#[test]
fn a_redirect_uri_that_browsers_would_resolve_against_the_issuer_cannot_be_registered() {
    let deployment = Deployment::new();
    for uri in [
        "https:rp.example/cb",
        "https:/rp.example/cb",
        "https:///rp.example/cb",
        "http:localhost/cb",
        "HTTPS:rp.example/cb",
        // What is compared is the text, so it would be another one than the browser's.
        "HTTPS://rp.example/cb",
    ] {
        let answer = deployment.send(deployment.post("/register").json(&metadata(json!({"redirect_uris": [uri]}))));
        assert_eq!(answer.error(), (400, "invalid_redirect_uri"), "{uri}");
        let answer =
            deployment.send(deployment.post("/register").json(&metadata(json!({"post_logout_redirect_uris": [uri]}))));
        assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{uri}");
    }
}

#[test]
fn pages_that_are_still_open_do_not_lead_to_a_redirect_uri_that_was_taken_away() {
    let deployment = Deployment::new();
    let alice = deployment.user("alice");
    let client = deployment.client_with(json!({"post_logout_redirect_uris": ["https://rp.example/bye"]}));
    let browser = Browser::new(&deployment);
    let sign_in = browser.ask(&client.ask());
    let consent = browser.sign_in(&sign_in, &alice);
    let bye = format!("/end_session?client_id={}&post_logout_redirect_uri=https://rp.example/bye", client.id);
    let sign_out = browser.get(&bye);
    let moved = json!({"redirect_uris": ["https://new.example/cb"], "post_logout_redirect_uris": []});
    deployment.patch(&format!("/clients/{}", client.id), &moved);
    for answer in
        [browser.consent(&consent, "allow"), browser.consent(&consent, "deny"), browser.sign_in(&sign_in, &alice)]
    {
        assert_eq!(answer.error_page(), (400, "invalid_request"));
    }
    let signed_out = browser.submit(&Page::of(&sign_out), &[("answer", "sign-out")]);
    assert_eq!((signed_out.status, signed_out.response.header("location")), (200, None));
    assert_eq!(deployment.count("sessions WHERE tenant_id = ?1 AND ended_at IS NULL"), 0);
}

#[test]
fn an_old_password_begins_no_session_that_outlives_its_change() {
    let deployment = Deployment::new();
    let client = deployment.client();
    for seed in 0..40 {
        let alice = deployment.user(&format!("alice{seed}"));
        let browser = Browser::new(&deployment);
        let page = Page::of(&browser.ask(&client.ask()));
        let sign_in = browser.submission(&page, &[("username", &alice.username), ("password", &alice.password)]);
        let change = deployment.manage(Method::Patch, &format!("/users/{}", alice.id));
        let change = change.json(&json!({"password": "another long password"}));
        let answers = interleave([browser.dressed(sign_in), change].map(|call| deployment.handle(call)), seed);
        let answers: Vec<Answer> = answers.into_iter().map(Answer::from).collect();
        assert_eq!(answers[1].status, 200, "seed {seed}");
        let live = format!("sessions WHERE tenant_id = ?1 AND user_id = '{}' AND ended_at IS NULL", alice.id);
        assert_eq!(deployment.count(&live), 0, "seed {seed}");
        let begun = deployment.count(&format!("sessions WHERE tenant_id = ?1 AND user_id = '{}'", alice.id));
        let audited = "audit_events WHERE tenant_id = ?1 AND event = 'user.signed_in' AND user_id";
        assert_eq!(deployment.count(&format!("{audited} = '{}'", alice.id)), begun, "seed {seed}");
    }
}

#[test]
fn a_consent_counts_only_for_the_person_who_was_asked() {
    let deployment = Deployment::new();
    let (alice, bob) = (deployment.user("alice"), deployment.user("bob"));
    let (client, other) = (deployment.client(), deployment.client());
    let browser = Browser::new(&deployment);
    let asked_alice = browser.sign_in(&browser.ask(&client.ask()), &alice);
    // In another tab.
    let _ = browser.sign_in(&browser.ask(&other.ask().with("prompt", "login")), &bob);
    let asked_bob = browser.consent(&asked_alice, "allow");
    assert_eq!(asked_bob.response.header("location"), None);
    assert!(Page::of(&asked_bob).is_consent() && asked_bob.text().contains("bob"), "{}", asked_bob.text());
    assert_eq!(deployment.count("consents WHERE tenant_id = ?1"), 0);
    assert!(browser.consent(&asked_bob, "allow").query().contains_key("code"));
}

#[test]
fn a_sign_in_form_is_no_answer_to_a_question_that_was_not_asked() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let _ = browser.code(&client.ask(), &alice);
    // Allowed before, so there is no consent page; and with a password once, not twice.
    let sign_in = browser.ask(&client.ask().with("prompt", "login"));
    assert!(browser.sign_in(&sign_in, &alice).query().contains_key("code"));
    let form = Page { action: "/consent".to_owned(), ..Page::of(&sign_in) };
    let answer = browser.submit(&form, &[("answer", "allow")]);
    assert!(Page::of(&answer).is_sign_in(), "{}", answer.text());
    // Never allowed, and never asked.
    let other = deployment.client();
    let switched = browser.consent(&browser.ask(&other.ask()), "switch");
    let form = Page { action: "/consent".to_owned(), ..Page::of(&switched) };
    let answer = browser.submit(&form, &[("answer", "allow")]);
    assert!(answer.response.header("location").is_none());
}

#[test]
fn a_rotated_operator_secret_takes_its_tokens_with_it() {
    let deployment = Deployment::new();
    let rotate =
        || deployment.send(deployment.manage(Method::Post, &format!("/clients/{}/secret", deployment.client_id)));
    let secret = rotate().expect(200)["client_secret"].as_str().unwrap().to_owned();
    // Whoever stole the old secret cannot take the client back with a token of it.
    assert_eq!(rotate().error(), (401, "invalid_token"));
    let admin_token = deployment.client_token(&deployment.client_id, &secret).unwrap();
    let renewed = Deployment { admin_token, ..deployment.clone() };
    renewed.send(renewed.manage(Method::Get, "")).expect(200);
    let active = |token: &str| {
        let call = deployment.post("/introspect").basic(&deployment.client_id, &secret).form(&[("token", token)]);
        deployment.send(call).expect(200)["active"].as_bool()
    };
    assert_eq!((active(&deployment.admin_token), active(&renewed.admin_token)), (Some(false), Some(true)));
}

#[test]
fn nobody_registers_a_scope_that_only_an_operator_may_give() {
    let deployment = Deployment::new();
    let machine =
        |scope: &str| metadata(json!({"grant_types": ["client_credentials"], "redirect_uris": [], "scope": scope}));
    let answer = deployment.send(deployment.post("/register").json(&machine("billing:write")));
    assert_eq!(answer.error(), (400, "invalid_client_metadata"));
    let made = deployment.send(deployment.post("/register").json(&machine("openid billing:write email"))).expect(201);
    assert_eq!(made["scope"], "openid email");
    let id = made["client_id"].as_str().unwrap();
    let token = |scope: &str| {
        let call = deployment.post("/token").basic(id, made["client_secret"].as_str().unwrap());
        deployment.send(call.form(&[("grant_type", "client_credentials"), ("scope", scope)]))
    };
    assert_eq!(token("billing:write").error(), (400, "invalid_scope"));
    let update = |scope: &str| {
        let mut members = machine(scope);
        members["client_id"] = json!(id);
        let call = deployment.call(Method::Put, &format!("/register/{id}"));
        deployment.send(call.bearer(made["registration_access_token"].as_str().unwrap()).json(&members))
    };
    assert_eq!(update("billing:write").error(), (400, "invalid_client_metadata"));
    // What an operator gave stays where the client keeps it.
    deployment.patch(&format!("/clients/{id}"), &json!({"scope": "billing:read"}));
    token("billing:read").expect(200);
    assert_eq!(update("billing:read billing:write").expect(200)["scope"], "billing:read");
    token("billing:read").expect(200);
}

#[test]
fn a_refused_scope_does_not_use_up_the_refresh_token() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let tokens = client.tokens(&deployment, &alice, "openid offline_access");
    let wider = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token()), ("scope", "openid email")];
    assert_eq!(deployment.send(client.post(&deployment, "/token", &wider)).error(), (400, "invalid_scope"));
    deployment.world.advance(vedette::store::grants::GRACE + 1);
    client.refresh(&deployment, tokens.refresh_token()).expect(200);
}

#[test]
fn endless_scopes_are_refused_before_they_cost_anything() {
    let deployment = Deployment::new();
    let machine = json!({"grant_types": ["client_credentials"], "redirect_uris": [], "scope": "a"});
    let client = deployment.client_with(machine);
    // As many as a body holds would be compared a hundred million times.
    let endless: Vec<String> = (0..13_000).map(|number| format!("{number:x}")).collect();
    let endless = endless.join(" ");
    let pairs = [("grant_type", "client_credentials"), ("scope", endless.as_str())];
    let answer = deployment.send(client.post(&deployment, "/token", &pairs));
    assert_eq!(answer.error(), (400, "invalid_scope"));
    assert!(answer.text().contains("too many"), "{}", answer.text());
}
#[test]
fn an_address_that_is_out_of_attempts_locks_no_account_and_fills_no_table() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let page = Page::of(&browser.ask(&client.ask()));
    let guess = |username: &str| browser.submit(&page, &[("username", username), ("password", "wrong")]).status;
    assert_eq!(guess("somebody"), 422);
    deployment.execute("UPDATE throttles SET attempts = 100 WHERE bucket LIKE 'address:%'");
    for number in 0..20 {
        assert_eq!(guess(&format!("user{number}")), 429);
        assert_eq!(guess("alice"), 429);
    }
    assert_eq!(deployment.count("throttles WHERE tenant_id = ?1"), 2);
    assert_eq!(deployment.audited("user.sign_in_throttled"), 1);
    // Alice herself, from where she is.
    let call = browser.submission(&page, &[("username", "alice"), ("password", &alice.password)]);
    assert_eq!(browser.send(call.at_address("198.51.100.7")).status, 200);
}
#[test]
fn a_program_on_the_device_does_not_get_what_was_allowed_to_another() {
    let deployment = Deployment::new();
    let alice = deployment.user("alice");
    let answers = |method: &str, redirect_uri: &str| {
        let client = deployment.client_with(json!({
            "token_endpoint_auth_method": method,
            "application_type": "native",
            "redirect_uris": [redirect_uri],
        }));
        let browser = Browser::new(&deployment);
        let ask = client.ask().with_challenge();
        let _ = browser.complete(&ask, &alice);
        let again = browser.ask(&ask);
        let silent = browser.ask(&ask.with("prompt", "none"));
        (again.status, silent.query().remove("error"))
    };
    let asked = (200, Some("consent_required".to_owned()));
    assert_eq!(answers("none", "http://127.0.0.1:49152/cb"), asked);
    assert_eq!(answers("none", "com.example.app:/cb"), asked);
    // Only the client itself can use these.
    assert_eq!(answers("none", "https://app.example/cb"), (303, None));
    assert_eq!(answers("client_secret_basic", "http://127.0.0.1:49152/cb"), (303, None));
}
#[test]
fn whoever_can_write_to_kv_cannot_change_a_tenant_unseen() {
    let deployment = Deployment::new();
    let key = kv_key("id.example.com");
    let keys = |deployment: &Deployment| deployment.send(deployment.get("/jwks")).expect(200);
    let good = deployment.world.with_kv(|kv| kv[&key].clone());
    let published = keys(&deployment);
    let change = |path: &str, value: serde_json::Value| {
        let mut copy: serde_json::Value = serde_json::from_slice(&good).unwrap();
        *copy.pointer_mut(path).expect("a member") = value;
        deployment.world.with_kv(|kv| kv.insert(key.clone(), copy.to_string().into_bytes()));
        deployment.other_isolate()
    };
    let own = json!({"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "kid": "mine", "alg": "ES256", "use": "sig"});
    assert_eq!(keys(&change("/keys/0/public_jwk", json!(own.to_string()))), published);
    assert_eq!(keys(&change("/keys/0/revoked_at", json!(1))), published);
    let disabled = change("/tenant/disabled_at", json!(1));
    assert_eq!(keys(&disabled), published);
    // Nor can an old copy be made a fresh one.
    deployment.world.advance(300);
    let later = change("/read_at", json!(deployment.world.now().0));
    deployment.world.reset_counts();
    keys(&later);
    assert_eq!(deployment.world.counts().sql_batches, 1);
}

#[test]
fn a_damaged_key_with_none_before_it_does_not_leave_everybody_waiting_for_its_standby() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    // A tenant that has never rotated: one key of each algorithm signs, and the time of the next comes in months.
    deployment.execute(
        "UPDATE signing_keys SET wrapped_private = 'AAAA' WHERE alg IN ('ES256', 'RS256') AND ordinal = 1; DELETE FROM maintenance",
    );
    deployment.world.with_kv(std::collections::BTreeMap::clear);
    let isolate = deployment.other_isolate();
    let jwks = isolate.send(isolate.get("/jwks")).expect(200);
    assert!(verifies(&deployment.admin_token, &jwks), "what it signed still verifies");
    let tokens = client.tokens(&isolate, &alice, "openid");
    let jwks = isolate.send(isolate.get("/jwks")).expect(200);
    assert!(verifies(&tokens.access_token, &jwks) && verifies(tokens.id_token(), &jwks));
}

#[test]
fn a_tenant_whose_rows_cannot_be_cleaned_up_keeps_no_other_from_its_keys() {
    let deployment = Deployment::new();
    let _ = deployment.another_tenant("https://other.example");
    deployment.world.advance(ROTATION_PERIOD);
    deployment.execute(
        "INSERT INTO throttles (tenant_id, bucket, window_started_at, attempts) SELECT min(id), 'x', 0, 1 FROM tenants; \
         CREATE TRIGGER broken BEFORE DELETE ON throttles BEGIN SELECT RAISE(ABORT, 'broken'); END",
    );
    let host = deployment.other_isolate();
    assert!(!block_on(vedette::maintenance::scheduled(&host.host, &host.isolate)));
    assert_eq!(
        deployment.last_log()["maintenance"],
        json!({"tenants": 2, "keys_made": 8, "cleaned_up": 1, "failed": 1})
    );
}

#[test]
fn a_consent_that_nobody_could_give_any_more_is_not_in_the_audit() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    for seed in 0..30 {
        deployment.world.advance(1);
        let browser = Browser::new(&deployment);
        let consent = Page::of(&browser.sign_in(&browser.ask(&client.ask().with("prompt", "consent")), &alice));
        deployment.patch(&format!("/clients/{}", client.id), &json!({"disabled": false}));
        let allow = browser.submission(&consent, &[("answer", "allow")]);
        let disable =
            deployment.manage(Method::Patch, &format!("/clients/{}", client.id)).json(&json!({"disabled": true}));
        let before = deployment.audited("consent.granted");
        let answers = interleave([browser.dressed(allow), disable].map(|call| deployment.handle(call)), seed);
        let answer = Answer::from(answers.into_iter().next().unwrap());
        let was_given = answer.response.header("location").is_some_and(|location| location.contains("code="));
        assert_eq!(deployment.audited("consent.granted") - before, i64::from(was_given), "seed {seed}");
        deployment.patch(&format!("/clients/{}", client.id), &json!({"disabled": false}));
    }
}

#[test]
fn a_question_that_was_declined_cannot_be_answered_again_as_if_just_signed_in() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let consent = browser.sign_in(&browser.ask(&client.ask().with("prompt", "login")), &alice);
    assert_eq!(browser.consent(&consent, "deny").query()["error"], "access_denied");
    let again = browser.consent(&consent, "allow");
    assert!(Page::of(&again).is_sign_in(), "{}", again.text());
}

#[test]
fn an_honest_sign_in_takes_back_one_attempt_of_its_address_also_when_an_answer_is_lost() {
    let deployment = Deployment::new();
    let (client, alice) = (deployment.client(), deployment.user("alice"));
    let browser = Browser::new(&deployment);
    let wrong = browser.ask(&client.ask());
    for _ in 0..5 {
        let _ = browser.submit(&Page::of(&wrong), &[("username", "nobody"), ("password", "wrong")]);
    }
    for lost in 0..3 {
        let browser = Browser::new(&deployment);
        let page = browser.ask(&client.ask());
        deployment.world.break_after(lost, Breakage::SqlAnswerLost);
        let _ = browser.sign_in(&page, &alice);
        deployment.world.mend();
        let attempts =
            "(SELECT attempts FROM throttles WHERE tenant_id = ?1 AND bucket LIKE 'address:%') WHERE attempts < 5";
        assert_eq!(deployment.count(attempts), 0, "{lost}");
    }
}
