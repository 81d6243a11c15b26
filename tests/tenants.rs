//! Tenants keep apart: nothing of one does anything at another, whether they share a host or not.

mod support;

use serde_json::json;
use vedette::http::Method;
use vedette::platform::Variable;

use support::{Answer, Browser, Call, Client, Deployment, ISSUER, Page, Tokens, User, claims_of};

const OFFLINE: &str = "openid offline_access";

/// One tenant with its own people and clients.
struct House {
    deployment: Deployment,
    client: Client,
    alice: User,
    browser: Browser,
    tokens: Tokens,
}

impl House {
    fn new(deployment: Deployment) -> Self {
        let client = deployment.client_with(json!({
            "grant_types": ["authorization_code", "refresh_token"],
            "resource_server": true,
            "post_logout_redirect_uris": ["https://rp.example/out"],
        }));
        let alice = deployment.user("alice");
        let browser = Browser::new(&deployment);
        let tokens = client.tokens(&deployment, &alice, OFFLINE);
        let house = Self { deployment, client, alice, browser, tokens };
        let _ = house.code();
        house
    }

    fn code(&self) -> String {
        self.browser.code(&self.client.ask().with("scope", OFFLINE), &self.alice)
    }

    /// Everything of this house still works.
    #[track_caller]
    fn assert_unharmed(&self) {
        self.deployment.userinfo(&self.tokens.access_token).expect(200);
        self.client.refresh(&self.deployment, self.tokens.refresh_token()).expect(200);
        assert!(self.browser.ask(&self.client.ask().with("prompt", "none")).query().contains_key("code"));
    }
}

/// Houses on other hosts, below one host, and one below the other.
fn neighbourhoods() -> Vec<[House; 2]> {
    [
        ("https://id.example.com", "https://id.other.example"),
        ("https://id.example.com/t/acme", "https://id.example.com/t/acme2"),
        ("https://id.example.com", "https://id.example.com/t/acme"),
    ]
    .map(|(here, there)| {
        let home = Deployment::at(here);
        let other = home.another_tenant(there);
        [House::new(home), House::new(other)]
    })
    .into()
}

#[test]
fn codes_tokens_clients_and_people_of_one_do_nothing_at_the_other() {
    for houses in neighbourhoods() {
        for (ours, theirs) in [(&houses[0], &houses[1]), (&houses[1], &houses[0])] {
            let here = &ours.deployment;
            let what = format!("{} at {}", theirs.deployment.issuer, here.issuer);
            // Their client is nobody here, and their code not one of ours.
            assert_eq!(theirs.client.redeem(here, &theirs.code()).error(), (401, "invalid_client"), "{what}");
            assert_eq!(ours.client.redeem(here, &theirs.code()).error(), (400, "invalid_grant"), "{what}");
            assert_eq!(theirs.client.refresh(here, theirs.tokens.refresh_token()).error(), (401, "invalid_client"));
            assert_eq!(ours.client.refresh(here, theirs.tokens.refresh_token()).error(), (400, "invalid_grant"));
            assert_eq!(here.userinfo(&theirs.tokens.access_token).error(), (401, "invalid_token"), "{what}");
            for token in [&*theirs.tokens.access_token, theirs.tokens.refresh_token()] {
                assert!(!ours.client.sees_active(here, token), "{what}");
                assert_eq!(ours.client.revoke(here, token).status, 200, "{what}");
            }
            let unknown = Browser::new(here).ask(&theirs.client.ask());
            assert_eq!(unknown.error_page(), (400, "invalid_client"), "{what}");
            theirs.deployment.userinfo(&theirs.tokens.access_token).expect(200);
        }
    }
}

#[test]
fn people_of_one_name_are_different_people_with_passwords_of_their_own() {
    for houses in neighbourhoods() {
        let [ours, theirs] = &houses;
        assert_ne!(ours.alice.id, theirs.alice.id);
        let path = format!("/users/{}", theirs.alice.id);
        theirs.deployment.patch(&path, &json!({"password": "another long password"}));
        let theirs_now = User { password: "another long password".to_owned(), ..theirs.alice.clone() };
        let sign_in = |house: &House, user: &User| {
            let browser = Browser::new(&house.deployment);
            browser.sign_in(&browser.ask(&house.client.ask().with("scope", OFFLINE)), user).status
        };
        assert_eq!((sign_in(ours, &theirs_now), sign_in(theirs, &ours.alice)), (422, 422));
        assert_eq!((sign_in(ours, &ours.alice), sign_in(theirs, &theirs_now)), (303, 303));
        ours.assert_unharmed();
    }
}

#[test]
fn cookies_and_forms_of_one_do_nothing_at_the_other() {
    for houses in neighbourhoods() {
        for (ours, theirs) in [(&houses[0], &houses[1]), (&houses[1], &houses[0])] {
            // A browser that has been at both.
            let both = theirs.browser.at(&ours.deployment);
            let asked = both.ask(&ours.client.ask().with("prompt", "none"));
            assert_eq!(asked.query()["error"], "login_required");
            // Even under the name of our cookie.
            let (our_name, _) = ours.browser.cookie("session");
            let (their_name, their_value) = theirs.browser.cookie("session");
            assert_ne!(our_name, their_name);
            both.cookies.borrow_mut().insert(our_name, their_value);
            let asked = both.ask(&ours.client.ask().with("prompt", "none"));
            assert_eq!(asked.query()["error"], "login_required");
            // Their form, posted here by the browser that it was made for.
            let form = Page::of(&theirs.browser.ask(&theirs.client.ask().with("prompt", "login")));
            let mut posted = Page::of(&both.ask(&ours.client.ask()));
            posted.fields = form.fields;
            let refused = both.submit(&posted, &[("username", "alice"), ("password", &ours.alice.password)]);
            assert_eq!(refused.error_page(), (400, "invalid_request"));
            // Their sign-out does not sign out here.
            let hint = [("id_token_hint", theirs.tokens.id_token())];
            let query = vedette::oauth::form::encode(hint);
            assert_eq!(ours.browser.get(&format!("/end_session?{query}")).error_page(), (400, "invalid_request"));
            ours.assert_unharmed();
        }
    }
}

#[test]
fn signing_out_of_one_leaves_the_other() {
    for houses in neighbourhoods() {
        let [ours, theirs] = &houses;
        let page = Page::of(&ours.browser.get("/end_session"));
        assert_eq!(ours.browser.submit(&page, &[("answer", "sign-out")]).status, 200);
        theirs.assert_unharmed();
    }
}

#[test]
fn rows_are_found_under_their_own_tenant_only() {
    let houses = &neighbourhoods()[1];
    let (ours, theirs) = (&houses[0], &houses[1]);
    // The same ids under the other tenant, as they never happen by chance.
    let sql = format!(
        "PRAGMA foreign_keys = OFF; UPDATE clients SET id = '{0}' WHERE id = '{1}'; UPDATE users SET id = '{2}' WHERE id = '{3}';",
        ours.client.id, theirs.client.id, ours.alice.id, theirs.alice.id
    );
    ours.deployment.execute(&sql);
    ours.assert_unharmed();
    let impostor = Client { id: ours.client.id.clone(), ..theirs.client.clone() };
    assert_eq!(impostor.redeem(&ours.deployment, &ours.code()).error(), (401, "invalid_client"));
}

#[test]
fn each_is_its_own_issuer() {
    for houses in neighbourhoods() {
        for house in &houses {
            let issuer = &house.deployment.issuer;
            let document = house.deployment.send(house.deployment.get("/.well-known/openid-configuration")).expect(200);
            assert_eq!(document["issuer"], issuer.as_str());
            assert!(document["token_endpoint"].as_str().unwrap().starts_with(issuer));
            assert_eq!(claims_of(house.tokens.id_token())["iss"], issuer.as_str());
            assert_eq!(claims_of(&house.tokens.access_token)["aud"], issuer.as_str());
        }
        let keys = houses.each_ref().map(|house| house.deployment.send(house.deployment.get("/jwks")).expect(200));
        assert_ne!(keys[0], keys[1]);
    }
}

fn discovery(deployment: &Deployment, host: &str, path: &str) -> Answer {
    deployment.send(Call::new(Method::Get, path).host(host))
}

#[test]
fn a_host_is_a_host_in_any_case_and_on_any_port() {
    let deployment = Deployment::new();
    for host in ["id.example.com", "ID.Example.COM", "id.example.com:8443", "id.example.com."] {
        let found = discovery(&deployment, host, "/.well-known/openid-configuration");
        // Scheme and port are those of the tenant.
        assert_eq!(found.expect(200)["issuer"], ISSUER, "{host}");
    }
    for host in [
        "",
        "other.example",
        "example.com",
        "id.example.com.evil.example",
        "xid.example.com",
        "id.example.com@evil",
        "[::1]",
        ":",
        "é",
    ] {
        let found = discovery(&deployment, host, "/.well-known/openid-configuration");
        assert_eq!(found.error(), (404, "not_found"), "{host}");
    }
    let mut without = deployment.get("/jwks");
    without.0.headers.clear();
    assert_eq!(deployment.send(without).error(), (404, "not_found"));
}

#[test]
fn a_path_is_whole_segments_as_they_are_written() {
    let home = Deployment::new();
    let acme = home.another_tenant("https://id.example.com/t/acme");
    assert_eq!(acme.send(acme.get("/jwks")).status, 200);
    for path in [
        "/t/acme2/jwks",
        "/t/acm/jwks",
        "/t/ACME/jwks",
        "/t/%61cme/jwks",
        "/t//acme/jwks",
        "/t/acme//jwks",
        "//t/acme/jwks",
        "/t/acme/x/jwks",
        "/t/jwks",
        "/t/./acme/jwks",
        "/x/../t/acme/jwks",
        "/t/acme/jwks/",
        "/t/acme;x/jwks",
    ] {
        assert_eq!(discovery(&home, "id.example.com", path).status, 404, "{path}");
    }
}

#[test]
fn an_issuer_of_one_path_does_not_answer_for_the_host_alone() {
    let acme = Deployment::at("https://id.example.com/t/acme");
    assert_eq!(acme.send(acme.get("/jwks")).status, 200);
    assert_eq!(discovery(&acme, "id.example.com", "/jwks").error(), (404, "not_found"));
    let page = acme.send(Call::new(Method::Get, "/").for_a_page());
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
}

#[test]
fn an_alias_stands_for_its_host() {
    let deployment = Deployment::new();
    deployment.world.set_variable(Variable::HostAliases, "127.0.0.1=id.example.com, op.test=id.example.com");
    let deployment = deployment.other_isolate();
    for host in ["127.0.0.1:8787", "op.test"] {
        let found = discovery(&deployment, host, "/.well-known/openid-configuration");
        assert_eq!(found.expect(200)["issuer"], ISSUER, "{host}");
    }
}

#[test]
fn an_operator_token_opens_management_only_where_it_is_from() {
    let home = Deployment::new();
    let other = home.another_tenant("https://id.other.example");
    let elsewhere = Call::to(Method::Get, "https://id.other.example/admin/api/tenants").bearer(&home.admin_token);
    assert_eq!(other.send(elsewhere).error(), (401, "invalid_token"));
}

#[test]
fn a_disabled_tenants_tokens_are_refused_at_once_in_isolates_that_do_not_know_yet() {
    let deployment = Deployment::new();
    let other = deployment.another_tenant("https://other.example");
    let (client, alice) = (other.client(), other.user("alice"));
    let browser = Browser::new(&other);
    let ask = client.ask().with("scope", "openid offline_access");
    let tokens = Tokens::of(client.redeem(&other, &browser.code(&ask, &alice)));
    let elsewhere = other.other_isolate();
    elsewhere.userinfo(&tokens.access_token).expect(200);
    let code = browser.at(&elsewhere).ask(&ask).query()["code"].clone();
    other.patch("", &json!({"disabled": true}));
    // Its copy of the tenant is fresh, so it still answers.
    assert_eq!(elsewhere.send(elsewhere.get("/jwks")).status, 200);
    assert_eq!(elsewhere.userinfo(&tokens.access_token).error(), (401, "invalid_token"));
    assert_eq!(client.introspect(&elsewhere, &tokens.access_token).error(), (401, "invalid_client"));
    assert_eq!(client.refresh(&elsewhere, tokens.refresh_token()).error(), (401, "invalid_client"));
    assert_eq!(client.redeem(&elsewhere, &code).error(), (401, "invalid_client"));
    assert!(!browser.at(&elsewhere).ask(&ask).header("location").contains("code="));
    // Enabled again, nothing was lost.
    other.patch("", &json!({"disabled": false}));
    client.refresh(&elsewhere, tokens.refresh_token()).expect(200);
    client.redeem(&elsewhere, &code).expect(200);
}
