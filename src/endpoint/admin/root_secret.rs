//! The root secret in the management API: under which root each tenant's master is wrapped, wrapping them anew, and giving all
//! tenants new masters when a root has leaked. Roots are named by ids that say nothing about them.
//!
//! Who asks names the root that is to seal, so that an isolate that has the old secret still does nothing.

use std::collections::BTreeMap;

use serde_json::json;

use crate::endpoint::json::{Members, invalid};
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::keys::schedule::Taken;
use crate::keys::{mint, wrap};
use crate::maintenance::{self, Occasion};
use crate::platform::{Fault, Freshness, Platform, Row};
use crate::root::Roots;
use crate::seal::KeyMaterial;
use crate::store::audit::{Condition, Event};
use crate::store::keys::{KeyRow, UnreadableKey};
use crate::store::tenants::{self, TenantRow};
use crate::store::{all_rows, grants, keys, sessions};
use crate::tenants::roots;

use super::{ATTEMPTS, Desk};

const READ_AT_ONCE: usize = 50;
/// Each gets two RSA keys, which take seconds on Spin.
const REPLACED_AT_ONCE: usize = 5;
/// Where a master opens under no root of this deployment.
const UNKNOWN: &str = "unknown";

const OTHER_ROOT: Refusal =
    Refusal::Conflict("Where this was answered, another root secret seals; not every place has the new one yet.");

pub async fn read<P: Platform>(desk: &Desk<'_, P>) -> Result<Response, Error> {
    let roots = roots(desk.context).await?;
    let mut masters: BTreeMap<String, usize> = roots.all().map(|root| (root.id.clone(), 0)).collect();
    for Listed { id, row } in all_tenants(desk).await? {
        let root = row.ok().and_then(|row| wrap::root_of_master(&roots, &id, &row.wrapped_master)).unwrap_or(UNKNOWN);
        *masters.entry(root.to_owned()).or_default() += 1;
    }
    let accepts: Vec<&str> = roots.all().map(|root| root.id.as_str()).collect();
    Ok(Response::json(200, &json!({"seals_with": roots.sealing().id, "accepts": accepts, "masters": masters})))
}

/// Wraps every master that is under another root under the one that seals. Nothing that a user or client holds changes.
pub async fn rewrap<P: Platform>(desk: &Desk<'_, P>, request: &Request) -> Result<Response, Error> {
    let roots = roots(desk.context).await?;
    check_root(Members::of(request)?, &roots)?;
    let (mut rewrapped, mut unknown) = (0, 0);
    for Listed { id, row } in all_tenants(desk).await? {
        let Ok(tenant) = row else {
            unknown += 1;
            continue;
        };
        match wrap::root_of_master(&roots, &id, &tenant.wrapped_master) {
            Some(root) if root == roots.sealing().id => {}
            Some(_) => rewrapped += usize::from(rewrap_one(desk, &roots, tenant).await?),
            None => unknown += 1,
        }
    }
    Ok(Response::json(200, &json!({"rewrapped": rewrapped, "unknown": unknown})))
}

async fn rewrap_one<P: Platform>(desk: &Desk<'_, P>, roots: &Roots, mut tenant: TenantRow) -> Result<bool, Error> {
    for _ in 0..ATTEMPTS {
        if wrap::root_of_master(roots, &tenant.id, &tenant.wrapped_master) == Some(roots.sealing().id.as_str()) {
            return Ok(false);
        }
        let master = wrap::unwrap_master(roots, &tenant.id, &tenant.wrapped_master)?;
        let wrapped = wrap::wrap_master(roots, &tenant.id, &master, desk.context.random());
        let change = desk.change(&tenant.id, Event::MasterRewrapped, &[]);
        let batch = vec![
            change.decide(Condition::TenantUnchanged { version: tenant.version }),
            tenants::rewrap_master(&tenant, &wrapped, change.decision()),
        ];
        if change.make(desk.context, batch).await? {
            return Ok(true);
        }
        tenant = desk.tenant(&tenant.id).await?;
    }
    Err(super::CHANGED_MEANWHILE.into())
}

/// For when a root has leaked: every tenant gets a new master and new signing keys, all sessions and grants end, and everyone
/// signs in again. Passwords stay, and so do clients and their secrets, of which only hashes are stored.
///
/// Some tenants a request, since making keys takes long: `next` is the `cursor` of the request that goes on, null at the end.
pub async fn replace_masters<P: Platform>(desk: &Desk<'_, P>, request: &Request) -> Result<Response, Error> {
    let roots = roots(desk.context).await?;
    let mut members = Members::of(request)?;
    let cursor = members.take_text("cursor")?.unwrap_or_default();
    check_root(members, &roots)?;
    let home = desk.home.id();
    let mut tenants = page(desk, &cursor, REPLACED_AT_ONCE).await?;
    let is_last = tenants.len() < REPLACED_AT_ONCE;
    let next = tenants.last().map(|tenant| tenant.id.clone()).filter(|_| !is_last);
    tenants.retain(|tenant| tenant.id != home);
    if is_last {
        // The operator's own: with its keys goes the token that this can be asked with.
        tenants.push(Listed { id: home.to_owned(), row: Ok(desk.tenant(home).await?) });
    }
    let (mut replaced, mut unknown, mut failed) = (0, 0, Vec::new());
    for Listed { id, row } in tenants {
        let outcome = match row {
            Ok(tenant) if wrap::root_of_master(&roots, &id, &tenant.wrapped_master).is_none() => {
                unknown += 1;
                continue;
            }
            Ok(tenant) => replace_one(desk, &roots, tenant).await,
            Err(fault) => Err(fault.into()),
        };
        match outcome {
            Ok(()) => replaced += 1,
            // What is wrong with one must not keep the leaked masters of the others.
            Err(Error::Broken(fault @ Fault::Undecodable(_))) => {
                desk.context.platform.log(&json!({"level": "warn", "fault": fault.to_string()}).to_string());
                failed.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Response::json(200, &json!({"replaced": replaced, "unknown": unknown, "failed": failed, "next": next})))
}

/// 1 the pepper that passwords were hashed with, 2 a master and keys that were never under the old root, 3 all of it in one
/// batch, 4 copies.
async fn replace_one<P: Platform>(desk: &Desk<'_, P>, roots: &Roots, mut tenant: TenantRow) -> Result<(), Error> {
    let context = desk.context;
    for _ in 0..ATTEMPTS {
        let old = wrap::unwrap_master(roots, &tenant.id, &tenant.wrapped_master)?;
        let pepper = wrap::pepper(&old, &tenant)?; // 1
        let master = KeyMaterial::new(context.random()); // 2
        let answer = context.sql(&[keys::of_tenant(&tenant.id)], Freshness::Primary).await?;
        let (rows, unreadable) = keys::read_all(all_rows(&answer, 0))?;
        let taken: Vec<Taken<'_>> =
            rows.iter().map(KeyRow::taken).chain(unreadable.iter().map(UnreadableKey::taken)).collect();
        let new_keys = mint::first_keys(context, &tenant.id, &master, &taken).await?;
        let wrapped_master = wrap::wrap_master(roots, &tenant.id, &master, context.random());
        let wrapped_pepper = wrap::wrap_pepper(&master, &tenant.id, &pepper, context.random());
        let now = context.now();
        let change = desk.change(&tenant.id, Event::MasterReplaced, &[]);
        let decision = change.decision();
        let mut batch = vec![
            change.decide(Condition::TenantUnchanged { version: tenant.version }),
            // While the tenant has the old master: sent once more, this batch must not end what came with the new one.
            keys::revoke_all(&tenant, now, decision),
            sessions::end_of_tenant(&tenant, now, decision),
            grants::end_of_tenant(&tenant, now, decision),
            tenants::replace_master(&tenant, &wrapped_master, &wrapped_pepper, decision),
        ];
        batch.extend(new_keys.iter().map(|key| keys::insert_if(&tenant.id, &wrapped_master, key, decision)));
        if change.make(context, batch).await? {
            super::tenants::refresh_copies(desk, &tenant).await; // 4
            // The standbys that take long to make, and whatever somebody else's key took the place of.
            maintenance::defer(context, &tenant.id, &tenant.locator, Occasion::Change);
            return Ok(()); // 3
        }
        tenant = desk.tenant(&tenant.id).await?;
    }
    Err(super::CHANGED_MEANWHILE.into())
}

/// The body names the root that is to seal, and nothing more that is not taken.
fn check_root(mut members: Members, roots: &Roots) -> Result<(), Refusal> {
    let root_id = members.take_text("root_id")?.ok_or_else(|| invalid("root_id", "is missing"))?;
    members.finish()?;
    if root_id == roots.sealing().id { Ok(()) } else { Err(OTHER_ROOT) }
}

/// A tenant, if its row decodes.
struct Listed {
    id: String,
    row: Result<TenantRow, Fault>,
}

async fn all_tenants<P: Platform>(desk: &Desk<'_, P>) -> Result<Vec<Listed>, Error> {
    let mut all: Vec<Listed> = Vec::new();
    loop {
        let after = all.last().map_or("", |tenant| tenant.id.as_str());
        let tenants = page(desk, after, READ_AT_ONCE).await?;
        if tenants.is_empty() {
            return Ok(all);
        }
        all.extend(tenants);
    }
}

async fn page<P: Platform>(desk: &Desk<'_, P>, after: &str, most: usize) -> Result<Vec<Listed>, Error> {
    let answer = desk.context.sql(&[tenants::page(after, most as i64)], Freshness::Primary).await?;
    let listed = |row: &Row| Ok(Listed { id: tenants::id_of(row)?, row: TenantRow::from_row(row) });
    all_rows(&answer, 0).iter().map(listed).collect()
}
