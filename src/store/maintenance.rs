//! Who takes up a task of maintenance, and the rows that are of no use any more. Nothing here decides what happens at most once;
//! taking up only keeps several from working at the same thing.

use crate::plant::{Plant, planted};
use crate::platform::{Statement, UnixTime};

use super::grants::TOLERATED_SKEW;

const TAKE_UP: &str = "INSERT INTO maintenance (tenant_id, task, taken_up_at) VALUES (?1, ?2, ?3) \
     ON CONFLICT (tenant_id, task) DO UPDATE SET taken_up_at = excluded.taken_up_at \
     WHERE maintenance.taken_up_at <= ?4 OR maintenance.taken_up_at > ?5 RETURNING task";
const DROP_THROTTLES: &str = "DELETE FROM throttles WHERE tenant_id = ?1 AND window_started_at < ?2";
const DROP_REVOKED_TOKENS: &str = "DELETE FROM revoked_tokens WHERE tenant_id = ?1 AND expires_at < ?2";
const DROP_SESSIONS: &str = "DELETE FROM sessions WHERE tenant_id = ?1 AND expires_at < ?2";
const DROP_GRANTS: &str = "DELETE FROM grants WHERE tenant_id = ?1 AND expires_at < ?2";

pub const STATEMENTS: &[&str] = &[TAKE_UP, DROP_THROTTLES, DROP_REVOKED_TOKENS, DROP_SESSIONS, DROP_GRANTS];

/// Seconds for which a dead row is kept: longer than anything lives that may still ask for it, whatever the clocks say.
const KEPT: i64 = 24 * 3600 + 2 * TOLERATED_SKEW;

/// Answers a row to whoever is the first to take the task up in `every` seconds.
#[must_use]
pub fn take_up(tenant_id: &str, task: &str, now: UnixTime, every: i64) -> Statement {
    // A time in the future was written by a clock that was wrong: nobody has to wait for it.
    let future = now.plus(2 * TOLERATED_SKEW);
    Statement::new(TAKE_UP, vec![tenant_id.into(), task.into(), now.into(), now.plus(-every).into(), future.into()])
}

/// Removes what expired long ago: attempts, revocations of expired tokens, sessions, and grants that nothing can be done with.
#[must_use]
pub fn clean_up(tenant_id: &str, now: UnixTime) -> [Statement; 4] {
    let before = now.plus(if planted(Plant::CleanUpTooEarly) { KEPT } else { -KEPT });
    let delete = |sql| Statement::new(sql, vec![tenant_id.into(), before.into()]);
    [delete(DROP_THROTTLES), delete(DROP_REVOKED_TOKENS), delete(DROP_SESSIONS), delete(DROP_GRANTS)]
}
