//! Tenants in the management API: `id`, `issuer`, `name`, `registration`, `regions`, `disabled`, `created_at`. The issuer is
//! for life.

use serde_json::{Value, json};

use crate::endpoint::json::{Members, invalid};
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::maintenance::{self, Occasion};
use crate::platform::{Freshness, Platform, UnixTime};
use crate::setup;
use crate::store::audit::{Condition, Event};
use crate::store::tenants::{self, Registration, TenantRow};
use crate::store::{all_rows, keys};
use crate::tenant::Issuer;

use super::page::Page;
use super::{ATTEMPTS, CHANGED_MEANWHILE, Desk, check_name};

/// In characters.
const LONGEST_NAME: usize = 200;
const MOST_REGIONS: usize = 16;

pub async fn list<P: Platform>(desk: &Desk<'_, P>, request: &Request) -> Result<Response, Error> {
    let page = Page::of(request)?;
    let answer = desk.context.sql(&[tenants::page(page.after(), page.rows())], Freshness::Primary).await?;
    let rows = all_rows(&answer, 0).iter().map(TenantRow::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(page.response("tenants", &rows, |tenant| &tenant.id, show))
}

/// 1 what the tenant is to be, 2 its id, master and first keys, 3 all of it in one batch, 4 a copy for the first request.
pub async fn create<P: Platform>(desk: &Desk<'_, P>, request: &Request) -> Result<Response, Error> {
    let mut members = Members::of(request)?; // 1
    members.refuse(&["id", "created_at"])?;
    let issuer = members.take_text("issuer")?.ok_or_else(|| invalid("issuer", "is missing"))?;
    let issuer = Issuer::parse(&issuer).map_err(|why| invalid("issuer", why))?;
    let edit = Edit::of(members)?;
    let name = edit.name.ok_or_else(|| invalid("name", "is missing"))?;
    if edit.disabled == Some(true) {
        return Err(invalid("disabled", "cannot be set on a new tenant").into());
    }
    if edit.regions.is_some() {
        return Err(invalid("regions", "cannot be set on a new tenant; change it afterwards").into());
    }
    let registration = edit.registration.unwrap_or(Registration::Closed);
    let new = setup::provision(desk.context, &issuer, &name, registration).await?; // 2
    let change = desk.change(&new.tenant.id, Event::TenantCreated, &[]); // 3
    let mut batch = vec![tenants::insert(&new.tenant)];
    batch.extend(new.keys.iter().map(|key| keys::insert(&new.tenant.id, &new.tenant.wrapped_master, key)));
    batch.push(change.decide(Condition::Tenant));
    if !change.make(desk.context, batch).await? {
        return Err(Refusal::Conflict("Another tenant has this issuer, or this host and path.").into());
    }
    refresh_copies(desk, &new.tenant).await; // 4
    Ok(Response::json(201, &show(&new.tenant)))
}

pub async fn read<P: Platform>(desk: &Desk<'_, P>, id: &str) -> Result<Response, Error> {
    Ok(Response::json(200, &show(&desk.tenant(id).await?)))
}

/// 1 what is to change, 2 the tenant with the change, unless it would lock the operator out, 3 in one batch while nobody
/// else changed the tenant, 4 copies follow: here at once, elsewhere within [`crate::tenants::COPY_BOUND`] seconds.
pub async fn change<P: Platform>(desk: &Desk<'_, P>, id: &str, request: &Request) -> Result<Response, Error> {
    let members = Members::of(request)?; // 1
    members.refuse(&["id", "issuer", "created_at"])?;
    let names: Vec<String> = members.names().map(str::to_owned).collect();
    let edit = Edit::of(members)?;
    if edit.disabled == Some(true) && id == desk.home.id() {
        return Err(invalid("disabled", "cannot be set on the tenant that this API is used through").into()); // 2
    }
    for _ in 0..ATTEMPTS {
        let before = desk.tenant(id).await?;
        let after = edit.applied_to(&before, desk.context.now());
        if after == before {
            return Ok(Response::json(200, &show(&before)));
        }
        let change = desk.change(id, Event::TenantChanged, &names); // 3
        let batch = vec![
            change.decide(Condition::TenantUnchanged { version: before.version }),
            tenants::update(&after, change.decision()),
        ];
        if change.make(desk.context, batch).await? {
            refresh_copies(desk, &after).await; // 4
            if after.regions != before.regions {
                maintenance::defer(desk.context, id, &after.locator, Occasion::Change);
            }
            return Ok(Response::json(200, &show(&after)));
        }
    }
    Err(CHANGED_MEANWHILE.into())
}

/// The change is made; copies that could not be refreshed only become right later.
pub async fn refresh_copies<P: Platform>(desk: &Desk<'_, P>, tenant: &TenantRow) {
    desk.context.isolate.forget_tenant(&tenant.locator);
    if let Err(Error::Broken(fault)) = crate::tenants::read(desk.context, &tenant.locator).await {
        let line = json!({"level": "warn", "tenant": tenant.id, "copy_not_refreshed": fault.to_string()});
        desk.context.platform.log(&line.to_string());
    }
}

struct Edit {
    name: Option<String>,
    registration: Option<Registration>,
    regions: Option<Vec<String>>,
    disabled: Option<bool>,
}

impl Edit {
    fn of(mut members: Members) -> Result<Self, Refusal> {
        let name = members.take_text("name")?;
        if let Some(name) = &name {
            check_name(name, LONGEST_NAME).map_err(|why| invalid("name", why))?;
        }
        let registration = members.take_text("registration")?.map(|text| {
            Registration::from_name(&text).ok_or_else(|| invalid("registration", "has to be open or closed"))
        });
        let regions = members.take("regions").map(regions).transpose()?;
        let registration = registration.transpose()?;
        let edit = Self { name, registration, regions, disabled: members.take_flag("disabled")? };
        members.finish()?;
        Ok(edit)
    }

    fn applied_to(&self, before: &TenantRow, now: UnixTime) -> TenantRow {
        TenantRow {
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            registration: self.registration.unwrap_or(before.registration),
            regions: self.regions.clone().unwrap_or_else(|| before.regions.clone()),
            disabled_at: match self.disabled {
                None => before.disabled_at,
                Some(false) => None,
                Some(true) => before.disabled_at.or(Some(now)),
            },
            ..before.clone()
        }
    }
}

/// The regions that sign with keys of their own: different names as clouds give them to regions.
fn regions(value: Value) -> Result<Vec<String>, Refusal> {
    let wrong =
        || invalid("regions", "has to be a list of at most 16 different names of a-z, 0-9 and - (1 to 32 characters)");
    let names: Vec<String> = serde_json::from_value(value).map_err(|_| wrong())?;
    let is_name = |name: &String| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let are_different = names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len();
    if names.len() <= MOST_REGIONS && are_different && names.iter().all(is_name) { Ok(names) } else { Err(wrong()) }
}

fn show(tenant: &TenantRow) -> Value {
    json!({
        "id": tenant.id,
        "issuer": tenant.issuer,
        "name": tenant.name,
        "registration": tenant.registration.as_str(),
        "regions": tenant.regions,
        "disabled": tenant.disabled_at.is_some(),
        "created_at": tenant.created_at.0,
    })
}
