//! All rows of all tenants, out of one database and into another (`backup.rs`). These statements read whole tables, so nothing
//! but a backup or a restore may run them; they are in a list of their own.
//!
//! A row travels as one JSON array of its columns, made and taken apart by SQLite, so that no host's numbers come between.
//! Not in a backup: `schema_version`, and what a deployment is better off without: `throttles` and `maintenance`.

use crate::platform::{Fault, Row, Statement, UnixTime};

/// A table that is backed up: what makes its rows, and what takes them. Tables stand in an order in which every row comes after
/// those that it refers to.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [&'static str],
    measure: &'static str,
    read: &'static str,
    insert: &'static str,
}

/// `table!(NAME, KEY; COLUMN 0, 1 COLUMN 1, …)`
macro_rules! table {
    ($name:literal, $key:literal; $first:literal $(, $place:literal $column:literal)* $(; $conflict:literal)?) => {
        Table {
            name: $name,
            columns: &[$first $(, $column)*],
            measure: concat!(
                "SELECT count(*) AS number, coalesce(sum(length(CAST(json_array(",
                $first $(, ", ", $column)*,
                ") AS BLOB))), 0) AS size FROM ", $name
            ),
            read: concat!(
                "SELECT json_array(", $first $(, ", ", $column)*, ") AS line FROM ", $name,
                " ORDER BY ", $key, " LIMIT ?1 OFFSET ?2"
            ),
            insert: concat!(
                "INSERT INTO ", $name, " (", $first $(, ", ", $column)*,
                ") SELECT json_extract(value, '$[0]')" $(, ", json_extract(value, '$[", $place, "]')")*,
                " FROM json_each(?1) WHERE EXISTS (SELECT 1 FROM used_tickets WHERE used_tickets.id = ?2)" $(, $conflict)?
            ),
        }
    };
}

/// The table that a backup may leave out.
pub const AUDIT: &str = "audit_events";

pub const TABLES: &[Table] = &[
    table!("tenants", "id"; "id", 1 "issuer", 2 "locator", 3 "name", 4 "registration", 5 "wrapped_master", 6 "version",
        7 "created_at", 8 "disabled_at", 9 "regions", 10 "wrapped_pepper"),
    // An empty deployment may have used a ticket of these before it was emptied.
    table!("used_tickets", "id"; "id", 1 "used_at"; " ON CONFLICT DO NOTHING"),
    table!("signing_keys", "tenant_id, alg, region, ordinal"; "tenant_id", 1 "alg", 2 "region", 3 "ordinal", 4 "kid",
        5 "public_jwk", 6 "wrapped_private", 7 "published_at", 8 "activates_at", 9 "revoked_at"),
    table!("users", "tenant_id, id"; "tenant_id", 1 "id", 2 "username", 3 "username_folded", 4 "claims", 5 "administrator",
        6 "created_at", 7 "updated_at", 8 "disabled_at"),
    table!("credentials", "tenant_id, user_id, kind, id"; "tenant_id", 1 "user_id", 2 "kind", 3 "id", 4 "secret",
        5 "created_at"),
    table!("sessions", "tenant_id, id"; "tenant_id", 1 "id", 2 "user_id", 3 "created_at", 4 "auth_time", 5 "seen_at",
        6 "expires_at", 7 "amr", 8 "acr", 9 "answered_request", 10 "ended_at"),
    table!("clients", "tenant_id, id"; "tenant_id", 1 "id", 2 "secret_hash", 3 "registration_token_hash", 4 "metadata",
        5 "operator", 6 "resource_server", 7 "demo_redirects", 8 "access_token_lifetime", 9 "created_at", 10 "updated_at",
        11 "disabled_at"),
    table!("consents", "tenant_id, user_id, client_id"; "tenant_id", 1 "user_id", 2 "client_id", 3 "items", 4 "granted_at"),
    table!("grants", "tenant_id, id"; "tenant_id", 1 "id", 2 "user_id", 3 "client_id", 4 "session_id", 5 "scope", 6 "claims",
        7 "auth_time", 8 "acr", 9 "amr", 10 "offline", 11 "redeemed_by", 12 "generation", 13 "rotated_at", 14 "rotated_by",
        15 "created_at", 16 "expires_at", 17 "revoked_at", 18 "milestone", 19 "milestone_at", 20 "settled"),
    table!("revoked_tokens", "tenant_id, jti"; "tenant_id", 1 "jti", 2 "expires_at"),
    table!("audit_events", "tenant_id, id"; "tenant_id", 1 "id", 2 "at", 3 "event", 4 "actor", 5 "user_id", 6 "client_id",
        7 "address", 8 "request_id", 9 "detail"),
];

const BEGIN: &str = "INSERT INTO used_tickets (id, used_at) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM tenants) \
     AND NOT EXISTS (SELECT 1 FROM used_tickets WHERE id = ?3)";
const USE_TICKET: &str = "INSERT INTO used_tickets (id, used_at) SELECT ?2, used_at FROM used_tickets WHERE id = ?1 \
     ON CONFLICT DO NOTHING";
const END: &str = "DELETE FROM used_tickets WHERE id = ?1";

pub const STATEMENTS: &[&str] = &[BEGIN, USE_TICKET, END];

/// Every statement of a backup or a restore, for the tests that look at them.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    let of_tables = TABLES.iter().flat_map(|table| [table.measure, table.read, table.insert]);
    of_tables.chain(STATEMENTS.iter().copied()).collect()
}

/// How many rows a table has, and how many bytes they are as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure {
    pub rows: i64,
    pub bytes: i64,
}

impl Measure {
    pub fn from_row(row: &Row) -> Result<Self, Fault> {
        Ok(Self { rows: row.integer(0)?, bytes: row.integer(1)? })
    }
}

impl Table {
    #[must_use]
    pub fn measure(&self) -> Statement {
        Statement::new(self.measure, vec![]).in_bulk()
    }

    /// All rows in pages of about `page_bytes`, by what the table measured a moment ago; the last page has whatever else there
    /// is. A database may refuse to answer one statement with everything.
    pub fn read(&self, measured: Measure, page_bytes: i64) -> impl Iterator<Item = Statement> {
        let pages = measured.bytes / page_bytes.max(1) + 1;
        let rows = measured.rows / pages + 1;
        (0..pages).map(move |page| {
            let limit = if page + 1 == pages { -1 } else { rows };
            Statement::new(self.read, vec![limit.into(), (page * rows).into()]).in_bulk()
        })
    }

    /// Inserts the rows of a JSON array, as far as the restore of this marker is under way.
    #[must_use]
    pub fn insert(&self, rows: String, marker: &str) -> Statement {
        Statement::new(self.insert, vec![rows.into(), marker.into()]).in_bulk()
    }

    /// Where a column stands in a row.
    #[must_use]
    pub fn place(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|known| *known == column)
    }
}

/// Begins a restore if there is no tenant at all and the ticket is unused. Whatever follows in the batch happens only while the
/// row of this marker is there.
#[must_use]
pub fn begin(marker: &str, ticket_id: &str, now: UnixTime) -> Statement {
    Statement::new(BEGIN, vec![marker.into(), now.into(), ticket_id.into()])
}

/// Ends it. The batch sent once more finds tenants and does nothing.
#[must_use]
pub fn end(marker: &str, ticket_id: &str) -> [Statement; 2] {
    [Statement::new(USE_TICKET, vec![marker.into(), ticket_id.into()]), Statement::new(END, vec![marker.into()])]
}
