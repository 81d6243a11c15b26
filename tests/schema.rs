//! What is stored: that every statement finds its rows through an index, that all flows bear D1's numbers, and that KV holds
//! what `kv-schema/` says.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use vedette::http::Method;
use vedette::memory::World;
use vedette::store;

use support::{Answer, Browser, Client, Deployment, Tokens, metadata, verifies};

const KV_SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/kv-schema");

/// Plans that read a table from its beginning, and why they may.
const MAY_SCAN: [(&str, &str); 3] = [
    // Stops at the first row: is there any tenant at all? Only set-up and /health ask.
    ("FROM tenants LIMIT 1", "SCAN tenants"),
    ("WHERE NOT EXISTS (SELECT 1 FROM tenants)", "SCAN tenants"),
    // A handful of words, and no table.
    ("FROM json_each(", "SCAN json_each VIRTUAL TABLE"),
];

#[test]
fn every_statement_finds_its_rows_through_an_index() {
    let world = World::new(store::MIGRATIONS);
    for sql in store::statements() {
        for step in world.explain(sql) {
            let may = MAY_SCAN.iter().any(|(text, plan)| sql.contains(text) && step.starts_with(plan));
            let scans = step.starts_with("SCAN ") && step != "SCAN CONSTANT ROW";
            assert!(!scans || may, "{step}\n{sql}");
            assert!(!step.contains("AUTOMATIC") && !step.contains("TEMP B-TREE"), "{step}\n{sql}");
        }
    }
}

/// Names of the constants that a module's statements are made of, and those that it lists.
fn constants(source: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let declared = source
        .lines()
        .filter_map(|line| line.strip_prefix("const ")?.split_once(": &str ="))
        .map(|(name, _)| name)
        .collect();
    let (_, list) = source.split_once("pub const STATEMENTS: &[&str] =").expect("a list");
    let (list, _) = list.split_once("];").expect("its end");
    let listed = list.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).filter(|name| !name.is_empty()).collect();
    (declared, listed)
}

#[test]
fn every_statement_is_in_the_list_that_is_looked_at() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut looked_at = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let source = std::fs::read_to_string(&path).unwrap();
        let without_tests = source.split("#[cfg(test)]").next().unwrap();
        if !without_tests.contains("Statement::new(") {
            continue;
        }
        let (declared, listed) = constants(without_tests);
        assert_eq!(declared, listed, "{}", path.display());
        looked_at += listed.len();
        // No statement is written down anywhere but in such a constant.
        assert!(!without_tests.contains("Statement::new(\""), "{}", path.display());
    }
    assert_eq!(looked_at, store::statements().len() + store::backup::STATEMENTS.len());
}

/// What a backup leaves out: the schema's own, and what a new deployment is better off without.
const NOT_BACKED_UP: [&str; 3] = ["schema_version", "maintenance", "throttles"];

#[test]
fn a_backup_has_every_column_of_every_table_after_those_that_it_refers_to() {
    let world = World::new(store::MIGRATIONS);
    let texts = |sql: &str, of: &str| -> Vec<String> {
        world.with_db(|db| {
            let mut names = db.prepare(sql).unwrap();
            names.query_map([of], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        })
    };
    let mut seen: Vec<String> = Vec::new();
    for table in store::backup::TABLES {
        assert_eq!(texts("SELECT name FROM pragma_table_info(?1)", table.name), table.columns, "{}", table.name);
        for other in texts("SELECT \"table\" FROM pragma_foreign_key_list(?1)", table.name) {
            assert!(seen.contains(&other), "{} before {other}", table.name);
        }
        seen.push(table.name.to_owned());
    }
    seen.extend(NOT_BACKED_UP.map(str::to_owned));
    seen.sort();
    assert_eq!(texts("SELECT name FROM sqlite_schema WHERE type = 'table' AND ?1 = ?1 ORDER BY name", ""), seen);
}

#[test]
fn statements_of_backups_read_in_order_of_a_key_and_write_only_while_a_restore_is_under_way() {
    let world = World::new(store::MIGRATIONS);
    for sql in store::backup::statements() {
        // They are understood, and sort nothing.
        for step in world.explain(sql) {
            assert!(!step.contains("AUTOMATIC") && !step.contains("TEMP B-TREE"), "{step}\n{sql}");
        }
        assert!(!sql.contains('*') || sql.contains("count(*)"), "{sql}");
        let writes = !sql.starts_with("SELECT");
        let is_under_way = ["used_tickets.id = ?2", "NOT EXISTS (SELECT 1 FROM tenants)", "used_tickets WHERE id = ?1"];
        assert!(!writes || is_under_way.iter().any(|text| sql.contains(text)), "{sql}");
    }
}

#[test]
fn every_statement_names_its_tenant() {
    // Those that find, list or make tenants.
    let about_tenants =
        ["FROM tenants WHERE locator = ?1", "FROM tenants WHERE id > ?1", "FROM tenants LIMIT 1", "INTO tenants"];
    let of_a_tenant = [
        "tenant_id = ?1",
        "tenants WHERE id = ?1",
        "UPDATE tenants SET",
        "t.locator = ?1",
        "VALUES (?1, ?2, 1, ?3)",
        "INTO maintenance",
    ];
    for sql in store::statements() {
        let is_fine = |texts: &[&str]| texts.iter().any(|text| sql.contains(text));
        assert!(is_fine(&about_tenants) || is_fine(&of_a_tenant) || sql.contains("schema_version"), "{sql}");
    }
}

/// Every kind of request that reads or writes, and what came of it, without what is different each time.
fn all_flows(deployment: &Deployment) -> Vec<(String, u16)> {
    let mut seen = Vec::new();
    let mut note = |what: &str, answer: &Answer| seen.push((what.to_owned(), answer.status));
    let client = deployment.client_with(json!({"post_logout_redirect_uris": ["https://rp.example/out"]}));
    let alice = deployment.user("alice");
    let browser = Browser::new(deployment);
    let ask = client.ask().with("scope", "openid profile email address phone offline_access");
    let page = browser.ask(&ask);
    let wrong = support::User { password: "wrong".to_owned(), ..alice.clone() };
    note("a wrong password", &browser.sign_in(&page, &wrong));
    let page = browser.sign_in(&page, &alice);
    note("sign-in", &page);
    let answer = browser.consent(&page, "allow");
    note("consent", &answer);
    let code = answer.query()["code"].clone();
    let redeemed = client.redeem(deployment, &code);
    note("redeem", &redeemed);
    let tokens = Tokens::of(redeemed);
    note("userinfo", &deployment.userinfo(&tokens.access_token));
    note("introspect", &client.introspect(deployment, &tokens.access_token));
    let refreshed = client.refresh(deployment, tokens.refresh_token());
    note("refresh", &refreshed);
    let refreshed = Tokens::of(refreshed);
    note("refresh again", &client.refresh(deployment, tokens.refresh_token()));
    note("introspect a refresh token", &client.introspect(deployment, refreshed.refresh_token()));
    note("revoke an access token", &client.revoke(deployment, &refreshed.access_token));
    note("use it", &deployment.userinfo(&refreshed.access_token));
    note("replay", &client.redeem(deployment, &code));
    note("refresh what was replayed", &client.refresh(deployment, refreshed.refresh_token()));
    deployment.world.advance(301);
    let again = browser.ask(&ask);
    note("authorize", &again);
    let tokens = Tokens::of(client.redeem(deployment, &again.query()["code"]));
    let jwks = deployment.send(deployment.get("/jwks"));
    note("jwks", &jwks);
    assert!(verifies(tokens.id_token(), &jwks.body));
    note("revoke", &client.revoke(deployment, tokens.refresh_token()));
    deployment.execute("UPDATE throttles SET attempts = 10");
    let page = browser.ask(&ask.clone().with("prompt", "login"));
    note("a wrong password before too many", &browser.sign_in(&page, &wrong));
    deployment.execute("UPDATE throttles SET attempts = 10 WHERE bucket LIKE 'account:%'");
    note("too many", &browser.sign_in(&page, &alice));
    let hint = vedette::oauth::form::encode([
        ("id_token_hint", tokens.id_token()),
        ("post_logout_redirect_uri", "https://rp.example/out"),
    ]);
    note("sign out", &browser.get(&format!("/end_session?{hint}")));
    let machine = deployment.client_with(json!({"grant_types": ["client_credentials"]}));
    note(
        "client credentials",
        &deployment.send(machine.post(deployment, "/token", &[("grant_type", "client_credentials")])),
    );
    registered(deployment, &mut note);
    managed(deployment, &alice.id, &client, &mut note);
    note("health", &deployment.send(deployment.get("/health")));
    seen
}

fn registered(deployment: &Deployment, note: &mut impl FnMut(&str, &Answer)) {
    let answer = deployment.send(deployment.post("/register").json(&metadata(json!({"default_max_age": 60}))));
    note("register", &answer);
    let path = format!("/register/{}", answer.body["client_id"].as_str().unwrap());
    let token = answer.body["registration_access_token"].as_str().unwrap().to_owned();
    let read = deployment.send(deployment.get(&path).bearer(&token));
    note("read a registration", &read);
    let mut members = metadata(json!({"client_name": "New"}));
    members["client_id"] = answer.body["client_id"].clone();
    note("update it", &deployment.send(deployment.call(Method::Put, &path).bearer(&token).json(&members)));
    note("delete it", &deployment.send(deployment.call(Method::Delete, &path).bearer(&token)));
}

fn managed(deployment: &Deployment, user: &str, client: &Client, note: &mut impl FnMut(&str, &Answer)) {
    let mut call = |method: Method, path: &str, body: Value| {
        let call = deployment.manage(method, path);
        let answer = deployment.send(if body.is_null() { call } else { call.json(&body) });
        note(&format!("{} {}", method.as_str(), path.split('/').nth(1).unwrap_or_default()), &answer);
        answer
    };
    for path in
        ["", "/users?limit=1", "/clients?limit=1", &format!("/users/{user}"), &format!("/clients/{}", client.id)]
    {
        call(Method::Get, path, Value::Null);
    }
    call(Method::Patch, "", json!({"name": "New"}));
    call(Method::Patch, &format!("/users/{user}"), json!({"administrator": true, "password": "another long one"}));
    let lifetime = json!({"access_token_lifetime": 120, "resource_server": true});
    call(Method::Patch, &format!("/clients/{}", client.id), lifetime);
    call(Method::Post, &format!("/clients/{}/secret", client.id), Value::Null);
    call(Method::Delete, &format!("/users/{user}"), Value::Null);
    call(Method::Delete, &format!("/clients/{}", client.id), Value::Null);
    let other = deployment.another_tenant("https://other.example");
    note("another tenant", &other.send(other.get("/jwks")));
    note("list tenants", &deployment.send(deployment.admin(Method::Get, "/tenants")));
}

#[test]
fn all_flows_go_alike_where_every_number_is_a_double() {
    let as_integers = all_flows(&Deployment::new());
    let world = World::new(store::MIGRATIONS);
    world.numbers_as_real(true);
    let as_doubles = all_flows(&Deployment::in_world(world, support::ISSUER));
    assert_eq!(as_doubles, as_integers);
    let unexpected: Vec<_> = as_integers.iter().filter(|(_, status)| *status >= 500).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

#[test]
fn what_flows_leave_in_kv_is_what_its_schema_says() {
    let deployment = Deployment::new();
    all_flows(&deployment);
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    let schema = format!("{KV_SCHEMA}/tenant.schema.json");
    let tenant = compiler.compile(&schema, &mut schemas).unwrap();
    let jwk = compiler.compile(&format!("{schema}#/$defs/jwk"), &mut schemas).unwrap();
    let values = deployment.world.with_kv(|kv| kv.clone());
    let keys: Vec<&str> = values.keys().map(String::as_str).collect();
    assert_eq!(keys, ["tenant/id.example.com", "tenant/other.example"]);
    for (key, value) in &values {
        let value: Value = serde_json::from_slice(value).unwrap();
        schemas.validate(&value, tenant).unwrap_or_else(|error| panic!("{key}: {error:#}"));
        assert_eq!(format!("tenant/{}", value["tenant"]["locator"].as_str().unwrap()), *key);
        for row in value["keys"].as_array().unwrap() {
            let public: Value = serde_json::from_str(row["public_jwk"].as_str().unwrap()).unwrap();
            schemas.validate(&public, jwk).unwrap_or_else(|error| panic!("{key}: {error:#}"));
            assert_eq!((&public["kid"], &public["alg"]), (&row["kid"], &row["alg"]));
        }
    }
    // The schema says no to what is not such a value.
    let good: Value = serde_json::from_slice(&values["tenant/id.example.com"]).unwrap();
    for (pointer, wrong) in [
        ("/format", json!(2)),
        ("/seal", json!("of nobody")),
        ("/read_at", json!("now")),
        ("/tenant/registration", json!("perhaps")),
        ("/tenant/wrapped_master", json!("a master in clear")),
        ("/keys/0/alg", json!("none")),
        ("/keys/0/kid", json!("short")),
        ("/tenant", json!({})),
    ] {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).unwrap() = wrong;
        assert!(schemas.validate(&changed, tenant).is_err(), "{pointer}");
    }
    let mut private = serde_json::from_str::<Value>(good["keys"][0]["public_jwk"].as_str().unwrap()).unwrap();
    private["d"] = json!("AAAA");
    assert!(schemas.validate(&private, jwk).is_err());
}

#[test]
fn the_readme_names_every_table_key_and_schema() {
    let readme = std::fs::read_to_string(format!("{KV_SCHEMA}/README.md")).unwrap();
    let deployment = Deployment::new();
    let tables: BTreeSet<String> = deployment.world.with_db(|db| {
        let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        names.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    });
    let first_column = |heading: &str| -> BTreeSet<String> {
        let (_, section) = readme.split_once(heading).unwrap();
        let section = section.split("\n## ").next().unwrap();
        section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    assert_eq!(first_column("## SQL\n"), tables);
    assert_eq!(first_column("## KV\n"), BTreeSet::from(["tenant/{locator}".to_owned(), "health".to_owned()]));
    for entry in std::fs::read_dir(KV_SCHEMA).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".schema.json") {
            assert!(readme.contains(&format!("({name})")), "{name}");
        }
    }
}
