//! A tenant is an issuer (design.md §3): how its issuer URL becomes a locator, and what of it is in memory.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use url::Url;

use crate::jose::jwk::PublicJwk;
use crate::keys::schedule::{self, Taken};
use crate::keys::wrap;
use crate::platform::{Alg, Fault, PrivateKey, UnixTime};
use crate::root::Roots;
use crate::seal::{KeyMaterial, Sealer};
use crate::store::keys::{KeyRow, UnreadableKey};
use crate::store::tenants::{Registration, TenantWithKeys};
use crate::tenants::COPY_BOUND;

/// A tenant as this isolate knows it: a copy that was read from SQL at `read_at`.
pub struct Tenant {
    data: TenantWithKeys,
    /// The keys of `data` that can be used: their public half decodes, and while they may sign, their private half opens.
    keys: Vec<KeyRow>,
    /// Those and the keys whose private half does not open: what they signed may still be verified.
    listed: Vec<KeyRow>,
    /// What an operator should know about the others.
    problems: Vec<String>,
    path: String,
    secure: bool,
    read_at: UnixTime,
    master: KeyMaterial,
    pepper: KeyMaterial,
    sealer: Sealer,
    private: HashMap<String, Rc<PrivateKey>>,
    public: HashMap<String, Rc<PublicJwk>>,
    keys_due_from: UnixTime,
    documents: RefCell<HashMap<&'static str, Rc<Document>>>,
}

/// A body made once per copy.
pub struct Document {
    pub body: Vec<u8>,
    /// Until when it is right (a key that activates changes nothing, one that retires does).
    pub valid_until: UnixTime,
}

impl Tenant {
    /// Unwraps the master and the keys. A key that does not open is set aside, so that the others go on; without the master
    /// there is no tenant.
    pub fn new(data: TenantWithKeys, read_at: UnixTime, roots: &Roots) -> Result<Self, Fault> {
        let issuer =
            Issuer::parse(&data.tenant.issuer).map_err(|why| Fault::Undecodable(format!("tenants.issuer {why}")))?;
        if issuer.locator != data.tenant.locator {
            return Err(Fault::Undecodable("tenants.locator is not that of the issuer".to_owned()));
        }
        let master = wrap::unwrap_master(roots, &data.tenant.id, &data.tenant.wrapped_master)?;
        let pepper = wrap::pepper(&master, &data.tenant)?;
        let sealer = Sealer::new(&master, &data.tenant.id);
        let mut tenant = Self {
            path: issuer.path,
            secure: issuer.secure,
            keys: Vec::with_capacity(data.keys.len()),
            listed: Vec::with_capacity(data.keys.len()),
            problems: Vec::new(),
            data,
            read_at,
            master,
            pepper,
            sealer,
            private: HashMap::new(),
            public: HashMap::new(),
            keys_due_from: read_at,
            documents: RefCell::default(),
        };
        tenant.open_keys();
        Ok(tenant)
    }

    fn open_keys(&mut self) {
        for row in &self.data.unreadable {
            self.problems.push(format!("{row} cannot be read by this build"));
        }
        // The latest first: whether a key may still sign depends on those after it that can be used.
        let mut rows: Vec<&KeyRow> = self.data.keys.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(schedule::place(row)));
        for row in rows {
            let name = row.unreadable();
            match serde_json::from_str::<PublicJwk>(&row.public_jwk) {
                Ok(jwk) if jwk.kid == row.kid && jwk.alg == row.alg => {
                    self.public.insert(row.kid.clone(), Rc::new(jwk));
                    self.listed.push(row.clone());
                }
                _ => {
                    self.problems.push(format!("the public half of {name} does not decode"));
                    continue;
                }
            }
            let is_removed = schedule::removed_at(&self.keys, row).is_some_and(|at| at <= self.read_at);
            if row.revoked_at.is_none() && !is_removed {
                match wrap::unwrap_private(&self.sealer, &self.data.tenant.id, row) {
                    Ok(key) => {
                        self.private.insert(row.kid.clone(), Rc::new(key));
                    }
                    Err(_) => {
                        self.problems.push(format!("the private half of {name} does not open"));
                        continue;
                    }
                }
            }
            self.keys.push(row.clone());
        }
        self.problems.extend(schedule::problems(&self.keys, self.read_at));
        self.keys_due_from = schedule::due_from(&self.keys, &self.taken(), self.regions(), self.read_at);
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.data.tenant.id
    }

    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.data.tenant.issuer
    }

    #[must_use]
    pub fn locator(&self) -> &str {
        &self.data.tenant.locator
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.data.tenant.name
    }

    /// Path prefix of every address of this tenant: empty or `/t/acme`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the issuer is https, so that cookies can be `__Host-` and `Secure`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    #[must_use]
    pub fn registration(&self) -> Registration {
        self.data.tenant.registration
    }

    #[must_use]
    pub fn is_disabled(&self) -> bool {
        self.data.tenant.disabled_at.is_some()
    }

    #[must_use]
    pub fn read_at(&self) -> UnixTime {
        self.read_at
    }

    /// Whether this copy has a change that the other one has not, as far as can be told: of what SQL has of a tenant the version
    /// only grows, keys are only appended, and a revocation is never taken back.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        let stage = |tenant: &Self| {
            let TenantWithKeys { tenant: row, keys, unreadable } = &tenant.data;
            let revoked = keys.iter().filter(|key| key.revoked_at.is_some()).count();
            (row.version, keys.len() + unreadable.len(), revoked)
        };
        self.id() == other.id() && self.read_at >= other.read_at && stage(self) > stage(other)
    }

    #[must_use]
    pub fn data(&self) -> &TenantWithKeys {
        &self.data
    }

    /// The keys that can be used.
    #[must_use]
    pub fn keys(&self) -> &[KeyRow] {
        &self.keys
    }

    /// What JWKS lists now.
    #[must_use]
    pub fn published(&self, now: UnixTime) -> Vec<&KeyRow> {
        let usable: Vec<&str> = schedule::published(&self.keys, now).map(|key| key.kid.as_str()).collect();
        let all: Vec<&str> = schedule::published(&self.listed, now).map(|key| key.kid.as_str()).collect();
        let is_listed = |key: &&KeyRow| usable.contains(&key.kid.as_str()) || all.contains(&key.kid.as_str());
        self.listed.iter().filter(is_listed).collect()
    }

    /// Sentences about keys that cannot be used, or whose times cannot be right.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The places that keys have taken, whether they can be used or not.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken<'_>> {
        let unreadable = self.data.unreadable.iter().map(UnreadableKey::taken);
        self.data.keys.iter().map(KeyRow::taken).chain(unreadable).collect()
    }

    /// From when on a key is to be made; never before something is.
    #[must_use]
    pub fn keys_due_from(&self) -> UnixTime {
        self.keys_due_from
    }

    #[must_use]
    pub fn regions(&self) -> &[String] {
        &self.data.tenant.regions
    }

    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    #[must_use]
    pub fn master(&self) -> &KeyMaterial {
        &self.master
    }

    /// What passwords are hashed with.
    #[must_use]
    pub fn pepper(&self) -> &KeyMaterial {
        &self.pepper
    }

    /// An absolute URL below the issuer; `path` begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer().trim_end_matches('/'))
    }

    /// A body that is the same for every request while this copy lasts, made when it is first needed or no longer right.
    pub fn document(&self, name: &'static str, now: UnixTime, make: impl FnOnce() -> Document) -> Rc<Document> {
        if let Some(document) = self.documents.borrow().get(name).filter(|document| now < document.valid_until) {
            return document.clone();
        }
        let document = Rc::new(make());
        self.documents.borrow_mut().insert(name, document.clone());
        document
    }

    /// Until when an answer with that body is right without anybody looking: neither is the copy too old, nor a key due that a
    /// request has to make.
    #[must_use]
    pub fn right_until(&self, document: &Document) -> UnixTime {
        document.valid_until.min(self.read_at.plus(COPY_BOUND)).min(self.keys_due_from)
    }

    /// Whether there is a key of this `kid`, revoked or not.
    #[must_use]
    pub fn knows(&self, kid: &str) -> bool {
        self.data.keys.iter().any(|row| row.kid == kid)
    }

    /// The public half of the key with this `kid`, unless it was revoked.
    #[must_use]
    pub fn public_key(&self, kid: &str) -> Option<Rc<PublicJwk>> {
        let is_revoked = self.data.keys.iter().any(|row| row.kid == kid && row.revoked_at.is_some());
        self.public.get(kid).filter(|_| !is_revoked).cloned()
    }

    /// The region whose keys a deployment in `region` signs with; empty: the common ones.
    fn signing_region<'a>(&self, region: &'a str) -> &'a str {
        if self.regions().iter().any(|known| known == region) { region } else { "" }
    }

    /// What an operator should know when a deployment says that it is in a region that this tenant does not have.
    #[must_use]
    pub fn region_problem(&self, region: &str) -> Option<String> {
        let is_unknown = !region.is_empty() && !self.regions().is_empty() && self.signing_region(region).is_empty();
        is_unknown.then(|| {
            let known = self.regions().join(", ");
            format!(
                "REGION is {region}, which is not one of the tenant's regions ({known}): it signs with the common keys"
            )
        })
    }

    /// Algorithms that something can be signed with now.
    #[must_use]
    pub fn algorithms(&self, region: &str, now: UnixTime) -> Vec<Alg> {
        schedule::active_algorithms(&self.keys, self.signing_region(region), now)
    }

    /// What signs with this algorithm now (design.md §5).
    pub fn signing_key(&self, alg: Alg, region: &str, now: UnixTime) -> Result<Rc<PrivateKey>, Fault> {
        schedule::signing_key(&self.keys, alg, self.signing_region(region), now)
            .and_then(|row| self.private.get(&row.kid))
            .cloned()
            .ok_or(Fault::NoSigningKey(alg.as_str()))
    }
}

/// A checked issuer URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    pub url: String,
    /// Host name and path, without scheme and port: what a request is matched against.
    pub locator: String,
    pub path: String,
    pub secure: bool,
}

impl Issuer {
    /// An issuer is https (http on loopback for development), without query, fragment, user information or trailing slash.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let trimmed = text.trim_end_matches('/');
        let url = Url::parse(trimmed).map_err(|_| "is not a URL")?;
        let host = url.host_str().ok_or("has no host")?.to_owned();
        let secure = match url.scheme() {
            "https" => true,
            "http" if matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]") => false,
            _ => return Err("has to be https (or http on localhost)"),
        };
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err("must have no query, fragment or user information");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if path.contains('%') || path.contains("//") {
            return Err("has a path that is not made of plain segments");
        }
        if path.split('/').skip(1).any(crate::router::is_reserved_segment) {
            return Err("has a path segment that is the name of an endpoint");
        }
        // What the URL parser made of it has to be what was written, or relying parties would compare different strings.
        let canonical = format!("{}{}", url.origin().ascii_serialization(), path);
        if canonical != trimmed {
            return Err("is not in its canonical form (lower-case host, no default port, no dot segments)");
        }
        let locator = format!("{host}{path}");
        if locator.len() > crate::tenants::LONGEST_LOCATOR {
            return Err("is too long");
        }
        Ok(Self { url: canonical, locator, path, secure })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_port_are_not_part_of_the_locator() {
        let issuer = Issuer::parse("http://localhost:8787").unwrap();
        assert_eq!((issuer.locator.as_str(), issuer.path.as_str(), issuer.secure), ("localhost", "", false));
        let issuer = Issuer::parse("https://id.example.com/t/acme/").unwrap();
        assert_eq!(issuer.url, "https://id.example.com/t/acme");
        assert_eq!(issuer.locator, "id.example.com/t/acme");
    }

    #[test]
    fn issuers_that_clients_would_read_differently_are_refused() {
        for bad in [
            "http://id.example.com",
            "https://id.example.com:443",
            "https://ID.example.com",
            "https://id.example.com?x=1",
            "https://id.example.com/#a",
            "https://id.example.com/token",
            "https://id.example.com/a/../b",
            "https://user@id.example.com",
            "id.example.com",
            "",
        ] {
            assert!(Issuer::parse(bad).is_err(), "{bad}");
        }
    }
}
