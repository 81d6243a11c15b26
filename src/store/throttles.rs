//! Attempts per account and per address. Counting comes before verifying: a batch counts and reads in one transaction.

use crate::platform::{Statement, UnixTime};

const COUNT: &str = "INSERT INTO throttles (tenant_id, bucket, attempts, window_started_at) \
     SELECT ?1, ?2, 1, ?3 WHERE NOT EXISTS (SELECT 1 FROM throttles AS o \
     WHERE o.tenant_id = ?1 AND o.bucket = ?5 AND o.attempts > ?6 AND o.window_started_at > ?4) \
     ON CONFLICT (tenant_id, bucket) DO UPDATE SET \
     attempts = CASE WHEN window_started_at <= ?4 THEN 1 ELSE attempts + 1 END, \
     window_started_at = CASE WHEN window_started_at <= ?4 THEN ?3 ELSE window_started_at END \
     RETURNING attempts, window_started_at";
const CLEAR: &str = "DELETE FROM throttles WHERE tenant_id = ?1 AND bucket = ?2";
const REFUND: &str = "UPDATE throttles SET attempts = attempts - 1 WHERE tenant_id = ?1 AND bucket = ?2 AND attempts > 0 \
     AND EXISTS (SELECT 1 FROM sessions AS s WHERE s.tenant_id = ?1 AND s.id = ?3) \
     AND NOT EXISTS (SELECT 1 FROM audit_events AS a WHERE a.tenant_id = ?1 AND a.id = ?4)";

pub const STATEMENTS: &[&str] = &[COUNT, CLEAR, REFUND];

/// Counts one attempt and answers `attempts` (this one included) and `window_started_at`. A window that began at or before
/// `window_floor` is over.
#[must_use]
pub fn count(tenant_id: &str, bucket: &str, now: UnixTime, window_floor: UnixTime) -> Statement {
    count_unless_full(tenant_id, bucket, now, window_floor, ("", 0))
}

/// As [`count`], but counts and answers nothing when the other bucket has more than so many attempts.
#[must_use]
pub fn count_unless_full(
    tenant_id: &str,
    bucket: &str,
    now: UnixTime,
    window_floor: UnixTime,
    (other, most): (&str, i64),
) -> Statement {
    let parameters = vec![tenant_id.into(), bucket.into(), now.into(), window_floor.into(), other.into(), most.into()];
    Statement::new(COUNT, parameters)
}

/// Forgets the attempts: the person proved to be who they are.
#[must_use]
pub fn clear(tenant_id: &str, bucket: &str) -> Statement {
    Statement::new(CLEAR, vec![tenant_id.into(), bucket.into()])
}

/// Takes one attempt back, which turned out to be an honest one: its session has begun, and the audit does not say so yet.
#[must_use]
pub fn refund(tenant_id: &str, bucket: &str, session_id: &str, audit_id: &str) -> Statement {
    Statement::new(REFUND, vec![tenant_id.into(), bucket.into(), session_id.into(), audit_id.into()])
}
