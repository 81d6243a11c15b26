//! Pages of lists: `limit` and `cursor` in, `next` out. The cursor is opaque to clients (it is the last id they were shown).

use serde_json::{Value, json};

use crate::endpoint;
use crate::error::Refusal;
use crate::http::{Request, Response};

const DEFAULT_LIMIT: usize = 50;
const LARGEST_LIMIT: usize = 200;

/// The part of a list that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    limit: usize,
    after: String,
}

impl Page {
    pub fn of(request: &Request) -> Result<Self, Refusal> {
        let query = endpoint::query(request)?;
        query.check_unique()?;
        let limit = match query.value("limit") {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=LARGEST_LIMIT).contains(limit))
                .ok_or(Refusal::MalformedParameter { name: "limit", why: "has to be a number from 1 to 200" })?,
        };
        Ok(Self { limit, after: query.owned("cursor").unwrap_or_default() })
    }

    /// The id after which the page begins; empty at the beginning.
    #[must_use]
    pub fn after(&self) -> &str {
        &self.after
    }

    /// How many rows to read: one more than are shown tells whether there is a next page.
    #[must_use]
    pub fn rows(&self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The response, from what was read.
    #[must_use]
    pub fn response<T>(&self, name: &str, rows: &[T], id: fn(&T) -> &str, show: fn(&T) -> Value) -> Response {
        let shown: Vec<Value> = rows.iter().take(self.limit).map(show).collect();
        let next = if rows.len() > self.limit { rows.iter().take(self.limit).last().map(id) } else { None };
        Response::json(200, &json!({name: shown, "next": next}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Method;

    fn page(query: &str) -> Result<Page, Refusal> {
        Page::of(&Request {
            method: Method::Get,
            path: "/".to_owned(),
            query: Some(query.to_owned()),
            headers: Vec::new(),
            body: Vec::new(),
            client_address: None,
        })
    }

    #[test]
    fn limits_are_from_1_to_200() {
        assert_eq!(page(""), Ok(Page { limit: 50, after: String::new() }));
        assert_eq!(page("limit=200&cursor=x"), Ok(Page { limit: 200, after: "x".to_owned() }));
        for bad in ["limit=0", "limit=201", "limit=-1", "limit=ten", "limit=1&limit=2", "limit=1e2"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_row_too_many_means_that_there_is_a_next_page() {
        let next = |rows: &[String]| {
            let response = page("limit=2").unwrap().response("rows", rows, |row| row, |row| json!(row));
            serde_json::from_slice::<Value>(&response.body).unwrap()
        };
        let rows = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(next(&rows), json!({"rows": ["a", "b"], "next": "b"}));
        assert_eq!(next(&rows[..2]), json!({"rows": ["a", "b"], "next": null}));
    }
}
