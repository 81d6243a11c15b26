//! One isolate of a world: the [`Platform`] itself.

use std::future::Future;
use std::rc::Rc;

use rand_core::RngCore;

use super::breakage::{Breakage, Call};
use super::executor::give_way;
use super::test_keys;
use super::world::{Shared, World};
use crate::jose::jwk::PublicJwk;
use crate::jose::software::{self, SoftwareKeys};
use crate::platform::{
    Alg, Answer, Fault, Freshness, NewKey, Platform, PrivateKey, SecretName, SecretText, Statement, UnixTime, Variable,
};

/// Why a broken call failed, for `Fault`s that say so.
const BROKEN: &str = "broken by the test";

/// One isolate. Clones are the same one, as for several requests that it handles; [`World::instance`] makes another.
#[derive(Clone)]
pub struct MemoryPlatform {
    world: World,
    keys: Rc<SoftwareKeys>,
    skew: i64,
}

impl MemoryPlatform {
    pub(super) fn new(world: World, skew: i64) -> Self {
        Self { world, keys: Rc::new(SoftwareKeys::new()), skew }
    }

    /// The world that this isolate is in.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    fn shared(&self) -> &Shared {
        &self.world.shared
    }
}

impl Platform for MemoryPlatform {
    fn now(&self) -> UnixTime {
        self.world.now().plus(self.skew)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.shared().random.borrow_mut().fill_bytes(bytes);
    }

    async fn secret(&self, name: SecretName) -> Result<SecretText, Fault> {
        give_way().await;
        if self.shared().strike(Call::Secret).is_some() {
            return Err(Fault::SecretMissing(name));
        }
        self.shared().secrets.borrow().get(&name).cloned().ok_or(Fault::SecretMissing(name))
    }

    async fn variable(&self, name: Variable) -> Option<String> {
        give_way().await;
        self.shared().variables.borrow().get(&name).filter(|text| !text.is_empty()).cloned()
    }

    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        give_way().await;
        self.shared().count(|counts| counts.kv_gets += 1);
        match self.shared().strike(Call::KvGet) {
            None => Ok(self.shared().kv.borrow().get(key).cloned()),
            Some(Breakage::KvGetMissed) => Ok(None),
            Some(_) => Err(Fault::Kv(BROKEN.to_owned())),
        }
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        give_way().await;
        self.shared().count(|counts| counts.kv_puts += 1);
        match self.shared().strike(Call::KvPut) {
            None => {
                self.shared().kv.borrow_mut().insert(key.to_owned(), value.to_vec());
                Ok(())
            }
            Some(Breakage::KvPutDropped) => Ok(()),
            Some(_) => Err(Fault::Kv(BROKEN.to_owned())),
        }
    }

    async fn sql(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        give_way().await;
        let database = &self.shared().database;
        self.shared().count(|counts| {
            counts.sql_batches += 1;
            counts.sql_statements += batch.len();
            counts.sql_reads += usize::from(database.only_reads(batch));
        });
        match self.shared().strike(Call::Sql) {
            None => database.run(batch, freshness),
            Some(Breakage::SqlTimeoutBefore) => Err(Fault::SqlTimeout),
            Some(Breakage::SqlAnswerLost) => {
                // Whatever it was, nobody hears of it.
                let _ = database.run(batch, freshness);
                Err(Fault::SqlTimeout)
            }
            Some(_) => Err(Fault::Sql(BROKEN.to_owned())),
        }
    }

    async fn generate_key(&self, alg: Alg) -> Result<NewKey, Fault> {
        give_way().await;
        self.shared().count(|counts| counts.keys_generated += 1);
        if self.shared().strike(Call::GenerateKey).is_some() {
            return Err(Fault::Crypto(BROKEN.to_owned()));
        }
        match alg {
            Alg::RS256 | Alg::PS256 => {
                Ok(test_keys::rsa(self.shared().rsa_keys_made.replace(self.shared().rsa_keys_made.get() + 1)))
            }
            Alg::ES256 | Alg::EdDSA => software::generate(alg, &mut *self.shared().random.borrow_mut()),
        }
    }

    async fn sign(&self, key: &PrivateKey, input: &[u8]) -> Result<Vec<u8>, Fault> {
        give_way().await;
        self.shared().count(|counts| counts.signs += 1);
        if self.shared().strike(Call::Sign).is_some() {
            return Err(Fault::Crypto(BROKEN.to_owned()));
        }
        self.keys.sign(key, input, &mut *self.shared().random.borrow_mut())
    }

    async fn verify(&self, key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
        give_way().await;
        if self.shared().strike(Call::Verify).is_some() {
            return Err(Fault::Crypto(BROKEN.to_owned()));
        }
        software::verify(key, input, signature)
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        self.shared().deferred.borrow_mut().push_back(Box::pin(work));
    }

    fn log(&self, line: &str) {
        self.shared().log.borrow_mut().push(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Counts, block_on, interleave};
    use crate::platform::{Row, Value};

    const SCHEMA: &[(&str, &str)] = &[(
        "0001_counters.sql",
        "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
         INSERT INTO counters (name, value) VALUES ('visits', 0);",
    )];
    const READ: &str = "SELECT value FROM counters WHERE name = 'visits'";
    const SET: &str = "UPDATE counters SET value = ?1 WHERE name = 'visits'";
    const ADD: &str = "UPDATE counters SET value = value + 1 WHERE name = 'visits' RETURNING value";

    async fn run(host: &MemoryPlatform, sql: &'static str, parameters: Vec<Value>) -> Result<Vec<Row>, Fault> {
        let answer = host.sql(&[Statement::new(sql, parameters)], Freshness::Primary).await?;
        Ok(answer.rows.into_iter().flatten().collect())
    }

    fn visits(world: &World) -> i64 {
        world.with_db(|db| db.query_row(READ, [], |row| row.get(0))).unwrap()
    }

    #[test]
    fn a_read_then_write_loses_updates_under_some_seed_and_one_statement_under_none() {
        async fn read_then_write(host: MemoryPlatform) {
            let Value::Integer(value) = run(&host, READ, vec![]).await.unwrap()[0].0[0] else { panic!() };
            run(&host, SET, vec![(value + 1).into()]).await.unwrap();
        }
        async fn one_statement(host: MemoryPlatform) {
            run(&host, ADD, vec![]).await.unwrap();
        }
        let after = |seed, race: fn(&World, u64)| {
            let world = World::new(SCHEMA);
            race(&world, seed);
            visits(&world)
        };
        let careless = |world: &World, seed| drop(interleave((0..3).map(|_| read_then_write(world.instance())), seed));
        let careful = |world: &World, seed| drop(interleave((0..3).map(|_| one_statement(world.instance())), seed));
        assert!((0..10).any(|seed| after(seed, careless) < 3));
        assert!((0..10).all(|seed| after(seed, careful) == 3));
    }

    #[test]
    fn a_lost_answer_was_applied_and_a_timeout_before_was_not() {
        let world = World::new(SCHEMA);
        world.break_next(Breakage::SqlTimeoutBefore);
        assert_eq!(block_on(run(&world.instance(), ADD, vec![])), Err(Fault::SqlTimeout));
        assert_eq!(visits(&world), 0);
        world.break_next(Breakage::SqlAnswerLost);
        assert_eq!(block_on(run(&world.instance(), ADD, vec![])), Err(Fault::SqlTimeout));
        assert_eq!(visits(&world), 1);
    }

    #[test]
    fn calls_are_counted_and_reads_told_from_writes() {
        let world = World::new(SCHEMA);
        let host = world.instance();
        block_on(async {
            host.sql(&[Statement::new(READ, vec![]), Statement::new(READ, vec![])], Freshness::Primary).await.unwrap();
            host.sql(&[Statement::new(READ, vec![]), Statement::new(ADD, vec![])], Freshness::Primary).await.unwrap();
            host.kv_put("key", b"value").await.unwrap();
            host.kv_get("key").await.unwrap();
            host.generate_key(Alg::ES256).await.unwrap();
        });
        let expected = Counts {
            sql_batches: 2,
            sql_statements: 4,
            sql_reads: 1,
            kv_gets: 1,
            kv_puts: 1,
            signs: 0,
            keys_generated: 1,
        };
        assert_eq!(world.counts(), expected);
        assert_eq!(world.counts().sql_writes(), 1);
        world.reset_counts();
        assert_eq!(world.counts(), Counts::default());
    }

    #[test]
    fn kv_can_fail_drop_and_miss() {
        let world = World::new(SCHEMA);
        let host = world.instance();
        let broken = Fault::Kv(BROKEN.to_owned());
        block_on(async {
            host.kv_put("key", b"first").await.unwrap();
            world.break_next(Breakage::KvPutError);
            assert_eq!(host.kv_put("key", b"second").await, Err(broken.clone()));
            world.break_always(Breakage::KvPutDropped);
            assert_eq!(host.kv_put("key", b"third").await, Ok(()));
            world.mend();
            world.break_next(Breakage::KvGetError);
            assert_eq!(host.kv_get("key").await, Err(broken));
            world.break_next(Breakage::KvGetMissed);
            assert_eq!(host.kv_get("key").await, Ok(None));
            assert_eq!(host.kv_get("key").await, Ok(Some(b"first".to_vec())));
        });
    }

    #[test]
    fn secrets_and_variables_come_and_go() {
        let world = World::new(SCHEMA);
        let host = world.instance();
        block_on(async {
            assert!(host.secret(SecretName::Root).await.is_ok());
            world.break_next(Breakage::SecretMissing);
            assert_eq!(host.secret(SecretName::Root).await, Err(Fault::SecretMissing(SecretName::Root)));
            world.remove_secret(SecretName::Root);
            assert_eq!(host.secret(SecretName::Root).await, Err(Fault::SecretMissing(SecretName::Root)));
            world.set_secret(SecretName::Root, "other");
            assert_eq!(host.secret(SecretName::Root).await, Ok(SecretText("other".to_owned())));
            world.set_variable(Variable::Surface, "all");
            assert_eq!(host.variable(Variable::Surface).await.as_deref(), Some("all"));
            world.set_variable(Variable::Surface, "");
            assert_eq!(host.variable(Variable::Surface).await, None);
        });
    }

    #[test]
    fn two_worlds_of_one_seed_go_alike() {
        let bytes_and_keys = |seed| {
            let host = World::with_seed(SCHEMA, seed).instance();
            let mut bytes = [0; 16];
            host.fill_random(&mut bytes);
            let key = |alg| block_on(host.generate_key(alg)).unwrap().spki;
            (bytes, key(Alg::ES256), key(Alg::RS256), key(Alg::RS256))
        };
        assert_eq!(bytes_and_keys(1), bytes_and_keys(1));
        let ((bytes, es256, first, second), other) = (bytes_and_keys(1), bytes_and_keys(2));
        assert_ne!((bytes, es256), (other.0, other.1));
        assert_ne!(first, second);
    }

    #[test]
    fn every_algorithm_signs_and_verifies_until_it_is_broken() {
        let world = World::new(SCHEMA);
        let host = world.instance();
        block_on(async {
            for alg in Alg::ALL {
                let made = host.generate_key(alg).await.unwrap();
                let key = PrivateKey { kid: alg.as_str().to_owned(), alg, pkcs8: made.pkcs8 };
                let public = PublicJwk::from_spki(alg, &made.spki).unwrap();
                let signature = host.sign(&key, b"input").await.unwrap();
                assert_eq!(host.verify(&public, b"input", &signature).await, Ok(true));
                assert_eq!(host.verify(&public, b"other", &signature).await, Ok(false));
                world.break_next(Breakage::VerifyError);
                assert_eq!(host.verify(&public, b"input", &signature).await, Err(Fault::Crypto(BROKEN.to_owned())));
                world.break_next(Breakage::SignError);
                assert_eq!(host.sign(&key, b"input").await, Err(Fault::Crypto(BROKEN.to_owned())));
            }
        });
    }

    #[test]
    fn a_skewed_isolate_sees_the_worlds_clock_moved() {
        let world = World::new(SCHEMA);
        let (host, ahead) = (world.instance(), world.instance_with_skew(5));
        world.advance(60);
        assert_eq!(host.now(), world.now());
        assert_eq!(ahead.now(), world.now().plus(5));
    }

    #[test]
    fn deferred_work_waits_and_may_defer_more() {
        let world = World::new(SCHEMA);
        let host = world.instance();
        let later = host.clone();
        host.defer(async move {
            later.log("first");
            let last = later.clone();
            later.defer(async move { last.log("second") });
        });
        assert_eq!((world.log().len(), world.deferred()), (0, 1));
        block_on(world.run_deferred());
        assert_eq!(world.take_log(), ["first", "second"]);
        host.defer(async { panic!("forgotten work runs") });
        world.forget_deferred();
        block_on(world.run_deferred());
    }
}
