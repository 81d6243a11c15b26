//! Vedette's core in a world of virtual time, where everything that a host may do to it happens: regions that lag, isolates
//! that die, answers that get lost, clocks that differ, thieves, and operators. A seed decides all of it, so a violated
//! property comes with the seed that shows it again. `docs/simulator.md` says how to read one.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`executor`], [`chance`] | virtual time, and everything that a seed decides |
//! | [`world`], [`host`] | regions, isolates and the network; the `Platform` that the core runs on |
//! | [`kv`], [`sql`] | KV and SQL as each region sees them |
//! | [`browser`], [`party`], [`people`], [`operator`] | who sends requests |
//! | [`model`], [`oracle`], [`secrets`] | what was acknowledged, and what therefore must hold |
//! | [`scenario`] | what happens in a world |
//! | [`history`] | what a failure prints |

pub mod browser;
pub mod call;
pub mod chance;
pub mod executor;
pub mod history;
pub mod host;
pub mod kv;
pub mod model;
pub mod operator;
pub mod oracle;
pub mod party;
pub mod people;
pub mod scenario;
pub mod secrets;
pub mod sql;
pub mod world;

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};
use vedette::plant::{self, Plant};

use world::World;

/// What is to be simulated.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub first_seed: u64,
    pub seeds: u64,
    /// `None`: each seed has a number of its own, from 1 to 4.
    pub regions: Option<usize>,
    pub plant: Option<Plant>,
    pub threads: usize,
}

/// One world's end.
pub struct Outcome {
    pub seed: u64,
    pub requests: u64,
    /// What a violated property prints, and which one it is.
    pub failure: Option<String>,
    pub property: Option<u8>,
    /// Of its whole history.
    pub hash: [u8; 32],
    pub history: Option<String>,
}

/// What came of many worlds.
#[derive(Default)]
pub struct Summary {
    pub seeds: u64,
    pub requests: u64,
    pub failure: Option<Outcome>,
}

/// Lives through one world.
#[must_use]
pub fn simulate(seed: u64, regions: Option<usize>, planted: Option<Plant>) -> Outcome {
    plant::set(planted);
    plant::make_passwords_cheap();
    let regions = regions.unwrap_or_else(|| 1 + usize::try_from(seed % 4).unwrap_or_default());
    let world = World::new(seed, regions);
    let _ = world.executor.run(scenario::live(world.clone()));
    let failure = world.violation.borrow().as_ref().map(|violation| {
        let plant = planted.map(|plant| format!(", plant {}", plant.name())).unwrap_or_default();
        let mut text = format!(
            "seed {seed} ({regions} regions{plant}): property {} is violated\n{}\n\n",
            violation.property, violation.sentence
        );
        let _ = write!(text, "{}", world.history.borrow().about(&violation.things));
        text
    });
    let property = world.violation.borrow().as_ref().map(|violation| violation.property);
    let whole = world.history.borrow().whole();
    let hash = Sha256::digest(whole.as_bytes()).into();
    let requests = world.tallies.requests.get();
    world.executor.clear();
    plant::set(None);
    Outcome { seed, requests, failure, property, hash, history: Some(whole) }
}

/// Lives through many worlds, several at once, until one violates a property; of several that do, the lowest seed is told.
#[must_use]
pub fn run(options: &Options) -> Summary {
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(options.seeds);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    if place >= end.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut outcome = simulate(options.first_seed + place, options.regions, options.plant);
                    outcome.history = None;
                    let Ok(mut summary) = summary.lock() else { return };
                    summary.seeds += 1;
                    summary.requests += outcome.requests;
                    if outcome.failure.is_some() {
                        end.fetch_min(place, Ordering::SeqCst);
                        if summary.failure.as_ref().is_none_or(|other| outcome.seed < other.seed) {
                            summary.failure = Some(outcome);
                        }
                    }
                }
            });
        }
    });
    summary.into_inner().unwrap_or_default()
}
