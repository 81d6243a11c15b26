//! What the isolates of one world share, and the network between them and the people outside.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use vedette::http::{Request, Response};
use vedette::jose::software::SoftwareKeys;
use vedette::platform::Statement;

use crate::chance::Chance;
use crate::executor::{Executor, Millis, TaskId, promise};
use crate::history::{History, Thing};
use crate::host::Host;
use crate::kv::Kv;
use crate::model::{Access, Client, Code, Refresh, Session, Tenant, User};
use crate::oracle::{self, Gained, Intent};
use crate::secrets::Secrets;
use crate::sql::Sql;

/// Unix time of the world's beginning: 2027-01-15T08:00:00Z.
pub const BEGINNING: i64 = 1_800_000_000;

/// A client gives up on a request after so long.
const PATIENCE: Millis = 30_000;

/// Clones are the same world.
#[derive(Clone)]
pub struct World(Rc<Shared>);

impl std::ops::Deref for World {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

pub struct Shared {
    pub executor: Executor,
    /// Decides what happens; the core's random bytes come from another sequence.
    pub chance: Chance,
    pub bytes: Chance,
    pub weather: RefCell<Weather>,
    pub sql: RefCell<Sql>,
    pub kv: RefCell<Kv>,
    pub regions: Vec<Region>,
    pub root_secret: RefCell<String>,
    pub history: RefCell<History>,
    pub violation: RefCell<Option<Violation>>,
    pub secrets: RefCell<Secrets>,
    /// Signatures that were made in this world, with the `kid` and a digest of what was signed: looking one up is a hundred
    /// times cheaper than verifying it.
    pub signed: RefCell<Signed>,
    pub known: Known,
    pub tallies: Tallies,
    numbers: RefCell<BTreeMap<&'static str, usize>>,
    pub key_numbers: RefCell<BTreeMap<String, usize>>,
}

/// Signatures, with the `kid` and a digest of what was signed.
pub type Signed = HashMap<Vec<u8>, (String, [u8; 32])>;

/// What thieves, resource servers and the oracle may pick from.
#[derive(Default)]
pub struct Known {
    pub tenants: RefCell<Vec<Rc<Tenant>>>,
    pub users: RefCell<Vec<Rc<User>>>,
    pub clients: RefCell<Vec<Rc<Client>>>,
    pub codes: RefCell<Vec<Rc<Code>>>,
    pub access: RefCell<Vec<Rc<Access>>>,
    pub refresh: RefCell<Vec<Rc<Refresh>>>,
    /// Session cookies as they were once set: name and value.
    pub cookies: RefCell<Vec<(String, String, Rc<Session>)>>,
    /// When the revocation of a key (by `kid`) was answered.
    pub revoked_keys: RefCell<BTreeMap<String, Millis>>,
    /// Somebody asked for the revocation of a key.
    pub keys_may_be_revoked: Cell<bool>,
    /// When somebody last asked for new masters.
    pub masters_asked: Cell<Option<Millis>>,
    /// How many keys of one algorithm operators may have made, in all tenants.
    pub keys_allowed: Cell<usize>,
}

#[derive(Default)]
pub struct Tallies {
    pub requests: Cell<u64>,
    pub statuses: RefCell<BTreeMap<(&'static str, u16), u64>>,
}

/// How much goes wrong, each in a thousand calls; all of it 0 is a calm world.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    pub sql_fails: u64,
    pub sql_lost: u64,
    pub sql_late: u64,
    pub slow: u64,
    pub kv_get_fails: u64,
    pub kv_put_fails: u64,
    pub kv_put_vanishes: u64,
    pub request_lost: u64,
    pub answer_lost: u64,
    pub duplicated: u64,
    pub isolate_dies: u64,
    pub isolate_is_new: u64,
    pub sign_fails: u64,
    /// Most seconds by which replicas lag, and by which KV does.
    pub replica_lag: u64,
    pub kv_lag: u64,
}

pub struct Region {
    pub name: String,
    pub isolates: RefCell<Vec<Rc<Isolate>>>,
    /// What the region's shared cache holds of each tenant's JWKS.
    pub jwks: RefCell<BTreeMap<usize, CachedJwks>>,
}

/// A stored response and the moment from which its age counts (RFC 9111 §4.2.3).
#[derive(Clone)]
pub struct CachedJwks {
    pub kids: Rc<BTreeSet<String>>,
    pub asked_at: Millis,
    pub max_age: Millis,
}

pub struct Isolate {
    pub number: usize,
    pub region: usize,
    /// Milliseconds by which its clock is ahead.
    pub skew: i64,
    pub core: Rc<vedette::Isolate>,
    pub keys: SoftwareKeys,
    pub root_secret: String,
    pub tasks: RefCell<Vec<TaskId>>,
}

pub struct Violation {
    pub property: u8,
    pub sentence: String,
    pub things: BTreeSet<Thing>,
    pub at: Millis,
}

/// What came of a request.
pub struct Reply {
    pub response: Response,
    pub gained: Gained,
}

impl World {
    #[must_use]
    pub fn new(seed: u64, regions: usize) -> Self {
        const NAMES: [&str; 8] = ["weur", "enam", "apac", "wnam", "eeur", "oc", "sam", "afr"];
        let region = |place: usize| Region {
            name: NAMES.get(place).map_or_else(|| format!("region{place}"), |name| (*name).to_owned()),
            isolates: RefCell::default(),
            jwks: RefCell::default(),
        };
        let bytes = Chance::new(seed, 1);
        let mut root = [0; 32];
        bytes.fill(&mut root);
        let root_secret = crate::secrets::base64url(&root);
        let mut secrets = Secrets::default();
        secrets.add("the root secret", &root_secret);
        Self(Rc::new(Shared {
            executor: Executor::default(),
            chance: Chance::new(seed, 0),
            bytes,
            weather: RefCell::default(),
            sql: RefCell::new(Sql::new(regions)),
            kv: RefCell::new(Kv::new(regions)),
            regions: (0..regions).map(region).collect(),
            root_secret: RefCell::new(root_secret),
            history: RefCell::default(),
            violation: RefCell::default(),
            secrets: RefCell::new(secrets),
            signed: RefCell::default(),
            known: Known::default(),
            tallies: Tallies::default(),
            numbers: RefCell::default(),
            key_numbers: RefCell::default(),
        }))
    }

    #[must_use]
    pub fn now(&self) -> Millis {
        self.executor.now()
    }

    /// Unix seconds by a clock that is right.
    #[must_use]
    pub fn unix(&self) -> i64 {
        BEGINNING + i64::try_from(self.now() / 1000).unwrap_or_default()
    }

    pub async fn sleep(&self, duration: Millis) {
        self.executor.sleep(duration).await;
    }

    /// The next number of a kind of things.
    pub fn number(&self, kind: &'static str) -> usize {
        let mut numbers = self.numbers.borrow_mut();
        let number = numbers.entry(kind).or_default();
        *number += 1;
        *number
    }

    /// How a key is called in histories.
    pub fn key(&self, kid: &str) -> Thing {
        if let Some(number) = self.key_numbers.borrow().get(kid) {
            return Thing::Key(*number);
        }
        let number = self.number("key");
        self.key_numbers.borrow_mut().insert(kid.to_owned(), number);
        Thing::Key(number)
    }

    pub fn note(&self, place: impl Into<String>, things: Vec<Thing>, text: impl Into<String>) {
        self.history.borrow_mut().note(self.now(), place.into(), things, text.into());
    }

    /// The first violation ends the world.
    pub fn violate(&self, property: u8, things: impl IntoIterator<Item = Thing>, sentence: impl Into<String>) {
        let things: BTreeSet<Thing> = things.into_iter().collect();
        let sentence = sentence.into();
        self.note("", things.iter().copied().collect(), format!("property {property} is violated: {sentence}"));
        self.violation.borrow_mut().get_or_insert(Violation { property, sentence, things, at: self.now() });
        self.executor.halt();
    }

    pub fn any_region(&self) -> usize {
        self.chance.index(self.regions.len())
    }

    /// Looks at the primary, behind everybody's back.
    ///
    /// # Panics
    /// When it is not SQL.
    pub fn look(&self, sql: &'static str, parameters: Vec<vedette::platform::Value>) -> Vec<vedette::platform::Row> {
        let answer =
            self.sql.borrow().primary().run(&[Statement::new(sql, parameters)], vedette::platform::Freshness::Primary);
        match answer {
            Ok(answer) => answer.rows.into_iter().flatten().collect(),
            Err(fault) => panic!("{fault}: {sql}"),
        }
    }

    /// Changes the database behind everybody's back, on the primary and in time on the replicas.
    ///
    /// # Panics
    /// When it is not SQL.
    pub fn change(&self, statement: Statement) {
        let batch: Rc<[Statement]> = Rc::new([statement]);
        if let Err(fault) = self.sql.borrow_mut().run(&batch, self.now(), || 0) {
            panic!("{fault}");
        }
    }

    /// An isolate for a request, mostly one that is there.
    fn isolate(&self, region: usize) -> Rc<Isolate> {
        let weather = *self.weather.borrow();
        let place = &self.regions[region];
        let isolates = place.isolates.borrow();
        if !isolates.is_empty() && !self.chance.in_thousand(weather.isolate_is_new) {
            return Rc::clone(&isolates[self.chance.index(isolates.len())]);
        }
        drop(isolates);
        let isolate = Rc::new(Isolate {
            number: self.number("isolate"),
            region,
            skew: self.chance.about_zero(5000),
            core: Rc::default(),
            keys: SoftwareKeys::new(),
            root_secret: self.root_secret.borrow().clone(),
            tasks: RefCell::default(),
        });
        let mut isolates = place.isolates.borrow_mut();
        // A region has few of them; the oldest is replaced, and its requests come to their end.
        if isolates.len() >= 3 {
            isolates.remove(0);
        }
        isolates.push(Rc::clone(&isolate));
        isolate
    }

    /// All isolates of a region end, with whatever they are doing.
    pub fn end_isolates(&self, region: usize) {
        let isolates = self.regions[region].isolates.take();
        for isolate in isolates {
            self.end(&isolate);
        }
    }

    fn end(&self, isolate: &Rc<Isolate>) {
        self.regions[isolate.region].isolates.borrow_mut().retain(|other| !Rc::ptr_eq(other, isolate));
        for task in isolate.tasks.take() {
            self.executor.kill(task);
        }
    }

    /// Milliseconds that a call or a request is under way.
    pub fn latency(&self, usual: Millis) -> Millis {
        let slow = self.weather.borrow().slow;
        if self.chance.in_thousand(slow) {
            self.chance.between(usual, usual + 6000)
        } else {
            self.chance.between(1, usual)
        }
    }

    /// Sends a request to a region and waits for the answer; `None` when the connection broke or nobody answered.
    pub async fn send(&self, region: usize, intent: Intent, request: Request) -> Option<Reply> {
        let weather = *self.weather.borrow();
        let (kept, awaited) = promise(&self.executor);
        let lost = self.chance.in_thousand(weather.request_lost);
        if self.chance.in_thousand(weather.duplicated) {
            // Somebody on the way sends it once more; nobody waits for that answer.
            let delay = self.chance.between(1, 3000);
            self.deliver(region, delay, intent.clone(), request.clone(), None);
        }
        if lost {
            drop(kept);
            self.sleep(self.latency(60)).await;
            return None;
        }
        self.deliver(region, self.latency(60), intent, request, Some(kept));
        let reply = awaited.within(PATIENCE).await?;
        self.sleep(self.latency(40)).await;
        (!self.chance.in_thousand(weather.answer_lost)).then_some(reply)
    }

    fn deliver(
        &self,
        region: usize,
        delay: Millis,
        intent: Intent,
        request: Request,
        answer: Option<crate::executor::Promise<Reply>>,
    ) {
        let world = self.clone();
        self.executor.spawn(async move {
            world.sleep(delay).await;
            let isolate = world.isolate(region);
            let served = Rc::clone(&isolate);
            let outside = world.clone();
            let task = world.executor.spawn(async move {
                let world = outside;
                let isolate = served;
                let number = world.number("request");
                let host = Host::new(&world, &isolate, number);
                let began = world.now();
                oracle::begin(&world, &host, &intent);
                let core = Rc::clone(&isolate.core);
                let response = vedette::handle(&host, &core, request).await;
                world.tallies.requests.set(world.tallies.requests.get() + 1);
                let gained = oracle::answered(&world, &host, &intent, began, &response);
                if let Some(answer) = answer {
                    answer.keep(Reply { response, gained });
                }
            });
            isolate.tasks.borrow_mut().push(task);
            let dies = world.weather.borrow().isolate_dies;
            if world.chance.in_thousand(dies) {
                world.sleep(world.chance.between(1, 200)).await;
                world.note(world.place(&isolate), Vec::new(), "the isolate dies");
                world.end(&isolate);
            }
        });
    }

    /// Where something happens, as histories say it.
    pub fn place(&self, isolate: &Isolate) -> String {
        let sign = if isolate.skew < 0 { '-' } else { '+' };
        let skew = isolate.skew.unsigned_abs();
        format!(
            "{} isolate {} ({sign}{}.{} s)",
            self.regions[isolate.region].name,
            isolate.number,
            skew / 1000,
            skew % 1000 / 100
        )
    }
}
