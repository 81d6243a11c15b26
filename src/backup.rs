//! Backups: one bundle of everything that a deployment has in SQL, sealed under its root secret. In scope: the format, and what a
//! bundle has to be before any of it is restored. Out of scope: reading and writing the rows (`store/backup.rs`), who may
//! (`endpoint/admin/backup.rs`, `endpoint/restore.rs`).
//!
//! ```text
//! vedette backup 1                       what this is, and the version of its format
//! {"schema":3,"created_at":…,…}          in clear, for people and for the restore: nothing secret, nothing of anybody
//! 24 bytes of nonce, XChaCha20-Poly1305  the rows, under a key derived from the root; both lines are associated data
//! ```
//!
//! Inside, each table is a line that names it and its columns, and then a line for each row. Masters and private keys are as
//! wrapped there as they are in SQL.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Refusal};
use crate::keys::wrap;
use crate::platform::{Fault, UnixTime};
use crate::root::{Root, Roots};
use crate::seal;
use crate::store::SCHEMA_VERSION;
use crate::store::backup::{TABLES, Table};

/// The rows of a bundle may have this many bytes. A Worker has 128 MiB for all that it does, and a row is there several times
/// while it is read, sealed and sent.
pub const LARGEST: usize = 16 * 1024 * 1024;

/// A bundle has at most this many bytes: rows, the lines before them, nonce and tag.
pub const LARGEST_BUNDLE: usize = LARGEST + 64 * 1024;

/// Bytes of rows that one statement reads, about, and that one inserts, at most: D1 has bounds for what one answers, and for
/// the length of a value (2 MB, earlier 1 MB).
pub const PAGE: i64 = 4 * 1024 * 1024;
const VALUE: usize = 900_000;

const MAGIC: &str = "vedette backup ";
const FORMAT: &str = "1";
const KEY: &str = "vedette backup v1";
const NONCE: usize = 24;
/// Longer than any line that we write before the rows.
const LONGEST_LINE: usize = 8 * 1024;

/// The line in clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the SQL schema.
    pub schema: i64,
    pub created_at: UnixTime,
    /// The version of Vedette that made it.
    pub vedette: String,
    /// The root that it is sealed under, by an id that says nothing about it.
    pub root_id: String,
    /// The issuer through whose management API it was asked for.
    pub issuer: String,
    /// Rows of each table.
    pub tables: BTreeMap<String, usize>,
}

/// Why a bundle is not made or not restored. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    TooMuch,
    TooLarge,
    NotABundle,
    OtherFormat,
    OlderSchema { found: i64, needed: i64 },
    NewerSchema { found: i64, needed: i64 },
    NewerDatabase { found: i64, needed: i64 },
    OtherRoot,
    Damaged,
    OtherRootOfMaster,
    OtherIssuer,
    OverData,
    UnderWay,
    TicketInvalid,
    TicketExpired,
}

impl Refused {
    /// Status, and our name of the reason.
    #[must_use]
    pub fn reason(&self) -> (u16, &'static str) {
        match self {
            Self::TooMuch => (409, "too_much_for_a_bundle"),
            Self::TooLarge => (413, "bundle_too_large"),
            Self::NotABundle => (400, "not_a_bundle"),
            Self::OtherFormat => (400, "bundle_of_another_format"),
            Self::OlderSchema { .. } => (400, "bundle_of_an_older_schema"),
            Self::NewerSchema { .. } => (400, "bundle_of_a_newer_schema"),
            Self::NewerDatabase { .. } => (409, "newer_database"),
            Self::OtherRoot => (400, "bundle_of_another_root"),
            Self::Damaged => (400, "bundle_damaged"),
            Self::OtherRootOfMaster => (400, "bundle_with_a_master_of_another_root"),
            Self::OtherIssuer => (400, "bundle_of_another_issuer"),
            Self::OverData => (409, "restore_over_data"),
            Self::UnderWay => (409, "restore_under_way"),
            Self::TicketInvalid => (403, "restore_ticket_invalid"),
            Self::TicketExpired => (403, "restore_ticket_expired"),
        }
    }

    /// A sentence for the operator.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::TooMuch => format!(
                "There is more than a bundle may hold ({} MiB of rows); leave the audit out (audit=0, --without-audit), or use the \
                 host's own export (docs/operations/backup.md).",
                LARGEST / 1024 / 1024
            ),
            Self::TooLarge => "The body is larger than any bundle.".to_owned(),
            Self::NotABundle => "This is not a backup of Vedette.".to_owned(),
            Self::OtherFormat => {
                format!("The bundle is of another format than {FORMAT}; restore it with the version of Vedette that made it.")
            }
            Self::OlderSchema { found, needed } => format!(
                "The bundle has schema {found}, this build {needed}; restore it with the version of Vedette that its second line names, \
                 and then deploy this one."
            ),
            Self::NewerSchema { found, needed } => format!(
                "The bundle has schema {found}, this build only {needed}; deploy the version of Vedette that its second line names."
            ),
            Self::NewerDatabase { found, needed } => format!(
                "The database has schema {found}, this build only {needed}; deploy the newer version and use that."
            ),
            Self::OtherRoot => "The bundle is sealed under another root secret; its second line names the root_id. Set ROOT_SECRET to \
                 what it was when the backup was made."
                .to_owned(),
            Self::Damaged => "The bundle is damaged: something of it is missing or was changed.".to_owned(),
            Self::OtherRootOfMaster => "The bundle was made while the root secret was being changed: some of its masters are wrapped under a root \
                 that this deployment does not have. Set ROOT_SECRET to both secrets of that time."
                .to_owned(),
            Self::OtherIssuer => "The bundle has no tenant with the issuer that the ticket is for.".to_owned(),
            Self::OverData => "This deployment has tenants; a bundle is restored into an empty one only.".to_owned(),
            Self::UnderWay => "This deployment is being set up or restored at this moment.".to_owned(),
            Self::TicketInvalid => {
                "This is not a valid ticket for a restore. Use: cargo xtask restore --issuer URL FILE".to_owned()
            }
            Self::TicketExpired => {
                "The ticket is older than an hour. Use: cargo xtask restore --issuer URL FILE".to_owned()
            }
        }
    }
}

/// Whether the database has exactly the columns that this build knows: of a newer one something would be lost.
pub fn check_schema(found: i64) -> Result<(), Error> {
    match found.cmp(&SCHEMA_VERSION) {
        Ordering::Equal => Ok(()),
        Ordering::Less => Err(Fault::SchemaOld { found, needed: SCHEMA_VERSION }.into()),
        Ordering::Greater => Err(Refusal::Bundle(Refused::NewerDatabase { found, needed: SCHEMA_VERSION }).into()),
    }
}

/// Rows on their way into a bundle.
#[derive(Debug, Default)]
pub struct Draft {
    plain: Vec<u8>,
    tables: BTreeMap<String, usize>,
}

/// The line before the rows of a table.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heading<'a> {
    table: &'a str,
    #[serde(borrow)]
    columns: Vec<&'a str>,
    rows: usize,
}

impl Draft {
    /// With room for so many bytes of rows, so that they are not moved while they come.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self { plain: Vec::with_capacity(bytes + LONGEST_LINE * (TABLES.len() + 1)), tables: BTreeMap::new() }
    }

    /// The next table, in the order of [`TABLES`].
    pub fn table(&mut self, table: &Table, rows: &[&str]) -> Result<(), Refused> {
        let heading = Heading { table: table.name, columns: table.columns.to_vec(), rows: rows.len() };
        let heading = serde_json::to_string(&heading).unwrap_or_default();
        for line in std::iter::once(heading.as_str()).chain(rows.iter().copied()) {
            if self.plain.len() + line.len() >= LARGEST {
                return Err(Refused::TooMuch);
            }
            self.plain.extend_from_slice(line.as_bytes());
            self.plain.push(b'\n');
        }
        self.tables.insert(table.name.to_owned(), rows.len());
        Ok(())
    }

    /// The bundle, sealed under `root`. `None` only where the cipher gives up, for values beyond all bounds here.
    #[must_use]
    pub fn seal(
        self,
        root: &Root,
        schema: i64,
        issuer: &str,
        created_at: UnixTime,
        nonce: [u8; NONCE],
    ) -> Option<Vec<u8>> {
        let header = Header {
            schema,
            created_at,
            vedette: env!("CARGO_PKG_VERSION").to_owned(),
            root_id: root.id.clone(),
            issuer: issuer.to_owned(),
            tables: self.tables,
        };
        let mut start = format!("{MAGIC}{FORMAT}\n{}\n", serde_json::to_string(&header).ok()?).into_bytes();
        let mut bundle = self.plain;
        seal::seal_in_place(&root.material.derive(KEY), &start, &nonce, &mut bundle)?;
        start.extend_from_slice(&nonce);
        bundle.splice(0..0, start);
        Some(bundle)
    }
}

/// A bundle that opened.
#[derive(Debug)]
pub struct Bundle {
    pub header: Header,
    plain: String,
}

/// Opens a bundle: 1 what it says it is, 2 a root that we have, 3 nothing of it changed.
pub fn open(roots: &Roots, schema: i64, mut bytes: Vec<u8>) -> Result<Bundle, Refused> {
    let (first, second) = (line(&bytes, 0).ok_or(Refused::NotABundle)?, |at| line(&bytes, at)); // 1
    let format = first.strip_prefix(MAGIC).ok_or(Refused::NotABundle)?;
    if format != FORMAT {
        return Err(Refused::OtherFormat);
    }
    let header_at = first.len() + 1;
    let header_line = second(header_at).ok_or(Refused::Damaged)?;
    let header: Header = serde_json::from_str(header_line).map_err(|_| Refused::Damaged)?;
    let nonce_at = header_at + header_line.len() + 1;
    match header.schema {
        found if found < schema => return Err(Refused::OlderSchema { found, needed: schema }),
        found if found > schema => return Err(Refused::NewerSchema { found, needed: schema }),
        _ => {}
    }
    let root = roots.all().find(|root| root.id == header.root_id).ok_or(Refused::OtherRoot)?; // 2
    let (start, rest) = bytes.split_at_checked(nonce_at).ok_or(Refused::Damaged)?;
    let (associated, nonce) = (start.to_vec(), rest.first_chunk::<NONCE>().copied().ok_or(Refused::Damaged)?);
    bytes.drain(..nonce_at + NONCE);
    seal::open_in_place(&root.material.derive(KEY), &associated, &nonce, &mut bytes).ok_or(Refused::Damaged)?; // 3
    let plain = String::from_utf8(bytes).map_err(|_| Refused::Damaged)?;
    Ok(Bundle { header, plain })
}

/// The line that begins there, if it is text and not endless.
fn line(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n')?;
    std::str::from_utf8(rest.get(..end)?).ok()
}

/// A table out of a bundle.
#[derive(Debug)]
pub struct Rows<'a> {
    pub table: &'static Table,
    rows: Vec<&'a str>,
}

impl Bundle {
    /// All tables in the order of [`TABLES`], each with the columns that this build knows.
    pub fn tables(&self) -> Result<Vec<Rows<'_>>, Refused> {
        let mut lines = self.plain.lines();
        let mut tables = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let heading: Heading<'_> =
                lines.next().and_then(|line| serde_json::from_str(line).ok()).ok_or(Refused::Damaged)?;
            if heading.table != table.name || heading.columns != table.columns {
                return Err(Refused::Damaged);
            }
            let rows: Vec<&str> = lines.by_ref().take(heading.rows).collect();
            if rows.len() != heading.rows || self.header.tables.get(table.name) != Some(&heading.rows) {
                return Err(Refused::Damaged);
            }
            tables.push(Rows { table, rows });
        }
        if lines.next().is_none() { Ok(tables) } else { Err(Refused::Damaged) }
    }
}

impl Rows<'_> {
    /// The rows in JSON arrays of bearable length.
    #[must_use]
    pub fn arrays(&self) -> Vec<String> {
        let mut arrays: Vec<String> = Vec::new();
        for row in &self.rows {
            match arrays.last_mut() {
                Some(array) if array.len() + row.len() + 2 <= VALUE => array.push(','),
                _ => arrays.push("[".to_owned()),
            }
            if let Some(array) = arrays.last_mut() {
                array.push_str(row);
            }
        }
        for array in &mut arrays {
            array.push(']');
        }
        arrays
    }

    /// The texts in these columns of each row.
    fn texts<const N: usize>(&self, columns: [&str; N]) -> impl Iterator<Item = Option<[String; N]>> {
        let places = columns.map(|column| self.table.place(column));
        self.rows.iter().map(move |row| {
            let row: Vec<Value> = serde_json::from_str(row).ok()?;
            let mut texts = [const { String::new() }; N];
            for (text, place) in texts.iter_mut().zip(places) {
                row.get(place?)?.as_str()?.clone_into(text);
            }
            Some(texts)
        })
    }
}

/// What a restore begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantOfBundle {
    pub id: String,
    pub issuer: String,
    pub locator: String,
}

/// The tenants of a bundle, of which every one can be served under these roots.
pub fn tenants(roots: &Roots, tables: &[Rows<'_>]) -> Result<Vec<TenantOfBundle>, Refused> {
    let rows = tables.iter().find(|rows| rows.table.name == "tenants").ok_or(Refused::Damaged)?;
    let mut tenants = Vec::new();
    for texts in rows.texts(["id", "issuer", "locator", "wrapped_master"]) {
        let [id, issuer, locator, wrapped_master] = texts.ok_or(Refused::Damaged)?;
        wrap::root_of_master(roots, &id, &wrapped_master).ok_or(Refused::OtherRootOfMaster)?;
        tenants.push(TenantOfBundle { id, issuer, locator });
    }
    Ok(tenants)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn roots(byte: u8) -> Roots {
        Roots::parse(&URL_SAFE_NO_PAD.encode([byte; 32])).unwrap()
    }

    fn bundle() -> Vec<u8> {
        let mut draft = Draft::with_room(100);
        for table in TABLES {
            let rows = if table.name == "users" { vec!["[\"t\",\"ü\"]"; 3] } else { Vec::new() };
            draft.table(table, &rows).unwrap();
        }
        draft.seal(roots(1).sealing(), 2, "https://id.example.com", UnixTime(7), [9; 24]).unwrap()
    }

    fn refused(bytes: Vec<u8>) -> Refused {
        open(&roots(1), 2, bytes).unwrap_err()
    }

    #[test]
    fn a_bundle_opens_as_it_was_made() {
        let opened = open(&roots(1), 2, bundle()).unwrap();
        assert_eq!((opened.header.created_at, opened.header.tables["users"]), (UnixTime(7), 3));
        let tables = opened.tables().unwrap();
        assert_eq!(tables.len(), TABLES.len());
        let users = tables.iter().find(|rows| rows.table.name == "users").unwrap();
        assert_eq!(users.arrays(), ["[[\"t\",\"ü\"],[\"t\",\"ü\"],[\"t\",\"ü\"]]"]);
        assert!(tables[0].arrays().is_empty());
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let good = bundle();
        for place in 0..good.len() {
            let mut changed = good.clone();
            changed[place] ^= 1;
            assert!(open(&roots(1), 2, changed).is_err(), "byte {place}");
            assert!(open(&roots(1), 2, good[..place].to_vec()).is_err(), "{place} bytes");
        }
        assert_eq!(refused([good.as_slice(), b"x"].concat()), Refused::Damaged);
    }

    #[test]
    fn what_is_wrong_with_a_bundle_is_named() {
        let good = bundle();
        let text = |from: &str, to: &str| {
            let at = good.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            [&good[..at], to.as_bytes(), &good[at + from.len()..]].concat()
        };
        assert_eq!(refused(b"PK\n".to_vec()), Refused::NotABundle);
        assert_eq!(refused(Vec::new()), Refused::NotABundle);
        assert_eq!(refused(text("backup 1", "backup 2")), Refused::OtherFormat);
        assert_eq!(refused(text("\"schema\":2", "\"schema\":3")), Refused::NewerSchema { found: 3, needed: 2 });
        assert_eq!(refused(text("\"schema\":2", "\"schema\":1")), Refused::OlderSchema { found: 1, needed: 2 });
        assert_eq!(refused(text("\"created_at\":7", "\"created_at\":8")), Refused::Damaged);
        assert_eq!(open(&roots(2), 2, good).unwrap_err(), Refused::OtherRoot);
    }

    #[test]
    fn rows_are_handed_over_in_values_of_bearable_length() {
        let row = format!("[\"{}\"]", "x".repeat(VALUE / 3));
        let rows = Rows { table: &TABLES[0], rows: vec![&row; 7] };
        let arrays = rows.arrays();
        assert_eq!(arrays.len(), 4);
        assert!(arrays.iter().all(|array| array.len() <= VALUE + 1));
        let count = |array: &String| serde_json::from_str::<Vec<Value>>(array).unwrap().len();
        assert_eq!(arrays.iter().map(count).sum::<usize>(), 7);
    }

    #[test]
    fn more_than_a_bundle_may_hold_is_refused() {
        let row = "x".repeat(1024 * 1024);
        let mut draft = Draft::default();
        assert_eq!(draft.table(&TABLES[0], &[row.as_str(); 17]), Err(Refused::TooMuch));
    }
}
