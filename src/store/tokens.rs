//! How a presented token stands: one read on the primary that joins its grant, user, client and revocation.

use crate::plant::{Plant, planted};
use crate::platform::{Fault, Row, Statement, UnixTime};

use super::grants::UserClaims;

const STANDING: &str = "SELECT c.disabled_at AS client_disabled_at, c.operator, r.jti, g.revoked_at, g.generation, \
     g.rotated_at, g.expires_at, g.offline, g.scope, g.claims AS claims_request, u.id AS user_id, u.claims AS user_claims, u.updated_at, \
     c.metadata, c.secret_hash, k.kid IS NOT NULL AND k.revoked_at IS NULL AS key_is_good \
     FROM clients AS c JOIN tenants AS t ON t.id = c.tenant_id AND t.disabled_at IS NULL \
     LEFT JOIN revoked_tokens AS r ON r.tenant_id = c.tenant_id AND r.jti = ?3 \
     LEFT JOIN grants AS g ON g.tenant_id = c.tenant_id AND g.id = ?4 AND g.client_id = c.id \
     LEFT JOIN users AS u ON u.tenant_id = g.tenant_id AND u.id = g.user_id AND u.disabled_at IS NULL \
     LEFT JOIN signing_keys AS k ON k.tenant_id = c.tenant_id AND k.kid = ?5 \
     WHERE c.tenant_id = ?1 AND c.id = ?2";
const STANDING_OF_GRANT: &str = "SELECT c.disabled_at AS client_disabled_at, c.operator, NULL AS jti, g.revoked_at, g.generation, \
     g.rotated_at, g.expires_at, g.offline, g.scope, g.claims AS claims_request, u.id AS user_id, u.claims AS user_claims, u.updated_at, \
     c.metadata, c.secret_hash, 1 AS key_is_good \
     FROM clients AS c JOIN tenants AS t ON t.id = c.tenant_id AND t.disabled_at IS NULL \
     LEFT JOIN grants AS g ON g.tenant_id = c.tenant_id AND g.id = ?3 AND g.client_id = c.id \
     LEFT JOIN users AS u ON u.tenant_id = g.tenant_id AND u.id = g.user_id AND u.disabled_at IS NULL \
     WHERE c.tenant_id = ?1 AND c.id = ?2";
const REVOKE: &str = "INSERT INTO revoked_tokens (tenant_id, jti, expires_at) \
     SELECT c.tenant_id, ?4, ?5 FROM clients AS c \
     WHERE c.tenant_id = ?1 AND c.id = ?2 AND c.disabled_at IS NULL AND c.secret_hash IS ?3 ON CONFLICT DO NOTHING";
const AUDIT_REVOCATION: &str = "INSERT INTO audit_events \
     (tenant_id, id, at, event, actor, user_id, client_id, address, request_id, detail) \
     SELECT c.tenant_id, ?5, ?6, 'token.revoked', NULL, ?9, c.id, ?7, ?8, NULL FROM clients AS c \
     WHERE c.tenant_id = ?1 AND c.id = ?2 AND c.disabled_at IS NULL AND c.secret_hash IS ?3 \
     AND NOT EXISTS (SELECT 1 FROM revoked_tokens AS r WHERE r.tenant_id = ?1 AND r.jti = ?4) ON CONFLICT DO NOTHING";

pub const STATEMENTS: &[&str] = &[STANDING, STANDING_OF_GRANT, REVOKE, AUDIT_REVOCATION];

/// How a token stands: its client, and its grant if it has one.
#[derive(Clone, Debug)]
pub struct Standing {
    pub client_disabled: bool,
    pub operator: bool,
    /// Revoked by itself, or with the key that signed it.
    pub revoked: bool,
    pub grant: Option<GrantStanding>,
    pub client: crate::oauth::client_metadata::ClientMetadata,
    /// The hash of its client's secret now; `None` for public clients.
    pub secret_hash: Option<String>,
}

#[derive(Clone, Debug)]
pub struct GrantStanding {
    pub revoked: bool,
    pub generation: i64,
    pub rotated_at: UnixTime,
    pub expires_at: UnixTime,
    pub offline: bool,
    pub scope: String,
    pub claims_request: String,
    pub user_id: Option<String>,
    /// `None` when the user is gone or disabled.
    pub user: Option<UserClaims>,
}

impl Standing {
    /// Whether it has a grant that was not ended.
    #[must_use]
    pub fn has_live_grant(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| !grant.revoked)
    }

    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        let grant = match row.optional_integer(4)? {
            None => None,
            Some(generation) => Some(GrantStanding {
                revoked: row.optional_time(3)?.is_some(),
                generation,
                rotated_at: row.time(5)?,
                expires_at: row.time(6)?,
                offline: row.flag(7)?,
                scope: row.text(8)?,
                claims_request: row.text(9)?,
                user_id: row.optional_text(10)?,
                user: match row.optional_time(12)? {
                    None => None,
                    Some(updated_at) => Some(UserClaims { claims: row.json(11)?, updated_at }),
                },
            }),
        };
        Ok(Self {
            client_disabled: row.optional_time(0)?.is_some(),
            operator: row.flag(1)?,
            revoked: row.optional_text(2)?.is_some() || !(row.flag(15)? || planted(Plant::RevokedKeyHonoured)),
            grant,
            client: row.json(13)?,
            secret_hash: row.optional_text(14)?,
        })
    }
}

/// A token whose standing is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    pub client_id: &'a str,
    pub jti: &'a str,
    /// `None` for a token without a grant (client credentials).
    pub grant_id: Option<&'a str>,
    /// The key that signed it.
    pub kid: &'a str,
}

/// The standing of a token; no row when there is no such client.
#[must_use]
pub fn standing(tenant_id: &str, token: Presented<'_>) -> Statement {
    let Presented { client_id, jti, grant_id, kid } = token;
    Statement::new(STANDING, vec![tenant_id.into(), client_id.into(), jti.into(), grant_id.into(), kid.into()])
}

/// The standing of a grant that a refresh token belongs to. They are sealed, not signed.
#[must_use]
pub fn standing_of_grant(tenant_id: &str, client_id: &str, grant_id: &str) -> Statement {
    Statement::new(STANDING_OF_GRANT, vec![tenant_id.into(), client_id.into(), grant_id.into()])
}

/// An access token that its own client revokes.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    pub tenant_id: &'a str,
    pub client_id: &'a str,
    pub secret_hash: Option<&'a str>,
    pub jti: &'a str,
    pub expires_at: UnixTime,
    /// Whom the token was about, if anybody.
    pub user_id: Option<&'a str>,
    /// Id of the audit row.
    pub id: &'a str,
    pub now: UnixTime,
    pub address: Option<&'a str>,
    pub request_id: &'a str,
}

/// Revokes one access token until it would have expired: 1 audit, if it was not revoked before, 2 revoke.
#[must_use]
pub fn revoke(revocation: &Revocation<'_>) -> [Statement; 2] {
    let addressed = || {
        let Revocation { tenant_id, client_id, secret_hash, jti, .. } = *revocation;
        vec![tenant_id.into(), client_id.into(), secret_hash.into(), jti.into()]
    };
    let Revocation { expires_at, user_id, id, now, address, request_id, .. } = *revocation;
    let mut audit = addressed();
    audit.extend([id.into(), now.into(), address.into(), request_id.into(), user_id.into()]);
    let mut revoke = addressed();
    revoke.push(expires_at.into());
    [Statement::new(AUDIT_REVOCATION, audit), Statement::new(REVOKE, revoke)]
}
