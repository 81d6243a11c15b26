//! A host in memory, for tests: everything that [`crate::platform::Platform`] asks for, deterministic, countable and
//! breakable, over a real SQLite.
//!
//! A [`World`] is what a deployment shares: database, KV, secrets, clock. A [`MemoryPlatform`] is one isolate in it.
//!
//! ```text
//! let world = World::new(store::MIGRATIONS);
//! let host = world.instance();
//! block_on(host.sql(&batch, Freshness::Primary))?;
//! assert_eq!(world.counts().sql_batches, 1);
//!
//! world.break_next(Breakage::SqlAnswerLost);
//! let answers = interleave((0..50).map(|_| redeem(world.instance(), &code)), seed);
//! ```
//!
//! In scope: what both real hosts promise, and the ways in which they are known to differ or fail. Out of scope: speed of
//! hosts, and a scheduler of whole histories (the simulator builds on this).
//!
//! Misuse by a test (a migration that does not run, SQL that does not parse) panics: nobody else is there to hear of it.

mod breakage;
mod counts;
mod database;
mod executor;
mod instance;
pub mod test_keys;
mod world;

pub use breakage::Breakage;
pub use counts::Counts;
pub use database::Database;
pub use executor::{block_on, interleave};
pub use instance::MemoryPlatform;
pub use world::World;
