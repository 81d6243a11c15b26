//! Users in the management API: `id` (which is `sub`), `username`, `password` (never shown), `administrator`, `disabled`,
//! `created_at`, `updated_at`, and the standard claims of OpenID Connect Core §5.1 under their own names.
//!
//! Whoever is disabled or gets another password is signed out everywhere, and what was granted for them ends, in the same
//! batch.

use serde_json::{Map, Value, json};

use crate::endpoint::json::{Members, invalid};
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::keys::wrap;
use crate::oidc::standard_claims;
use crate::password;
use crate::plant::{Plant, planted};
use crate::platform::{Freshness, Platform, UnixTime};
use crate::store::audit::{Condition, Event};
use crate::store::tenants::TenantRow;
use crate::store::users::{self, UserRow, fold_username};
use crate::store::{all_rows, changed_at, first_row, grants, sessions, tenants};
use crate::tenants::roots;

use super::page::Page;
use super::{ATTEMPTS, CHANGED_MEANWHILE, Desk, check_name, no_content};

/// In characters.
const LONGEST_USERNAME: usize = 128;

const SERVERS_OWN: [&str; 3] = ["id", "created_at", "updated_at"];

pub async fn list<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, request: &Request) -> Result<Response, Error> {
    let page = Page::of(request)?;
    let batch = [tenants::by_id(tenant_id), users::page(tenant_id, page.after(), page.rows())];
    let answer = desk.context.sql(&batch, Freshness::Primary).await?;
    first_row(&answer, 0).ok_or(Refusal::NoSuch("tenant"))?;
    let rows = all_rows(&answer, 1).iter().map(UserRow::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(page.response("users", &rows, |user| &user.id, show))
}

/// 1 who the user is to be, 2 the tenant, whose pepper the password gets, 3 all of it in one batch, while nobody has the name.
pub async fn create<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, request: &Request) -> Result<Response, Error> {
    let edit = Edit::of(Members::of(request)?)?; // 1
    if edit.username.is_none() {
        return Err(invalid("username", "is missing").into());
    }
    let now = desk.context.now();
    let nobody = UserRow {
        id: desk.context.random_id::<16>(),
        username: String::new(),
        username_folded: String::new(),
        claims: Map::new(),
        administrator: false,
        created_at: now,
        updated_at: now,
        disabled_at: None,
    };
    let user = edit.applied_to(&nobody, now)?;
    let tenant = desk.tenant(tenant_id).await?; // 2
    let password_hash = edit.password_hash(desk, &tenant).await?;
    let change = desk.change(tenant_id, Event::UserCreated, &[]).of_user(&user.id); // 3
    let mut batch = vec![users::insert(tenant_id, &user)];
    batch.extend(password_hash.map(|hash| users::set_password(tenant_id, &user, &hash)));
    batch.push(change.decide(Condition::User));
    if !change.make(desk.context, batch).await? {
        return Err(username_taken());
    }
    Ok(Response::json(201, &show(&user)))
}

pub async fn read<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<Response, Error> {
    Ok(Response::json(200, &show(&load(desk, tenant_id, id).await?)))
}

/// 1 what is to change, 2 the user with the change, 3 in one batch while nobody else changed the user or has the name.
pub async fn change<P: Platform>(
    desk: &Desk<'_, P>,
    tenant_id: &str,
    id: &str,
    request: &Request,
) -> Result<Response, Error> {
    let edit = Edit::of(Members::of(request)?)?; // 1
    let password_hash = match edit.password {
        Some(_) => edit.password_hash(desk, &desk.tenant(tenant_id).await?).await?,
        None => None,
    };
    let mut refused_at = None;
    for _ in 0..ATTEMPTS {
        let before = load(desk, tenant_id, id).await?; // 2
        if refused_at == Some(before.updated_at) {
            return Err(username_taken()); // Nobody changed the user, so it was the name.
        }
        let now = desk.context.now();
        let mut after = edit.applied_to(&before, now)?;
        if after == before && password_hash.is_none() {
            return Ok(Response::json(200, &show(&before)));
        }
        after.updated_at = changed_at(before.updated_at, now);
        let change = desk.change(tenant_id, Event::UserChanged, &edit.names).of_user(id); // 3
        let decision = change.decision();
        let unchanged =
            Condition::UserUnchanged { updated_at: before.updated_at, username_folded: &after.username_folded };
        let mut batch = vec![change.decide(unchanged), users::update(tenant_id, &after, before.updated_at, decision)];
        if let Some(hash) = &password_hash {
            batch.push(users::change_password(tenant_id, &after, hash, decision));
        }
        if after.disabled_at.is_some() || password_hash.is_some() {
            batch.push(sessions::end_all(tenant_id, &after, decision));
            if !planted(Plant::DisablingLeavesGrants) {
                batch.push(grants::end_of_user(tenant_id, &after, decision));
            }
        }
        if change.make(desk.context, batch).await? {
            return Ok(Response::json(200, &show(&after)));
        }
        refused_at = Some(before.updated_at);
    }
    Err(CHANGED_MEANWHILE.into())
}

/// Credentials, sessions, consents and grants go with the user.
pub async fn delete<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<Response, Error> {
    let change = desk.change(tenant_id, Event::UserDeleted, &[]).of_user(id);
    let batch = vec![change.decide(Condition::User), users::delete(tenant_id, id, change.decision())];
    if change.make(desk.context, batch).await? { Ok(no_content()) } else { Err(Refusal::NoSuch("user").into()) }
}

async fn load<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, id: &str) -> Result<UserRow, Error> {
    let answer = desk.context.sql(&[users::by_id(tenant_id, id)], Freshness::Primary).await?;
    Ok(UserRow::from_row(first_row(&answer, 0).ok_or(Refusal::NoSuch("user"))?)?)
}

fn username_taken() -> Error {
    Refusal::Conflict("Another user of this tenant has this username.").into()
}

/// What a request says of a user; what it does not say stays.
struct Edit {
    /// Names of all that is said, for the audit.
    names: Vec<String>,
    username: Option<String>,
    password: Option<String>,
    administrator: Option<bool>,
    disabled: Option<bool>,
    /// Standard claims; null removes one.
    claims: Map<String, Value>,
}

impl Edit {
    fn of(mut members: Members) -> Result<Self, Refusal> {
        members.refuse(&SERVERS_OWN)?;
        let names = members.names().map(str::to_owned).collect();
        let username = members.take_text("username")?;
        if let Some(username) = &username {
            check_name(username, LONGEST_USERNAME).map_err(|why| invalid("username", why))?;
        }
        Ok(Self {
            names,
            username,
            password: members.take_text("password")?,
            administrator: members.take_flag("administrator")?,
            disabled: members.take_flag("disabled")?,
            claims: members.rest(),
        })
    }

    fn applied_to(&self, before: &UserRow, now: UnixTime) -> Result<UserRow, Refusal> {
        let mut user = before.clone();
        standard_claims::merge(&mut user.claims, self.claims.clone())
            .map_err(|wrong| invalid(&wrong.name, wrong.why))?;
        if let Some(username) = &self.username {
            user.username.clone_from(username);
            user.username_folded = fold_username(username);
        }
        user.administrator = self.administrator.unwrap_or(before.administrator);
        user.disabled_at = match self.disabled {
            None => before.disabled_at,
            Some(false) => None,
            Some(true) => before.disabled_at.or(Some(now)),
        };
        Ok(user)
    }

    /// The hash of the password, if there is one, under the pepper of the user's own tenant.
    async fn password_hash<P: Platform>(
        &self,
        desk: &Desk<'_, P>,
        tenant: &TenantRow,
    ) -> Result<Option<String>, Error> {
        let Some(password) = &self.password else { return Ok(None) };
        let roots = roots(desk.context).await?;
        let master = wrap::unwrap_master(&roots, &tenant.id, &tenant.wrapped_master)?;
        password::hash(desk.context, &wrap::pepper(&master, tenant)?, password).map(Some)
    }
}

fn show(user: &UserRow) -> Value {
    let mut members = user.claims.clone();
    for (name, value) in [
        ("id", json!(user.id)),
        ("username", json!(user.username)),
        ("administrator", json!(user.administrator)),
        ("disabled", json!(user.disabled_at.is_some())),
        ("created_at", json!(user.created_at.0)),
        ("updated_at", json!(user.updated_at.0)),
    ] {
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}
