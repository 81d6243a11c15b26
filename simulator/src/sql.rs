//! SQL as regions see it: one primary, and in each region a replica that runs the primary's writing batches again, in order,
//! each after a lag. Batches carry all their values as parameters, so a replica comes to the same rows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use vedette::memory::Database;
use vedette::platform::{Answer, Fault, Freshness, Statement};
use vedette::store;

use crate::executor::Millis;

pub struct Sql {
    primary: Database,
    /// Every batch that wrote, in the order of the primary.
    written: Vec<Rc<[Statement]>>,
    replicas: Vec<Replica>,
    /// Whether a statement only reads, by the address of its text, which is a constant.
    reads: RefCell<BTreeMap<usize, bool>>,
}

#[derive(Default)]
struct Replica {
    /// Made when it is first read.
    database: Option<Database>,
    /// How many of the batches it has run.
    applied: usize,
    /// When each batch comes; in order.
    arrivals: Vec<Millis>,
}

impl Sql {
    #[must_use]
    pub fn new(regions: usize) -> Self {
        Self {
            primary: empty(),
            written: Vec::new(),
            replicas: (0..regions).map(|_| Replica::default()).collect(),
            reads: RefCell::default(),
        }
    }

    /// The primary itself, for whoever looks on.
    #[must_use]
    pub fn primary(&self) -> &Database {
        &self.primary
    }

    #[must_use]
    pub fn only_reads(&self, batch: &[Statement]) -> bool {
        let mut reads = self.reads.borrow_mut();
        batch.iter().all(|statement| {
            let address = statement.sql.as_ptr().addr();
            *reads.entry(address).or_insert_with(|| self.primary.only_reads(std::slice::from_ref(statement)))
        })
    }

    /// Runs a batch on the primary. If it wrote, `lag` says after how long each replica has it.
    pub fn run(
        &mut self,
        batch: &Rc<[Statement]>,
        now: Millis,
        mut lag: impl FnMut() -> Millis,
    ) -> Result<Answer, Fault> {
        let only_reads = self.only_reads(batch);
        let mut answer = self.primary.run(batch, Freshness::Primary)?;
        if !only_reads {
            self.written.push(Rc::clone(batch));
            for replica in &mut self.replicas {
                let earliest = replica.arrivals.last().copied().unwrap_or_default();
                replica.arrivals.push(earliest.max(now + lag()));
            }
        }
        answer.bookmark = Some(bookmark(self.written.len()));
        Ok(answer)
    }

    /// Reads from the region's replica, if that has seen the bookmark; `None` when it has not.
    pub fn read_replica(
        &mut self,
        region: usize,
        batch: &[Statement],
        seen: Option<&str>,
        now: Millis,
    ) -> Result<Option<Answer>, Fault> {
        let needed = seen.map_or(Ok(0), version)?;
        let Some(replica) = self.replicas.get_mut(region) else { return Ok(None) };
        let there = replica.arrivals.partition_point(|at| *at <= now);
        if there < needed {
            return Ok(None);
        }
        if there == self.written.len() {
            // It has everything, so it says what the primary says.
            let mut answer = self.primary.run(batch, Freshness::Primary)?;
            answer.bookmark = Some(bookmark(there));
            return Ok(Some(answer));
        }
        let database = replica.database.get_or_insert_with(empty);
        for batch in self.written.get(replica.applied..there).unwrap_or_default() {
            database.run(batch, Freshness::Primary)?;
        }
        replica.applied = replica.applied.max(there);
        let mut answer = database.run(batch, Freshness::Primary)?;
        answer.bookmark = Some(bookmark(replica.applied));
        Ok(Some(answer))
    }
}

fn empty() -> Database {
    match Database::new(store::MIGRATIONS) {
        Ok(database) => database,
        Err(error) => panic!("{error}"),
    }
}

fn bookmark(version: usize) -> String {
    format!("written-{version}")
}

fn version(bookmark: &str) -> Result<usize, Fault> {
    let version = bookmark.strip_prefix("written-").and_then(|version| version.parse().ok());
    version.ok_or_else(|| Fault::Sql(format!("not a bookmark: {bookmark}")))
}

#[cfg(test)]
mod tests {
    use vedette::platform::Value;

    use super::*;

    fn write(sql: &mut Sql, id: &str, now: Millis, lag: Millis) -> String {
        let batch: Rc<[Statement]> =
            Rc::new([Statement::new("INSERT INTO used_tickets (id, used_at) VALUES (?1, 0)", vec![id.into()])]);
        sql.run(&batch, now, || lag).unwrap().bookmark.unwrap()
    }

    fn count(answer: &Answer) -> i64 {
        match answer.rows[0][0].0[0] {
            Value::Integer(count) => count,
            ref other => panic!("{other:?}"),
        }
    }

    fn seen(sql: &mut Sql, region: usize, bookmark: Option<&str>, now: Millis) -> Option<i64> {
        let batch = [Statement::new("SELECT count(*) AS tickets FROM used_tickets", vec![])];
        sql.read_replica(region, &batch, bookmark, now).unwrap().as_ref().map(count)
    }

    #[test]
    fn a_replica_comes_after_its_lag_and_in_order() {
        let mut sql = Sql::new(2);
        write(&mut sql, "first", 0, 1000);
        let second = write(&mut sql, "second", 10, 5);
        // The second was quicker and still has to wait for the first.
        assert_eq!([15, 999, 1000].map(|now| seen(&mut sql, 0, None, now)), [Some(0), Some(0), Some(2)]);
        assert_eq!(seen(&mut sql, 1, Some(&second), 999), None);
        assert_eq!(seen(&mut sql, 1, Some(&second), 1000), Some(2));
    }

    #[test]
    fn a_bookmark_that_is_none_of_ours_is_an_error() {
        let mut sql = Sql::new(1);
        assert!(sql.read_replica(0, &[], Some("elsewhere"), 0).is_err());
    }
}
