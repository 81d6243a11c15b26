//! Every SQL statement of the project, with the typed rows it answers. Each statement takes the tenant's id first (`?1`),
//! names its columns, and finds its rows through an index; a test asks SQLite for the plan of every statement in
//! [`statements`].
//!
//! Not here: when to run what, and what an outcome means (that is `grant/`, `endpoint/`, `keys/`).

pub mod audit;
pub mod backup;
pub mod clients;
pub mod consents;
pub mod grants;
pub mod keys;
pub mod maintenance;
pub mod migrations;
pub mod sessions;
pub mod tenants;
pub mod throttles;
pub mod tokens;
pub mod users;

use serde::de::DeserializeOwned;

use crate::platform::{Fault, Row, UnixTime, Value};

/// The version that `kv-schema/sql` leaves the database at.
pub const SCHEMA_VERSION: i64 = 3;

/// The migrations in order: name and text. Applied by `wrangler d1 migrations apply` on Workers, by the component on Spin.
pub const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_initial.sql", include_str!("../../kv-schema/sql/0001_initial.sql")),
    ("0002_keys_and_regions.sql", include_str!("../../kv-schema/sql/0002_keys_and_regions.sql")),
    ("0003_milestones_of_grants.sql", include_str!("../../kv-schema/sql/0003_milestones_of_grants.sql")),
];

/// Every statement that requests and maintenance run, for the test that reads their plans. Those of [`backup`] are apart.
#[must_use]
pub fn statements() -> Vec<&'static str> {
    [
        audit::STATEMENTS,
        clients::STATEMENTS,
        consents::STATEMENTS,
        grants::STATEMENTS,
        keys::STATEMENTS,
        maintenance::STATEMENTS,
        sessions::STATEMENTS,
        tenants::STATEMENTS,
        throttles::STATEMENTS,
        tokens::STATEMENTS,
        users::STATEMENTS,
    ]
    .concat()
}

impl Row {
    /// The text in column `index`, where it is.
    pub fn str(&self, index: usize) -> Result<&str, Fault> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(undecodable(index, "text")),
        }
    }

    /// The text in column `index`.
    pub fn text(&self, index: usize) -> Result<String, Fault> {
        self.optional_text(index)?.ok_or_else(|| undecodable(index, "text"))
    }

    pub fn optional_text(&self, index: usize) -> Result<Option<String>, Fault> {
        match self.0.get(index) {
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(undecodable(index, "text")),
        }
    }

    pub fn integer(&self, index: usize) -> Result<i64, Fault> {
        self.optional_integer(index)?.ok_or_else(|| undecodable(index, "an integer"))
    }

    pub fn optional_integer(&self, index: usize) -> Result<Option<i64>, Fault> {
        match self.0.get(index) {
            Some(Value::Integer(number)) => Ok(Some(*number)),
            // D1 answers every number as a double; integers up to 2^53 come through unharmed.
            #[expect(clippy::cast_possible_truncation, reason = "checked to be integral and within 2^53")]
            Some(Value::Real(number)) if number.fract() == 0.0 && number.abs() < 9.0e15 => Ok(Some(*number as i64)),
            Some(Value::Null) => Ok(None),
            _ => Err(undecodable(index, "an integer")),
        }
    }

    pub fn flag(&self, index: usize) -> Result<bool, Fault> {
        Ok(self.integer(index)? != 0)
    }

    pub fn time(&self, index: usize) -> Result<UnixTime, Fault> {
        self.integer(index).map(UnixTime)
    }

    pub fn optional_time(&self, index: usize) -> Result<Option<UnixTime>, Fault> {
        Ok(self.optional_integer(index)?.map(UnixTime))
    }

    /// The JSON document in column `index`.
    pub fn json<T: DeserializeOwned>(&self, index: usize) -> Result<T, Fault> {
        let text = self.text(index)?;
        // Where it went wrong, but not serde's sentence, which quotes what it found.
        serde_json::from_str(&text).map_err(|error| {
            let (kind, at) = (error.classify(), error.column());
            Fault::Undecodable(format!("column {index} is not the JSON it should be ({kind:?} at {at})"))
        })
    }
}

fn undecodable(index: usize, wanted: &str) -> Fault {
    Fault::Undecodable(format!("column {index} is not {wanted}"))
}

/// The `updated_at` of a row that is changed now. Two changes never have the same one, however fast they come and whatever
/// the clocks say, so `updated_at` tells whether a row is still as it was read.
#[must_use]
pub fn changed_at(before: UnixTime, now: UnixTime) -> UnixTime {
    now.max(before.plus(1))
}

/// Takes the single row of statement `index`, if it answered one.
#[must_use]
pub fn first_row(answer: &crate::platform::Answer, index: usize) -> Option<&Row> {
    answer.rows.get(index).and_then(|rows| rows.first())
}

/// All rows of statement `index`.
#[must_use]
pub fn all_rows(answer: &crate::platform::Answer, index: usize) -> &[Row] {
    answer.rows.get(index).map_or(&[], Vec::as_slice)
}
