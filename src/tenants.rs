//! Finding a request's tenant (design.md §3): isolate, then KV, then SQL, each copy only while it is younger than
//! [`COPY_BOUND`]. A copy that is older is not trusted: the handler reads SQL and refreshes it.

use std::rc::Rc;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::jose::jwk::PublicJwk;
use crate::keys::schedule;
use crate::maintenance::{self, Occasion};
use crate::plant::{Plant, planted};
use crate::platform::{Fault, Freshness, Platform, SecretName, UnixTime};
use crate::root::Roots;
use crate::store::grants::TOLERATED_SKEW;
use crate::store::tenants::{self, TenantWithKeys};
use crate::tenant::Tenant;

/// Seconds for which a copy of a tenant may be used after it was read from SQL.
pub const COPY_BOUND: i64 = 60;

/// Seconds for which a copy is too young to be read anew for a key that it does not know.
const YOUNG_COPY: i64 = 5;

/// No tenant has a longer one, and no KV key may be much longer (Workers: 512 bytes).
pub const LONGEST_LOCATOR: usize = 400;

/// Format of the KV value; a value of another format is ignored and written anew.
const FORMAT: u32 = 3;

const COPY: &str = "tenant-copy";

/// The KV value of a tenant (`kv-schema/tenant.schema.json`).
#[derive(serde::Serialize, serde::Deserialize)]
pub struct TenantCopy {
    pub format: u32,
    /// When SQL was read, seconds since 1970.
    pub read_at: UnixTime,
    /// A digest of all the rest, sealed. The public keys stand in clear, and whoever can write to KV but not to SQL would have
    /// the world verify by his own.
    pub seal: String,
    #[serde(flatten)]
    pub data: TenantWithKeys,
}

impl TenantCopy {
    fn new(roots: &Roots, data: TenantWithKeys, read_at: UnixTime, nonce: [u8; 24]) -> Self {
        let seal = roots.seal_bytes(&data.tenant.id, COPY, &digest(&data, read_at), nonce);
        Self { format: FORMAT, read_at, seal, data }
    }

    /// Whether it is as it was made.
    fn is_whole(&self, roots: &Roots) -> bool {
        let sealed = roots.open_bytes(&self.data.tenant.id, COPY, &self.seal);
        sealed.is_some_and(|sealed| sealed == digest(&self.data, self.read_at))
    }
}

fn digest(data: &TenantWithKeys, read_at: UnixTime) -> Vec<u8> {
    // Our own types always serialise; a failure would only make two copies look the same that cannot be read either.
    Sha256::digest(serde_json::to_vec(&(FORMAT, read_at, data)).unwrap_or_default()).to_vec()
}

/// KV key of a tenant's copy.
#[must_use]
pub fn kv_key(locator: &str) -> String {
    format!("tenant/{locator}")
}

/// The tenant of a host name and path prefix.
pub async fn find<P: Platform>(context: &Context<'_, P>, host: &str, prefix: &str) -> Result<Rc<Tenant>, Error> {
    let configuration = context.configuration().await;
    let locator = format!("{}{prefix}", configuration.host(&host_name(host)));
    if locator.len() > LONGEST_LOCATOR {
        return Err(Refusal::NoTenant.into());
    }
    let tenant = match fresh_copy(context, &locator).await? {
        Some(tenant) => tenant,
        None if planted(Plant::MissForever) && context.isolate.missed(&locator) => return Err(Refusal::NoTenant.into()),
        None => read(context, &locator).await?.ok_or(Refusal::NoTenant)?,
    };
    if tenant.is_disabled() {
        return Err(Refusal::NoTenant.into());
    }
    *context.tenant_id.borrow_mut() = Some(tenant.id().to_owned());
    with_keys(context, tenant).await
}

/// A host name in lower case, without its port.
fn host_name(host: &str) -> String {
    let without_port = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => host.get(..at).unwrap_or(host),
        _ => host,
    };
    without_port.trim_end_matches('.').to_ascii_lowercase()
}

fn is_fresh(read_at: UnixTime, now: UnixTime) -> bool {
    // A copy from the future is another clock's; it may be as old as the difference. A clock that is further ahead than clocks
    // may be is wrong, and so may be all that it says.
    (-2 * TOLERATED_SKEW..COPY_BOUND).contains(&now.since(read_at))
}

/// From the isolate or KV. A KV that fails or holds nonsense only costs a read of SQL.
async fn fresh_copy<P: Platform>(context: &Context<'_, P>, locator: &str) -> Result<Option<Rc<Tenant>>, Fault> {
    let now = context.now();
    if let Some(tenant) = context.isolate.tenant(locator).filter(|tenant| is_fresh(tenant.read_at(), now)) {
        return Ok(Some(tenant));
    }
    let value = match context.kv_get(&kv_key(locator)).await {
        Ok(Some(value)) => value,
        Ok(None) => return Ok(None),
        Err(fault) => {
            context.platform.log(&format!("{{\"level\":\"warn\",\"kv\":{}}}", serde_json::json!(fault.to_string())));
            return Ok(None);
        }
    };
    let Ok(copy) = serde_json::from_slice::<TenantCopy>(&value) else { return Ok(None) };
    if copy.format != FORMAT || copy.data.tenant.locator != locator {
        return Ok(None);
    }
    if !is_fresh(copy.read_at, now) && !planted(Plant::KvForever) {
        return Ok(None);
    }
    let roots = roots(context).await?;
    // A copy that does not open (another root secret, damage, somebody else's) is ignored like an old one; SQL decides.
    if !copy.is_whole(&roots) {
        return Ok(None);
    }
    let Ok(tenant) = Tenant::new(copy.data, copy.read_at, &roots).map(Rc::new) else { return Ok(None) };
    context.isolate.keep_tenant(&tenant);
    Ok(Some(tenant))
}

/// From SQL; the copies in the isolate and in KV are refreshed.
pub async fn read<P: Platform>(context: &Context<'_, P>, locator: &str) -> Result<Option<Rc<Tenant>>, Error> {
    let now = context.now();
    let answer = context.sql(&tenants::load(locator), Freshness::Primary).await?;
    let Some(data) = tenants::loaded(&answer)? else {
        context.isolate.forget_tenant(locator);
        context.isolate.keep_miss(locator);
        return Ok(None);
    };
    let roots = roots(context).await?;
    let tenant = Rc::new(Tenant::new(data.clone(), now, &roots)?);
    let region_problem = tenant.region_problem(&context.configuration().await.region);
    for problem in tenant.problems().iter().chain(&region_problem) {
        context.platform.log(&json!({"level": "warn", "tenant": tenant.id(), "keys": problem}).to_string());
    }
    context.isolate.keep_tenant(&tenant);
    put_copy(context, TenantCopy::new(&roots, data, now, context.random()));
    Ok(Some(tenant))
}

fn put_copy<P: Platform>(context: &Context<'_, P>, copy: TenantCopy) {
    let platform = context.platform.clone();
    context.platform.defer(async move {
        let value = serde_json::to_vec(&copy).unwrap_or_default();
        if let Err(fault) = platform.kv_put(&kv_key(&copy.data.tenant.locator), &value).await {
            platform.log(&format!("{{\"level\":\"warn\",\"kv\":{}}}", serde_json::json!(fault.to_string())));
        }
    });
}

/// Keys that are due are made behind the answer; only what nothing can be signed without, and is made in no time, at once.
async fn with_keys<P: Platform>(context: &Context<'_, P>, tenant: Rc<Tenant>) -> Result<Rc<Tenant>, Error> {
    let now = context.now();
    if now < tenant.keys_due_from() {
        return Ok(tenant);
    }
    let needs = schedule::due(tenant.keys(), &tenant.taken(), tenant.regions(), now);
    let urgent: Vec<_> = needs.iter().filter(|need| need.is_urgent(now) && !need.alg.is_slow_to_make()).collect();
    if urgent.is_empty() {
        maintenance::defer(context, tenant.id(), tenant.locator(), Occasion::Traffic);
        return Ok(tenant);
    }
    maintenance::append(context, &tenant, urgent, None).await?;
    read(context, tenant.locator()).await?.ok_or_else(|| Refusal::NoTenant.into())
}

/// The key of this `kid`, unless it was revoked. A copy may be older than a key, so what it does not know SQL is asked for.
pub async fn public_key<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Tenant,
    kid: &str,
) -> Result<Option<Rc<PublicJwk>>, Error> {
    if tenant.knows(kid) || context.now().since(tenant.read_at()) < YOUNG_COPY {
        return Ok(tenant.public_key(kid));
    }
    Ok(read(context, tenant.locator()).await?.and_then(|tenant| tenant.public_key(kid)))
}

/// The root secrets, decoded once an isolate.
pub async fn roots<P: Platform>(context: &Context<'_, P>) -> Result<Rc<Roots>, Fault> {
    if let Some(roots) = context.isolate.roots() {
        return Ok(roots);
    }
    let text = context.platform.secret(SecretName::Root).await?;
    let roots = Rc::new(Roots::parse(&text.0)?);
    context.isolate.keep_roots(&roots);
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_and_the_case_of_a_host_do_not_matter() {
        for host in ["localhost:8787", "LOCALHOST", "localhost.", "localhost"] {
            assert_eq!(host_name(host), "localhost", "{host}");
        }
        assert_eq!(host_name("[::1]:8787"), "[::1]");
        assert_eq!(host_name("[::1]"), "[::1]");
    }
}
