//! The management API: tenants, each tenant's users, clients and signing keys, the root secret, and back-up, for operator clients (design.md §7). In scope: who may, what
//! there is, and which method does what to it; the modules below do it.
//!
//! An operator client belongs to one tenant, asks there, and manages every tenant of the deployment.

mod backup;
mod clients;
mod keys;
mod page;
mod root_secret;
mod tenants;
mod users;

use std::rc::Rc;

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::http::{Method, Request, Response};
use crate::keys::schedule;
use crate::oauth::client_metadata::ALGORITHM_MEMBERS;
use crate::platform::{Alg, Freshness, Platform};
use crate::store::audit::Event;
use crate::store::tenants::{TenantRow, by_id};
use crate::store::{self, all_rows, first_row};
use crate::tenant::Tenant;

use super::bearer::{self, Operator};
use super::change::Change;

/// How often a change is tried when others change the same thing at the same time.
const ATTEMPTS: usize = 3;

const CHANGED_MEANWHILE: Refusal = Refusal::Conflict("It is being changed by others at the same time; try again.");

/// 1 an operator client asks, 2 the address names something, 3 the method does something to it.
pub async fn handle<P: Platform>(
    context: &Context<'_, P>,
    tenant: &Rc<Tenant>,
    request: &Request,
    segments: &[String],
) -> Result<Response, Error> {
    let operator = bearer::operator(context, tenant, request).await?; // 1
    let desk = Desk { context, home: tenant, operator };
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let resource = Resource::at(&segments).ok_or(Refusal::NotFound)?; // 2
    match (resource, request.method) {
        // 3
        (Resource::Tenants, Method::Get | Method::Head) => tenants::list(&desk, request).await,
        (Resource::Tenants, Method::Post) => tenants::create(&desk, request).await,
        (Resource::Tenant(id), Method::Get | Method::Head) => tenants::read(&desk, id).await,
        (Resource::Tenant(id), Method::Patch) => tenants::change(&desk, id, request).await,
        (Resource::Users { tenant }, Method::Get | Method::Head) => users::list(&desk, tenant, request).await,
        (Resource::Users { tenant }, Method::Post) => users::create(&desk, tenant, request).await,
        (Resource::User { tenant, id }, Method::Get | Method::Head) => users::read(&desk, tenant, id).await,
        (Resource::User { tenant, id }, Method::Patch) => users::change(&desk, tenant, id, request).await,
        (Resource::User { tenant, id }, Method::Delete) => users::delete(&desk, tenant, id).await,
        (Resource::Clients { tenant }, Method::Get | Method::Head) => clients::list(&desk, tenant, request).await,
        (Resource::Clients { tenant }, Method::Post) => clients::create(&desk, tenant, request).await,
        (Resource::Client { tenant, id }, Method::Get | Method::Head) => clients::read(&desk, tenant, id).await,
        (Resource::Client { tenant, id }, Method::Patch) => clients::change(&desk, tenant, id, request).await,
        (Resource::Client { tenant, id }, Method::Delete) => clients::delete(&desk, tenant, id).await,
        (Resource::ClientSecret { tenant, id }, Method::Post) => clients::rotate_secret(&desk, tenant, id).await,
        (Resource::Keys { tenant }, Method::Get | Method::Head) => keys::list(&desk, desk.id(tenant)).await,
        (Resource::KeysRotate { tenant }, Method::Post) => keys::rotate(&desk, desk.id(tenant), request).await,
        (Resource::KeyRevoke { tenant, kid }, Method::Post) => keys::revoke(&desk, desk.id(tenant), kid).await,
        (Resource::Backup, Method::Get) => backup::read(&desk, request).await,
        (Resource::RootSecret, Method::Get | Method::Head) => root_secret::read(&desk).await,
        (Resource::RootSecretRewrap, Method::Post) => root_secret::rewrap(&desk, request).await,
        (Resource::ReplaceMasters, Method::Post) => root_secret::replace_masters(&desk, request).await,
        (resource, _) => Err(Refusal::MethodNotAllowed { allow: resource.allow().to_owned() }.into()),
    }
}

/// What an address below `/admin/api` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource<'a> {
    Tenants,
    Tenant(&'a str),
    Users {
        tenant: &'a str,
    },
    User {
        tenant: &'a str,
        id: &'a str,
    },
    Clients {
        tenant: &'a str,
    },
    Client {
        tenant: &'a str,
        id: &'a str,
    },
    ClientSecret {
        tenant: &'a str,
        id: &'a str,
    },
    /// Keys of a tenant; without one, of the operator's own.
    Keys {
        tenant: Option<&'a str>,
    },
    KeysRotate {
        tenant: Option<&'a str>,
    },
    KeyRevoke {
        tenant: Option<&'a str>,
        kid: &'a str,
    },
    Backup,
    RootSecret,
    RootSecretRewrap,
    ReplaceMasters,
}

impl<'a> Resource<'a> {
    fn at(segments: &[&'a str]) -> Option<Self> {
        match *segments {
            ["tenants"] => Some(Self::Tenants),
            ["tenants", id] => Some(Self::Tenant(id)),
            ["tenants", tenant, "users"] => Some(Self::Users { tenant }),
            ["tenants", tenant, "users", id] => Some(Self::User { tenant, id }),
            ["tenants", tenant, "clients"] => Some(Self::Clients { tenant }),
            ["tenants", tenant, "clients", id] => Some(Self::Client { tenant, id }),
            ["tenants", tenant, "clients", id, "secret"] => Some(Self::ClientSecret { tenant, id }),
            ["tenants", tenant, "keys", ref of_keys @ ..] => Self::of_keys(Some(tenant), of_keys),
            ["keys", ref of_keys @ ..] => Self::of_keys(None, of_keys),
            ["backup"] => Some(Self::Backup),
            ["root-secret"] => Some(Self::RootSecret),
            ["root-secret", "rewrap"] => Some(Self::RootSecretRewrap),
            ["root-secret", "replace-masters"] => Some(Self::ReplaceMasters),
            _ => None,
        }
    }

    fn of_keys(tenant: Option<&'a str>, segments: &[&'a str]) -> Option<Self> {
        match *segments {
            [] => Some(Self::Keys { tenant }),
            ["rotate"] => Some(Self::KeysRotate { tenant }),
            [kid, "revoke"] => Some(Self::KeyRevoke { tenant, kid }),
            _ => None,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            // HEAD would have to make a whole bundle, and the audit say so.
            Self::Backup => "GET",
            Self::Keys { .. } | Self::RootSecret => "GET, HEAD",
            Self::KeysRotate { .. } | Self::KeyRevoke { .. } | Self::RootSecretRewrap | Self::ReplaceMasters => "POST",
            Self::Tenants | Self::Users { .. } | Self::Clients { .. } => "GET, HEAD, POST",
            Self::Tenant(_) => "GET, HEAD, PATCH",
            Self::User { .. } | Self::Client { .. } => "GET, HEAD, PATCH, DELETE",
            Self::ClientSecret { .. } => "POST",
        }
    }
}

/// Where a request of an operator is dealt with.
struct Desk<'a, P> {
    context: &'a Context<'a, P>,
    /// The operator's own tenant.
    home: &'a Tenant,
    operator: Operator,
}

impl<P: Platform> Desk<'_, P> {
    /// A change by this operator; `members` are the names (never the values) of what it is about.
    fn change<'a>(&'a self, tenant_id: &'a str, event: Event, members: &[String]) -> Change<'a> {
        let mut detail = json!({"operator_tenant": self.home.id()});
        if let (Some(detail), false) = (detail.as_object_mut(), members.is_empty()) {
            detail.insert("members".to_owned(), json!(members));
        }
        Change::new(self.context, tenant_id, event).by(&self.operator.client_id).with_detail(detail.to_string())
    }

    /// The tenant that is meant: the operator's own where none is named.
    fn id<'a>(&'a self, tenant: Option<&'a str>) -> &'a str {
        tenant.unwrap_or_else(|| self.home.id())
    }

    /// What a tenant can sign with, for clients that choose; asked only where the request names an algorithm.
    async fn algorithms(&self, tenant_id: &str, metadata: &Map<String, Value>) -> Result<Vec<Alg>, Error> {
        if !ALGORITHM_MEMBERS.iter().any(|name| metadata.contains_key(*name)) {
            return Ok(Alg::ALL.to_vec());
        }
        let answer = self.context.sql(&[store::keys::of_tenant(tenant_id)], Freshness::Primary).await?;
        let (keys, _) = store::keys::read_all(all_rows(&answer, 0))?;
        // What the common keys can do, every region can.
        Ok(schedule::active_algorithms(&keys, "", self.context.now()))
    }

    async fn tenant(&self, id: &str) -> Result<TenantRow, Error> {
        let answer = self.context.sql(&[by_id(id)], Freshness::Primary).await?;
        let row = first_row(&answer, 0).ok_or(Refusal::NoSuch("tenant"))?;
        Ok(TenantRow::from_row(row)?)
    }
}

/// What holds for names that people read and type.
fn check_name(name: &str, longest: usize) -> Result<(), &'static str> {
    if name.is_empty() {
        Err("is empty")
    } else if name.chars().count() > longest {
        Err("is too long")
    } else if name.trim() != name {
        Err("has spaces around it")
    } else if name.chars().any(char::is_control) {
        Err("has a control character")
    } else {
        Ok(())
    }
}

fn no_content() -> Response {
    Response::new(204).with("cache-control", "no-store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_resource_or_nothing() {
        let (tenant, id) = ("t", "i");
        assert_eq!(Resource::at(&["tenants", "t", "users", "i"]), Some(Resource::User { tenant, id }));
        assert_eq!(
            Resource::at(&["tenants", "t", "clients", "i", "secret"]),
            Some(Resource::ClientSecret { tenant, id })
        );
        for nothing in
            [&[] as &[&str], &["users"], &["tenants", "t", "keys", "k"], &["tenants", "t", "users", "i", "secret"]]
        {
            assert_eq!(Resource::at(nothing), None, "{nothing:?}");
        }
    }
}
