//! What a person allowed a client: scopes, and `claim:name` for claims that were asked for one by one.

use crate::plant::{Plant, planted};
use crate::platform::{Statement, UnixTime};

const OF_SESSION: &str = "SELECT k.items FROM sessions AS s JOIN consents AS k \
     ON k.tenant_id = s.tenant_id AND k.user_id = s.user_id AND k.client_id = ?3 WHERE s.tenant_id = ?1 AND s.id = ?2";
const GRANT: &str = "INSERT INTO consents (tenant_id, user_id, client_id, items, granted_at) \
     SELECT c.tenant_id, u.id, c.id, ?4, ?5 FROM clients AS c JOIN users AS u ON u.tenant_id = c.tenant_id AND u.id = ?2 \
     WHERE c.tenant_id = ?1 AND c.id = ?3 AND c.disabled_at IS NULL AND u.disabled_at IS NULL \
     ON CONFLICT (tenant_id, user_id, client_id) DO UPDATE SET granted_at = excluded.granted_at, \
     items = consents.items || coalesce((SELECT ' ' || group_concat(value, ' ') \
     FROM json_each('[\"' || replace(excluded.items, ' ', '\",\"') || '\"]') \
     WHERE instr(' ' || consents.items || ' ', ' ' || value || ' ') = 0), '') RETURNING items";

pub const STATEMENTS: &[&str] = &[OF_SESSION, GRANT];

/// The items that the session's user allowed the client: one row of `items`, or none.
#[must_use]
pub fn of_session(tenant_id: &str, session_id: &str, client_id: &str) -> Statement {
    Statement::new(OF_SESSION, vec![tenant_id.into(), session_id.into(), client_id.into()])
}

/// Remembers a consent of a live user to a live client, beside what they allowed it before; answers a row when it did. The
/// items are put together in SQL: two devices may ask the same person at once, and a batch may come a second time. (No item
/// has a space, a quote or a backslash: RFC 6749 §3.3, and claims are those that we know.)
#[must_use]
pub fn grant(tenant_id: &str, user_id: &str, client_id: &str, items: &str, now: UnixTime) -> Statement {
    let sql = if planted(Plant::ConsentOverwritten) {
        "INSERT INTO consents (tenant_id, user_id, client_id, items, granted_at) \
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant_id, user_id, client_id) \
         DO UPDATE SET items = excluded.items, granted_at = excluded.granted_at RETURNING items"
    } else {
        GRANT
    };
    Statement::new(sql, vec![tenant_id.into(), user_id.into(), client_id.into(), items.into(), now.into()])
}
