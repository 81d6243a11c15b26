//! Signing keys in the management API: list them, have the next ones take over soon, revoke one. Times are seconds since 1970.
//!
//! A key has `kid`, `alg`, `region` (empty: common), `ordinal`, `state` (`standby`, `active`, `retired`, `removed`, `revoked`),
//! `published_at`, `activates_at`, `retires_at` (its successor takes over), `leaves_jwks_at` and `revoked_at`.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::endpoint::json::{Members, invalid};
use crate::error::{Error, Refusal};
use crate::http::{Request, Response};
use crate::keys::mint;
use crate::keys::schedule::{self, JWKS_MAX_AGE, Need, PUBLICATION_LEAD, State};
use crate::maintenance::{self, Occasion};
use crate::platform::{Alg, Platform, UnixTime};
use crate::store::audit::{Condition, Event};
use crate::store::keys::{self, KeyRow};
use crate::tenant::Tenant;
use crate::tenants::{self, COPY_BOUND};

use super::{ATTEMPTS, CHANGED_MEANWHILE, Desk};

/// What is signed with this algorithm whatever a client chose.
const ACCESS_TOKENS: Alg = crate::grant::issue::ACCESS_TOKEN_ALG;

/// All keys that there ever were, and what an operator should know of them.
pub async fn list<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str) -> Result<Response, Error> {
    let tenant = read(desk, tenant_id).await?;
    let now = desk.context.now();
    let mut rows: Vec<&KeyRow> = tenant.data().keys.iter().collect();
    rows.sort_by_key(|row| (row.region.as_str(), row.alg, row.ordinal));
    let shown: Vec<Value> = rows.into_iter().map(|row| show(&tenant, row, now)).collect();
    let mut problems = tenant.problems().to_vec();
    problems.extend(tenant.region_problem(&desk.context.configuration().await.region));
    Ok(Response::json(200, &json!({"keys": shown, "problems": problems})))
}

/// Has the next key of each algorithm (or the one named) take over as soon as all the world can know it. Asked again, it names
/// the same keys.
pub async fn rotate<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, request: &Request) -> Result<Response, Error> {
    let mut tenant = read(desk, tenant_id).await?;
    let chosen = Chosen::of(request, &tenant)?;
    for _ in 0..ATTEMPTS {
        let now = desk.context.now();
        let needs: Vec<Need> = chosen
            .each()
            .filter_map(|(alg, region)| schedule::on_demand(tenant.keys(), &tenant.taken(), alg, region, now))
            .collect();
        if needs.is_empty() {
            let next = |(alg, region)| schedule::standby(tenant.keys(), alg, region, now);
            let keys: Vec<Value> = chosen.each().filter_map(next).map(|key| show(&tenant, key, now)).collect();
            return Ok(Response::json(200, &json!({ "keys": keys })));
        }
        // Whose place somebody else took meanwhile, with a key for later, gets the next one in the next round.
        maintenance::append(desk.context, &tenant, &needs, Some(&desk.operator.client_id)).await?;
        tenant = read(desk, tenant_id).await?;
    }
    Err(CHANGED_MEANWHILE.into())
}

/// 1 the key, 2 what takes over: the standby that relying parties have already, or a new key if there is none, 3 all of it in
/// one batch, 4 copies follow: here at once, elsewhere within [`COPY_BOUND`] seconds, 5 a new standby is made behind the answer.
pub async fn revoke<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str, kid: &str) -> Result<Response, Error> {
    for _ in 0..ATTEMPTS {
        let tenant = read(desk, tenant_id).await?;
        let row = tenant.data().keys.iter().find(|row| row.kid == kid).ok_or(Refusal::NoSuch("key"))?; // 1
        let now = desk.context.now();
        if row.revoked_at.is_some() {
            return Ok(Response::json(200, &revoked(&tenant, row, now)));
        }
        let detail = json!({"kid": kid, "operator_tenant": desk.home.id()}).to_string();
        let change = desk.change(tenant_id, Event::KeyRevoked, &[]).with_detail(detail);
        let decision = change.decision();
        let is_active = schedule::state(&tenant.data().keys, row, now) == State::Active;
        let others: Vec<KeyRow> = tenant.keys().iter().filter(|key| key.kid != kid).cloned().collect();
        let heir = schedule::heir(&others, row.alg, &row.region, now).filter(|_| is_active);
        let condition = match heir {
            Some(heir) => Condition::KeyAndHeir { kid, heir: &heir.kid },
            None => Condition::KeyNotRevoked { kid },
        };
        let mut batch = vec![change.decide(condition), keys::revoke(tenant_id, kid, now, decision)];
        match heir {
            Some(heir) => batch.push(keys::promote(tenant_id, &heir.kid, schedule::at_once(now), decision)), // 2
            // A region without a key of its own signs with the common one, which relying parties know.
            None if is_active && row.region.is_empty() => {
                let need = Need {
                    alg: row.alg,
                    region: row.region.clone(),
                    ordinal: schedule::next_ordinal(&tenant.taken(), row.alg, &row.region),
                    activates_at: schedule::at_once(now),
                };
                let key = mint::key(desk.context, tenant_id, tenant.master(), &need).await?;
                batch.push(keys::insert_if(tenant_id, &tenant.data().tenant.wrapped_master, &key, decision));
            }
            None => {}
        }
        if !change.make(desk.context, batch).await? {
            continue; // 3: somebody else revoked it, or what was to take over.
        }
        let tenant = read(desk, tenant_id).await?; // 4
        maintenance::defer(desk.context, tenant_id, tenant.locator(), Occasion::Change); // 5
        let row = tenant.data().keys.iter().find(|row| row.kid == kid).ok_or(Refusal::NoSuch("key"))?;
        return Ok(Response::json(200, &revoked(&tenant, row, now)));
    }
    Err(CHANGED_MEANWHILE.into())
}

/// The tenant as SQL has it now.
async fn read<P: Platform>(desk: &Desk<'_, P>, tenant_id: &str) -> Result<Rc<Tenant>, Error> {
    let locator = if tenant_id == desk.home.id() {
        desk.home.locator().to_owned()
    } else {
        desk.tenant(tenant_id).await?.locator
    };
    let tenant = tenants::read(desk.context, &locator).await?;
    Ok(tenant.filter(|tenant| tenant.id() == tenant_id).ok_or(Refusal::NoSuch("tenant"))?)
}

/// What is to be rotated.
struct Chosen {
    algorithms: Vec<Alg>,
    regions: Vec<String>,
}

impl Chosen {
    /// `alg` and `region` of the body, both optional; so is the body.
    fn of(request: &Request, tenant: &Tenant) -> Result<Self, Refusal> {
        let mut all: Vec<String> = vec![String::new()];
        all.extend(tenant.regions().iter().cloned());
        if request.body.is_empty() {
            return Ok(Self { algorithms: Alg::ALL.to_vec(), regions: all });
        }
        let mut members = Members::of(request)?;
        let algorithms = match members.take_text("alg")? {
            None => Alg::ALL.to_vec(),
            Some(name) => vec![Alg::from_name(&name).ok_or_else(|| invalid("alg", "is not one that we sign with"))?],
        };
        let regions = match members.take_text("region")? {
            None => all,
            Some(region) if all.contains(&region) => vec![region],
            Some(_) => return Err(invalid("region", "is not one of the tenant's regions")),
        };
        members.finish()?;
        Ok(Self { algorithms, regions })
    }

    fn each(&self) -> impl Iterator<Item = (Alg, &str)> {
        self.regions.iter().flat_map(|region| self.algorithms.iter().map(move |alg| (*alg, region.as_str())))
    }
}

fn show(tenant: &Tenant, key: &KeyRow, now: UnixTime) -> Value {
    let all = &tenant.data().keys;
    let seconds = |time: Option<UnixTime>| time.map(|time| time.0);
    json!({
        "kid": key.kid,
        "alg": key.alg,
        "region": key.region,
        "ordinal": key.ordinal,
        "state": schedule::state(all, key, now).as_str(),
        "published_at": key.published_at.0,
        "activates_at": key.activates_at.0,
        "retires_at": seconds(schedule::taken_over_at(all, key)),
        "leaves_jwks_at": seconds(schedule::removed_at(all, key)),
        "revoked_at": seconds(key.revoked_at),
    })
}

/// What follows from a revocation.
fn revoked(tenant: &Tenant, key: &KeyRow, now: UnixTime) -> Value {
    let signs_now = schedule::signing_key(tenant.keys(), key.alg, &key.region, now);
    let has_signed = key.revoked_at.is_some_and(|at| key.activates_at <= at);
    let kinds = || {
        let access_tokens = (key.alg == ACCESS_TOKENS).then_some("access_token");
        access_tokens.into_iter().chain(["id_token", "userinfo"]).collect::<Vec<_>>()
    };
    let is_known = |heir: &&KeyRow| now.since(heir.published_at) >= PUBLICATION_LEAD;
    json!({
        "kid": key.kid,
        "revoked_at": key.revoked_at.map(|at| at.0),
        "signs_now": signs_now.map(|heir| json!({
            "kid": heir.kid,
            "region": heir.region,
            "activates_at": heir.activates_at.0,
            "known_to_relying_parties": is_known(&heir),
        })),
        // Whatever this key signed; other keys' tokens go on.
        "stops_verifying": has_signed.then(|| json!({
            "alg": key.alg,
            "kinds": kinds(),
            "signed_from": key.activates_at.0,
            "signed_until": key.revoked_at.map(|at| at.plus(COPY_BOUND).0),
        })),
        // In seconds from `revoked_at`.
        "refused_by_our_endpoints_after": 0,
        "signs_nowhere_after": COPY_BOUND,
        "in_no_jwks_of_ours_after": COPY_BOUND,
        "refused_by_relying_parties_after": COPY_BOUND + JWKS_MAX_AGE,
    })
}
