//! What all isolates of a deployment share, and the handles by which a test moves it, breaks it and looks at it.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rusqlite::Connection;

use super::breakage::{Breakage, Breakages, Call};
use super::counts::Counts;
use super::database::Database;
use super::instance::MemoryPlatform;
use crate::platform::{SecretName, SecretText, UnixTime, Variable};

/// When a world begins: 2027-01-15T08:00:00Z.
const BEGINNING: UnixTime = UnixTime(1_800_000_000);

/// The root secret of a new world: base64url of 32 bytes, all zero.
const ROOT_SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A deployment. Clones are the same one.
#[derive(Clone)]
pub struct World {
    pub(super) shared: Rc<Shared>,
}

pub(super) struct Shared {
    pub database: Database,
    pub kv: RefCell<BTreeMap<String, Vec<u8>>>,
    pub now: Cell<UnixTime>,
    pub random: RefCell<ChaCha20Rng>,
    pub secrets: RefCell<HashMap<SecretName, SecretText>>,
    pub variables: RefCell<HashMap<Variable, String>>,
    pub log: RefCell<Vec<String>>,
    pub deferred: RefCell<VecDeque<Deferred>>,
    pub rsa_keys_made: Cell<usize>,
    counts: Cell<Counts>,
    breakages: RefCell<Breakages>,
}

pub(super) type Deferred = Pin<Box<dyn Future<Output = ()>>>;

impl Shared {
    pub fn count(&self, add: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }

    pub fn strike(&self, call: Call) -> Option<Breakage> {
        self.breakages.borrow_mut().strike(call)
    }
}

impl World {
    /// A new deployment with these migrations (name, text) applied, a root secret, and nothing else.
    ///
    /// # Panics
    /// When a migration does not run.
    #[must_use]
    pub fn new(migrations: &[(&str, &str)]) -> Self {
        Self::with_seed(migrations, 0)
    }

    /// [`World::new`] with another sequence of random bytes.
    ///
    /// # Panics
    /// When a migration does not run.
    #[must_use]
    pub fn with_seed(migrations: &[(&str, &str)], seed: u64) -> Self {
        let database = match Database::new(migrations) {
            Ok(database) => database,
            Err(error) => panic!("{error}"),
        };
        let secrets = HashMap::from([(SecretName::Root, SecretText(ROOT_SECRET.to_owned()))]);
        let shared = Shared {
            database,
            kv: RefCell::default(),
            now: Cell::new(BEGINNING),
            random: RefCell::new(ChaCha20Rng::seed_from_u64(seed)),
            secrets: RefCell::new(secrets),
            variables: RefCell::default(),
            log: RefCell::default(),
            deferred: RefCell::default(),
            rsa_keys_made: Cell::default(),
            counts: Cell::default(),
            breakages: RefCell::default(),
        };
        Self { shared: Rc::new(shared) }
    }

    /// A new isolate of the deployment.
    #[must_use]
    pub fn instance(&self) -> MemoryPlatform {
        self.instance_with_skew(0)
    }

    /// A new isolate whose clock is `seconds` ahead of the world's (behind, when negative).
    #[must_use]
    pub fn instance_with_skew(&self, seconds: i64) -> MemoryPlatform {
        MemoryPlatform::new(self.clone(), seconds)
    }
}

/// Clock and configuration.
impl World {
    #[must_use]
    pub fn now(&self) -> UnixTime {
        self.shared.now.get()
    }

    pub fn set_now(&self, now: UnixTime) {
        self.shared.now.set(now);
    }

    pub fn advance(&self, seconds: i64) {
        self.set_now(self.now().plus(seconds));
    }

    pub fn set_secret(&self, name: SecretName, text: impl Into<String>) {
        self.shared.secrets.borrow_mut().insert(name, SecretText(text.into()));
    }

    pub fn remove_secret(&self, name: SecretName) {
        self.shared.secrets.borrow_mut().remove(&name);
    }

    pub fn set_variable(&self, name: Variable, text: impl Into<String>) {
        self.shared.variables.borrow_mut().insert(name, text.into());
    }

    pub fn remove_variable(&self, name: Variable) {
        self.shared.variables.borrow_mut().remove(&name);
    }
}

/// Counting and breaking.
impl World {
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counts.get()
    }

    pub fn reset_counts(&self) {
        self.shared.counts.set(Counts::default());
    }

    /// Spoils the next call of the breakage's kind. Several of one kind spoil as many calls, in this order.
    pub fn break_next(&self, breakage: Breakage) {
        self.break_after(0, breakage);
    }

    /// Lets `pass` calls of the breakage's kind pass, and spoils the one after them.
    pub fn break_after(&self, pass: usize, breakage: Breakage) {
        self.shared.breakages.borrow_mut().plan(breakage, pass);
    }

    /// Spoils every call of the breakage's kind until [`World::mend`].
    pub fn break_always(&self, breakage: Breakage) {
        self.shared.breakages.borrow_mut().plan_always(breakage);
    }

    /// Ends all breakages, also those still to come.
    pub fn mend(&self) {
        self.shared.breakages.borrow_mut().clear();
    }
}

/// SQL and KV behind the platform's back; nothing of this counts or breaks.
impl World {
    /// Looks at or corrupts the database (the primary).
    pub fn with_db<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
        work(&self.shared.database.primary)
    }

    /// Looks at or corrupts KV.
    pub fn with_kv<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> T {
        work(&mut self.shared.kv.borrow_mut())
    }

    /// The detail lines of `EXPLAIN QUERY PLAN`, parameters unbound.
    ///
    /// # Panics
    /// When SQLite does not understand the statement.
    #[must_use]
    pub fn explain(&self, sql: &str) -> Vec<String> {
        let lines = self.with_db(|db| {
            let mut prepared = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            prepared.raw_query().mapped(|row| row.get("detail")).collect::<rusqlite::Result<_>>()
        });
        match lines {
            Ok(lines) => lines,
            Err(error) => panic!("no query plan of {sql}: {error}"),
        }
    }

    /// Binds and answers every number as a double, as D1 does.
    pub fn numbers_as_real(&self, on: bool) {
        self.shared.database.numbers_as_real.set(on);
    }

    /// From now on reads that may be stale ([`crate::platform::Freshness::AtLeast`]) see the database as it is now, unless
    /// their bookmark is younger.
    ///
    /// # Panics
    /// When SQLite does not make the copy.
    pub fn freeze_replica(&self) {
        if let Err(error) = self.shared.database.freeze_replica() {
            panic!("no replica: {error}");
        }
    }

    /// Ends [`World::freeze_replica`]: all reads see the primary.
    pub fn thaw_replica(&self) {
        self.shared.database.drop_replica();
    }
}

/// What isolates leave behind.
impl World {
    /// The lines logged so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.shared.log.borrow().clone()
    }

    /// The lines logged since the last `take_log`.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        self.shared.log.take()
    }

    /// How many pieces of work are deferred.
    #[must_use]
    pub fn deferred(&self) -> usize {
        self.shared.deferred.borrow().len()
    }

    /// Does what was deferred, and what that defers.
    pub async fn run_deferred(&self) {
        while let Some(work) = self.next_deferred() {
            work.await;
        }
    }

    /// Forgets what was deferred, as when the isolates die first.
    pub fn forget_deferred(&self) {
        // Dropped after the borrow has ended: work may own what drops more.
        drop(self.shared.deferred.take());
    }

    fn next_deferred(&self) -> Option<Deferred> {
        self.shared.deferred.borrow_mut().pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &[(&str, &str)] =
        &[("0001.sql", "CREATE TABLE pages (number INTEGER PRIMARY KEY, text TEXT);"), ("0002.sql", "SELECT 1;")];

    #[test]
    fn explain_tells_a_scan_from_a_search() {
        let world = World::new(SCHEMA);
        assert_eq!(world.explain("SELECT number FROM pages WHERE text = ?1"), ["SCAN pages"]);
        let search = world.explain("SELECT text FROM pages WHERE number = ?1");
        assert_eq!(search, ["SEARCH pages USING INTEGER PRIMARY KEY (rowid=?)"]);
    }

    #[test]
    #[should_panic(expected = "migration 0003.sql")]
    fn a_migration_that_does_not_run_is_named() {
        let _ = World::new(&[("0003.sql", "CREATE TABEL pages")]);
    }
}
