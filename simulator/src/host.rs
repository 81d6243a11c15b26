//! The [`Platform`] of one request in one isolate: what the core asks of the world, and how that goes wrong.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};
use vedette::jose::jwk::PublicJwk;
use vedette::jose::software;
use vedette::memory::test_keys;
use vedette::platform::{
    Alg, Answer, Fault, Freshness, NewKey, Platform, PrivateKey, SecretName, SecretText, Statement, UnixTime, Variable,
};

use crate::executor::{Millis, promise};
use crate::history::Thing;
use crate::world::{BEGINNING, Isolate, World};

/// Both hosts give up on SQL after so long; what the database was sent it may still do.
const SQL_DEADLINE: Millis = 5000;

/// The bearer secret of the maintenance route.
pub const MAINTENANCE_SECRET: &str = "maintenance-secret-of-the-simulated-world";

#[derive(Clone)]
pub struct Host(Rc<Inner>);

struct Inner {
    world: World,
    isolate: Rc<Isolate>,
    request: usize,
    things: RefCell<Vec<Thing>>,
    refusal: RefCell<String>,
}

impl Host {
    #[must_use]
    pub fn new(world: &World, isolate: &Rc<Isolate>, request: usize) -> Self {
        let inner = Inner {
            world: world.clone(),
            isolate: Rc::clone(isolate),
            request,
            things: RefCell::default(),
            refusal: RefCell::default(),
        };
        Self(Rc::new(inner))
    }

    /// Writes an event of this request into the history.
    pub fn note(&self, things: Vec<Thing>, text: &str) {
        let world = &self.0.world;
        world.note(world.place(&self.0.isolate), things, format!("r{} {text}", self.0.request));
    }

    /// What this request is about, for events that it has on the way.
    pub fn is_about(&self, things: Vec<Thing>) {
        *self.0.things.borrow_mut() = things;
    }

    /// Why the request was refused, as the log has it; for histories, never for the oracle.
    #[must_use]
    pub fn refusal(&self) -> String {
        self.0.refusal.borrow().clone()
    }

    #[must_use]
    pub fn region(&self) -> usize {
        self.0.isolate.region
    }

    fn trouble(&self, text: &str) {
        let things = self.0.things.borrow().clone();
        self.note(things, text);
    }

    fn check_clear(&self, place: &str, text: &[u8]) {
        let found = self.0.world.secrets.borrow().found_in(text);
        if let Some(what) = found {
            let things = self.0.things.borrow().clone();
            self.0.world.violate(
                7,
                things,
                format!("{what} stands in clear in {place}: {}", String::from_utf8_lossy(text)),
            );
        }
    }
}

impl Platform for Host {
    fn now(&self) -> UnixTime {
        let now = i64::try_from(self.0.world.now()).unwrap_or_default() + self.0.isolate.skew;
        UnixTime(BEGINNING + now.div_euclid(1000))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.world.bytes.fill(bytes);
    }

    async fn secret(&self, name: SecretName) -> Result<SecretText, Fault> {
        match name.as_str() {
            "ROOT_SECRET" => Ok(SecretText(self.0.isolate.root_secret.clone())),
            "MAINTENANCE_SECRET" => Ok(SecretText(MAINTENANCE_SECRET.to_owned())),
            _ => Err(Fault::SecretMissing(name)),
        }
    }

    async fn variable(&self, name: Variable) -> Option<String> {
        match name.as_str() {
            "SURFACE" => Some("all".to_owned()),
            "REGION" => Some(self.0.world.regions[self.0.isolate.region].name.clone()),
            _ => None,
        }
    }

    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let world = &self.0.world;
        let weather = *world.weather.borrow();
        world.sleep(world.latency(20)).await;
        if world.chance.in_thousand(weather.kv_get_fails) {
            self.trouble("a look-up in KV fails");
            return Err(Fault::Kv("simulated".to_owned()));
        }
        let kept = world.now() + world.chance.between(0, weather.kv_lag.min(60) * 1000);
        let found = world.kv.borrow_mut().get(self.0.isolate.region, key, world.now(), kept);
        Ok(found.map(|bytes| bytes.to_vec()))
    }

    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), Fault> {
        let world = &self.0.world;
        let weather = *world.weather.borrow();
        self.check_clear("a KV value", value);
        world.sleep(world.latency(30)).await;
        if world.chance.in_thousand(weather.kv_put_fails) {
            return Err(Fault::Kv("simulated".to_owned()));
        }
        if world.chance.in_thousand(weather.kv_put_vanishes) {
            return Ok(());
        }
        let lag = weather.kv_lag * 1000;
        let arrival = |region: usize| {
            let most = match world.chance.below(10) {
                0..=5 => lag / 12,
                6..=8 => lag / 2,
                _ => lag,
            };
            world.now() + if region == self.0.isolate.region { most / 10 } else { world.chance.between(0, most) }
        };
        let arrivals: Vec<Millis> = (0..world.regions.len()).map(arrival).collect();
        world.kv.borrow_mut().put(key, value, &arrivals);
        Ok(())
    }

    async fn sql(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        let world = self.0.world.clone();
        let weather = *world.weather.borrow();
        let only_reads = world.sql.borrow().only_reads(batch);
        if world.chance.in_thousand(weather.sql_fails) {
            self.trouble("SQL fails, nothing is applied");
            world.sleep(world.latency(20)).await;
            return Err(Fault::Sql("simulated".to_owned()));
        }
        if let Freshness::AtLeast(bookmark) = freshness
            && only_reads
        {
            world.sleep(world.latency(10)).await;
            let read = world.sql.borrow_mut().read_replica(self.0.isolate.region, batch, bookmark, world.now())?;
            if let Some(answer) = read {
                return Ok(answer);
            }
        }
        let lost = world.chance.in_thousand(weather.sql_lost);
        let late = !only_reads && world.chance.in_thousand(weather.sql_late);
        let there = if late { world.chance.between(SQL_DEADLINE, 25_000) } else { world.latency(40) };
        let (kept, awaited) = promise(&world.executor);
        let batch: Rc<[Statement]> = batch.into();
        let database = world.clone();
        // What was sent is done, whether or not the isolate lives to hear of it.
        world.executor.spawn(async move {
            database.sleep(there).await;
            let lag = weather.replica_lag * 1000;
            let one_lag = || match database.chance.below(40) {
                0..=33 => database.chance.between(0, lag / 40),
                34..=38 => database.chance.between(0, lag / 4),
                _ => database.chance.between(0, lag),
            };
            let answer = database.sql.borrow_mut().run(&batch, database.now(), one_lag);
            database.sleep(database.latency(40)).await;
            if !lost && !late {
                kept.keep(answer);
            } else {
                // The promise is not broken either: nobody says anything.
                database.sleep(2 * SQL_DEADLINE).await;
                drop(kept);
            }
        });
        let Some(answer) = awaited.within(SQL_DEADLINE).await else {
            self.trouble(if late {
                "SQL times out, the batch comes later"
            } else {
                "SQL times out, its answer is lost"
            });
            return Err(Fault::SqlTimeout);
        };
        let mut answer = answer?;
        if freshness == Freshness::Primary {
            answer.bookmark = None;
        }
        Ok(answer)
    }

    async fn generate_key(&self, alg: Alg) -> Result<NewKey, Fault> {
        let world = &self.0.world;
        world.sleep(world.latency(50)).await;
        self.note((1..=2).map(Thing::Tenant).collect(), &format!("makes a key for {}", alg.as_str()));
        let key = match alg.as_str() {
            "RS256" | "PS256" => pooled_rsa(world.number("rsa")),
            _ => world.bytes.with_rng(|rng| software::generate(alg, rng))?,
        };
        world.secrets.borrow_mut().add_bytes("a private key", &key.pkcs8.0);
        Ok(key)
    }

    async fn sign(&self, key: &PrivateKey, input: &[u8]) -> Result<Vec<u8>, Fault> {
        let world = &self.0.world;
        world.sleep(world.chance.below(5)).await;
        if world.chance.in_thousand(world.weather.borrow().sign_fails) {
            self.trouble("signing fails");
            return Err(Fault::Crypto("simulated".to_owned()));
        }
        let keys = &self.0.isolate.keys;
        let signature = world.bytes.with_rng(|rng| keys.sign(key, input, rng))?;
        world.signed.borrow_mut().insert(signature.clone(), (key.kid.clone(), Sha256::digest(input).into()));
        Ok(signature)
    }

    async fn verify(&self, key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
        self.0.world.sleep(self.0.world.chance.below(3)).await;
        self.0.world.verifies(key, input, signature)
    }

    fn defer(&self, work: impl Future<Output = ()> + 'static) {
        let task = self.0.world.executor.spawn(work);
        self.0.isolate.tasks.borrow_mut().push(task);
    }

    fn log(&self, line: &str) {
        self.check_clear("the log", line.as_bytes());
        if let Some((reason, _)) = line.split_once("\"refusal\":\"").and_then(|(_, rest)| rest.split_once('"')) {
            reason.clone_into(&mut self.0.refusal.borrow_mut());
        }
    }
}

impl World {
    /// Whether a signature is this key's: looked up where it was made here, else verified.
    pub fn verifies(&self, key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault> {
        let made_here = self
            .signed
            .borrow()
            .get(signature)
            .is_some_and(|(kid, digest)| *kid == key.kid && digest[..] == Sha256::digest(input)[..]);
        if made_here { Ok(true) } else { software::verify(key, input, signature) }
    }
}

/// RSA keys come from a pool of test keys: making one takes longer than a whole world. No key of the first hundred comes twice.
fn pooled_rsa(number: usize) -> NewKey {
    static POOL: OnceLock<Vec<OnceLock<NewKey>>> = OnceLock::new();
    let pool = POOL.get_or_init(|| (0..test_keys::RSA_KEYS).map(|_| OnceLock::new()).collect());
    let index = number % pool.len();
    pool[index].get_or_init(|| test_keys::rsa(index)).clone()
}
