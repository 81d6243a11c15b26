//! What happens in a world, from its set-up to its end: phases in which people, thieves and operators are at work, and time
//! that passes between them.

use std::pin::Pin;
use std::rc::Rc;

use serde_json::{Value, json};
use vedette::http::Method;
use vedette::platform::Statement;
use vedette::setup;

use crate::browser::Browser;
use crate::call;
use crate::executor::{Millis, all};
use crate::history::Thing;
use crate::kv::Kv;
use crate::model::{Access, Client, Refresh, SETTLED, Tenant, Tokens, User};
use crate::operator::{Change, Operator};
use crate::oracle::Intent;
use crate::party::{self, Party};
use crate::people::{Confused, Device, Thief};
use crate::sql::Sql;
use crate::world::{Weather, World};

const SECOND: Millis = 1000;
const DAY: Millis = 86_400 * SECOND;

/// The whole life of a world.
pub async fn live(world: World) {
    let operator = Rc::new(set_up(&world).await);
    let phases = if world.chance.in_thousand(400) { 2 } else { 1 };
    for phase in 0..phases {
        if phase > 0 {
            world.sleep(between_phases(&world)).await;
            if world.chance.in_thousand(250) {
                lose_and_restore(&world, &operator).await;
            } else if world.chance.in_thousand(500) {
                (0..world.regions.len()).for_each(|region| world.end_isolates(region));
            }
        }
        *world.weather.borrow_mut() = weather(&world);
        if phase == 0 && world.chance.in_thousand(200) {
            forget_keys(&world);
        }
        busy(&world, &operator, world.chance.between(60, 300) * SECOND).await;
        check_keys(&world);
    }
}

/// The deployment is lost and comes back from a backup: what was given before it goes on, and what was ended stays so. Nothing
/// happens between the backup and the loss, so nothing but time is missing afterwards.
async fn lose_and_restore(world: &World, operator: &Operator) {
    *world.weather.borrow_mut() = Weather::default();
    world.sleep(SETTLED).await;
    let home = &operator.home;
    let Some(token) = operator.token(0).await else { return };
    let asked = call::bearer(call::get(&format!("{}/backup", operator.api())), &token);
    let Some(backup) = world.send(0, Intent::Plain, asked).await.filter(|reply| reply.response.status == 200) else {
        return;
    };
    world.sleep(world.chance.between(0, 3600) * SECOND).await;
    (0..world.regions.len()).for_each(|region| world.end_isolates(region));
    world.sql.replace(Sql::new(world.regions.len()));
    world.kv.replace(Kv::new(world.regions.len()));
    world.note("", (1..=2).map(Thing::Tenant).collect(), "everything is lost, and restored from a backup");
    let mut random = [0; 16];
    world.chance.fill(&mut random);
    let ticket = setup::mint_restore_ticket(&world.root_secret.borrow(), &home.issuer, world.unix(), random);
    let ticket = ticket.unwrap_or_else(|error| panic!("no ticket: {error}"));
    let mut request = call::bearer(call::to(Method::Post, &format!("{}/setup/restore", home.issuer)), &ticket);
    request.body = backup.response.body;
    calm(world, Intent::Plain, request).await;
    use_what_lives(world).await;
}

/// Whatever nobody has ended is used, in some region each: the oracle knows that it has to work.
async fn use_what_lives(world: &World) {
    let region = || world.any_region();
    let access: Vec<Rc<Access>> = {
        let known = world.known.access.borrow();
        known.iter().rev().filter(|token| token.expires_at > world.unix() + 60).take(4).cloned().collect()
    };
    for token in access {
        Party::new(world, &token.client, region()).verify(&token.text).await;
        let tokens = Tokens { access: token, id_token: None, refresh: None };
        party::userinfo(world, region(), &tokens).await;
    }
    let refresh: Vec<Rc<Refresh>> = {
        let known = world.known.refresh.borrow();
        let is_last = |token: &&Rc<Refresh>| token.first_used.get().is_none() && token.grant.surely_lives();
        known.iter().rev().filter(is_last).take(4).cloned().collect()
    };
    for token in refresh {
        Party::new(world, token.grant.code.client(), region()).refresh(&token).await;
    }
}

/// The second tenant is of a time when there was no such algorithm: its keys have to be made when it is first asked.
fn forget_keys(world: &World) {
    let Some(tenant) = world.known.tenants.borrow().get(1).cloned() else { return };
    let alg = if world.chance.in_thousand(700) { "ES256" } else { "PS256" };
    world.change(Statement::new(
        "DELETE FROM signing_keys WHERE tenant_id = ?1 AND alg = ?2",
        vec![tenant.id.borrow().as_str().into(), alg.into()],
    ));
    world.note("", vec![Thing::Tenant(tenant.number)], format!("tenant {} never had a key of {alg}", tenant.number));
    world.kv.replace(Kv::new(world.regions.len()));
    for region in 0..world.regions.len() {
        world.end_isolates(region);
        // Everybody comes at once.
        for _ in 0..3 {
            let (world, issuer) = (world.clone(), tenant.issuer.clone());
            world.clone().executor.spawn(async move {
                world.send(region, Intent::Plain, call::get(&format!("{issuer}/jwks"))).await;
            });
        }
    }
}

fn between_phases(world: &World) -> Millis {
    match world.chance.below(9) {
        6..=8 => until_a_key_takes_over(world),
        0 => world.chance.between(0, 60) * SECOND,
        1..=2 => world.chance.between(1, 15) * 60 * SECOND,
        3 => world.chance.between(1, 24) * 3600 * SECOND,
        4 => world.chance.between(1, 30) * DAY,
        _ => 90 * DAY - world.chance.between(0, 600) * SECOND,
    }
}

/// Until somewhat before some key takes over: that is when keys go wrong.
fn until_a_key_takes_over(world: &World) -> Millis {
    let rows = world.look(
        "SELECT activates_at FROM signing_keys WHERE activates_at > ?1 AND revoked_at IS NULL AND alg = 'ES256' ORDER BY activates_at",
        vec![world.unix().into()],
    );
    let times: Vec<i64> = rows.iter().filter_map(|row| row.integer(0).ok()).collect();
    let wait = world.chance.one(&times).map_or(0, |at| at - world.unix());
    (u64::try_from(wait).unwrap_or_default() * SECOND).saturating_sub(world.chance.between(0, 300) * SECOND)
}

/// Some worlds are rough, and some are rough in one way only.
fn weather(world: &World) -> Weather {
    let chance = &world.chance;
    let some = |most: u64| if chance.in_thousand(400) { chance.between(0, most) } else { 0 };
    Weather {
        sql_fails: some(30),
        sql_lost: some(60),
        sql_late: some(20),
        slow: some(60),
        kv_get_fails: some(200),
        kv_put_fails: some(200),
        kv_put_vanishes: some(300),
        request_lost: some(40),
        answer_lost: some(80),
        duplicated: some(40),
        isolate_dies: some(60),
        isolate_is_new: some(200),
        sign_fails: some(20),
        replica_lag: if chance.in_thousand(800) { chance.between(0, 45) } else { 0 },
        kv_lag: if chance.in_thousand(800) { chance.between(0, 180) } else { 0 },
    }
}

/// Everybody is at work for so long.
async fn busy(world: &World, operator: &Rc<Operator>, length: Millis) {
    let until = world.now() + length;
    let mut works: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    let clients: Vec<Rc<Client>> = world.known.clients.borrow().clone();
    let users: Vec<Rc<User>> = world.known.users.borrow().clone();
    let of_tenant = |tenant: &Rc<Tenant>, resource_server: bool| -> Vec<Rc<Client>> {
        let fits =
            |client: &&Rc<Client>| Rc::ptr_eq(&client.tenant, tenant) && client.resource_server == resource_server;
        clients.iter().filter(fits).cloned().collect()
    };
    for user in &users {
        for _ in 0..1 + usize::from(world.chance.in_thousand(250)) {
            let (parties, resources) = (of_tenant(&user.tenant, false), of_tenant(&user.tenant, true));
            let Some(client) = world.chance.one(&parties) else { continue };
            let region = world.any_region();
            let device = Device {
                world: world.clone(),
                browser: Browser::new(world, user),
                party: Party::new(world, client, world.any_region()),
                resource: resources.first().map(|client| Rc::new(Party::new(world, client, world.any_region()))),
                region,
            };
            works.push(Box::pin(async move { device.live(until).await }));
        }
    }
    if world.chance.in_thousand(700) {
        let thief = Thief { world: world.clone() };
        works.push(Box::pin(async move { thief.steal(until).await }));
    }
    if world.chance.in_thousand(500) {
        let confused = Confused { world: world.clone() };
        works.push(Box::pin(async move { confused.try_everywhere(until).await }));
    }
    for _ in 0..world.chance.between(0, 2) {
        let operator = Rc::clone(operator);
        works.push(Box::pin(async move { operator.work(until).await }));
    }
    if world.chance.in_thousand(100) {
        let operator = Rc::clone(operator);
        works.push(Box::pin(async move { operator.rotate_root().await }));
    }
    all(&world.executor, works).await;
}

/// Set-up, a second tenant, and who and what is in both: in calm weather, since nothing of it is checked.
async fn set_up(world: &World) -> Operator {
    let home = Rc::new(tenant(world, "https://id.example.com"));
    let ticket = setup::mint_ticket(&world.root_secret.borrow(), &home.issuer, world.unix(), [7; 16]);
    let ticket = ticket.unwrap_or_else(|error| panic!("no ticket: {error}"));
    let fields = [
        ("ticket", ticket.as_str()),
        ("issuer_name", "First"),
        ("username", "admin"),
        ("password", "the administrator's password"),
    ];
    let request = call::with(call::form(&format!("{}/setup", home.issuer), &fields), "accept", "application/json");
    let made = calm(world, Intent::Plain, request).await;
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    *home.id.borrow_mut() = text("tenant_id");
    home.made_at.set(Some(world.now()));
    let operator = Operator {
        world: world.clone(),
        home: Rc::clone(&home),
        client_id: text("client_id"),
        client_secret: text("client_secret"),
    };
    world.secrets.borrow_mut().add("a client secret", &operator.client_secret);
    world.known.tenants.borrow_mut().push(Rc::clone(&home));
    // Half of the second tenants share the first one's host.
    let issuer =
        if world.chance.in_thousand(500) { "https://id.example.com/t/acme" } else { "https://login.acme.example" };
    let acme = Rc::new(tenant(world, issuer));
    if world.chance.in_thousand(500) {
        // Somebody asks for it before it is there.
        for region in 0..world.regions.len() {
            let request = call::get(&format!("{}/.well-known/openid-configuration", acme.issuer));
            world.send(region, Intent::Plain, request).await;
        }
    }
    operator.insist(Change::CreateTenant(Rc::clone(&acme))).await;
    world.known.tenants.borrow_mut().push(Rc::clone(&acme));
    let users = 1 + world.chance.index(2);
    for (tenant, users, clients) in [(&home, 2, 2), (&acme, users, 2)] {
        furnish(world, &operator, tenant, users, clients).await;
    }
    operator
}

fn tenant(world: &World, issuer: &str) -> Tenant {
    Tenant {
        number: world.number("tenant"),
        issuer: issuer.to_owned(),
        id: Default::default(),
        made_at: Default::default(),
        changes: Default::default(),
    }
}

async fn furnish(world: &World, operator: &Operator, tenant: &Rc<Tenant>, users: usize, clients: usize) {
    let token = operator.token(0).await.unwrap_or_else(|| panic!("no token for the operator"));
    let api = format!("{}/tenants/{}", operator.api(), tenant.id.borrow());
    for _ in 0..users {
        let number = world.number("user");
        let (username, password) = (format!("user{number}"), format!("the password of user {number:06}"));
        world.secrets.borrow_mut().add("a password", &password);
        let body = json!({"username": username, "password": password, "name": format!("User {number}")});
        let made =
            calm(world, Intent::Plain, call::bearer(call::json(Method::Post, &format!("{api}/users"), &body), &token))
                .await;
        world.known.users.borrow_mut().push(Rc::new(User {
            number,
            tenant: Rc::clone(tenant),
            id: made["id"].as_str().unwrap_or_default().to_owned(),
            username,
            password: password.into(),
            ends: Default::default(),
            old_passwords: Default::default(),
            changes: Default::default(),
        }));
    }
    for place in 0..=clients {
        let number = world.number("client");
        let resource_server = place == clients;
        let redirect_uri = format!("https://rp{number}.example/cb");
        let mut body = json!({"client_name": format!("Client {number}")});
        let grant_types =
            if resource_server { vec!["client_credentials"] } else { vec!["authorization_code", "refresh_token"] };
        let auth = if place == 1 { "none" } else { "client_secret_basic" };
        let alg = if world.chance.in_thousand(40) { "RS256" } else { "ES256" };
        let over = json!({
            "grant_types": grant_types, "resource_server": resource_server, "token_endpoint_auth_method": auth,
            "id_token_signed_response_alg": alg,
        });
        if let (Some(body), Value::Object(over)) = (body.as_object_mut(), over) {
            body.extend(over);
            if !resource_server {
                body.insert("redirect_uris".to_owned(), json!([redirect_uri]));
            }
            if world.chance.in_thousand(300) {
                body.insert("access_token_lifetime".to_owned(), json!(86_400));
            }
        }
        let made = calm(
            world,
            Intent::Plain,
            call::bearer(call::json(Method::Post, &format!("{api}/clients"), &body), &token),
        )
        .await;
        let secret = made["client_secret"].as_str().map(str::to_owned);
        if let Some(secret) = &secret {
            world.secrets.borrow_mut().add("a client secret", secret);
        }
        world.known.clients.borrow_mut().push(Rc::new(Client {
            number,
            tenant: Rc::clone(tenant),
            id: made["client_id"].as_str().unwrap_or_default().to_owned(),
            secret: secret.into(),
            old_secrets: Default::default(),
            rotations: Default::default(),
            perhaps_current: Default::default(),
            redirect_uri,
            resource_server,
            changes: Default::default(),
        }));
    }
}

/// A request that has to be served.
async fn calm(world: &World, intent: Intent, request: vedette::http::Request) -> Value {
    let Some(reply) = world.send(0, intent, request).await else { panic!("no answer in calm weather") };
    let body = String::from_utf8_lossy(&reply.response.body).into_owned();
    assert!(reply.response.status < 300, "{} in calm weather: {body}", reply.response.status);
    serde_json::from_str(&body).unwrap_or_default()
}

/// Property 5: ordinals are 1, 2, 3, …, never are more keys waiting than a standby and one that is on its way, and nobody made
/// keys that nobody asked for and no time made due.
fn check_keys(world: &World) {
    let rows = world.look(
        "SELECT tenant_id, alg, region, count(*) AS keys, max(ordinal) AS last, \
         sum(CASE WHEN revoked_at IS NULL AND activates_at > ?1 THEN 1 ELSE 0 END) AS waiting \
         FROM signing_keys GROUP BY tenant_id, alg, region",
        vec![(world.unix() + 10).into()],
    );
    let by_time = usize::try_from(world.now() / (89 * DAY)).unwrap_or_default();
    let most = i64::try_from(2 + by_time + world.known.keys_allowed.get()).unwrap_or(i64::MAX);
    for row in rows {
        let number = |index: usize| row.integer(index).unwrap_or_default();
        let text = |index: usize| row.text(index).unwrap_or_default();
        let tenant = world
            .known
            .tenants
            .borrow()
            .iter()
            .find(|tenant| *tenant.id.borrow() == text(0))
            .map(|tenant| tenant.number);
        let things = tenant.map(Thing::Tenant);
        let (keys, last, waiting) = (number(3), number(4), number(5));
        if keys != last || waiting > 2 || keys > most {
            let sentence = format!(
                "there are {keys} keys of {}, region {:?}, the last of ordinal {last}, and {waiting} of them wait; \
                 at most {most} were due",
                text(1),
                text(2),
            );
            world.violate(5, things, sentence);
        }
    }
}
