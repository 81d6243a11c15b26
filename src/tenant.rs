//! A tenant is an issuer (design.md §3): how its issuer URL becomes a locator, and what of it is in memory.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use url::Url;

use crate::jose::jwk::PublicJwk;
use crate::keys::wrap;
use crate::platform::{Alg, Fault, PrivateKey, UnixTime};
use crate::seal::{KeyMaterial, Sealer};
use crate::store::keys::KeyRow;
use crate::store::tenants::{Registration, TenantWithKeys};

/// A tenant as this isolate knows it: a copy that was read from SQL at `read_at`.
pub struct Tenant {
    data: TenantWithKeys,
    path: String,
    secure: bool,
    read_at: UnixTime,
    master: KeyMaterial,
    sealer: Sealer,
    private: RefCell<HashMap<String, Rc<PrivateKey>>>,
    public: OnceCell<Vec<Rc<PublicJwk>>>,
    documents: RefCell<HashMap<&'static str, Rc<Document>>>,
}

/// A body made once per copy.
pub struct Document {
    pub body: Vec<u8>,
    /// Until when it is right (a key that activates changes nothing, one that retires does).
    pub valid_until: UnixTime,
}

impl Tenant {
    /// Unwraps the master; private keys are unwrapped when they are needed.
    pub fn new(data: TenantWithKeys, read_at: UnixTime, root: &KeyMaterial) -> Result<Self, Fault> {
        let issuer =
            Issuer::parse(&data.tenant.issuer).map_err(|why| Fault::Undecodable(format!("tenants.issuer {why}")))?;
        if issuer.locator != data.tenant.locator {
            return Err(Fault::Undecodable("tenants.locator is not that of the issuer".to_owned()));
        }
        let master = wrap::unwrap_master(root, &data.tenant.id, &data.tenant.wrapped_master)?;
        let sealer = Sealer::new(&master, &data.tenant.id);
        Ok(Self {
            path: issuer.path,
            secure: issuer.secure,
            data,
            read_at,
            master,
            sealer,
            private: RefCell::default(),
            public: OnceCell::new(),
            documents: RefCell::default(),
        })
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

    #[must_use]
    pub fn data(&self) -> &TenantWithKeys {
        &self.data
    }

    #[must_use]
    pub fn keys(&self) -> &[KeyRow] {
        &self.data.keys
    }

    #[must_use]
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    #[must_use]
    pub fn master(&self) -> &KeyMaterial {
        &self.master
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

    /// The private half of a key of this tenant.
    pub fn private_key(&self, row: &KeyRow) -> Result<Rc<PrivateKey>, Fault> {
        if let Some(key) = self.private.borrow().get(&row.kid) {
            return Ok(key.clone());
        }
        let key = Rc::new(wrap::unwrap_private(&self.master, self.id(), row)?);
        self.private.borrow_mut().insert(row.kid.clone(), key.clone());
        Ok(key)
    }

    /// The public half of the key with this `kid`, unless it was revoked.
    #[must_use]
    pub fn public_key(&self, kid: &str) -> Option<Rc<PublicJwk>> {
        let parsed = self.public.get_or_init(|| {
            self.keys()
                .iter()
                .filter(|row| row.revoked_at.is_none())
                .filter_map(|row| serde_json::from_str(&row.public_jwk).ok().map(Rc::new))
                .collect()
        });
        parsed.iter().find(|jwk: &&Rc<PublicJwk>| jwk.kid == kid).cloned()
    }

    /// What signs with this algorithm now (design.md §5).
    pub fn signing_key(&self, alg: Alg, region: &str, now: UnixTime) -> Result<Rc<PrivateKey>, Fault> {
        let row = crate::keys::schedule::signing_key(self.keys(), alg, region, now)
            .ok_or(Fault::NoSigningKey(alg.as_str()))?;
        self.private_key(row)
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
