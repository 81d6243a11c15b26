//! Everything that a seed decides.

use std::cell::RefCell;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// A sequence of draws. Two of one seed go alike.
pub struct Chance(RefCell<ChaCha8Rng>);

impl Chance {
    /// `stream` keeps sequences of one seed apart.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self(RefCell::new(rng))
    }

    /// A number in `0..end`; 0 when there is none.
    pub fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.0.borrow_mut().next_u64() % end }
    }

    /// A number in `from..=to`.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// A signed number in `-most..=most`.
    pub fn about_zero(&self, most: i64) -> i64 {
        let span = u64::try_from(2 * most).unwrap_or_default();
        i64::try_from(self.between(0, span)).unwrap_or_default() - most
    }

    /// True in so many of a thousand cases.
    pub fn in_thousand(&self, cases: u64) -> bool {
        self.below(1000) < cases
    }

    pub fn one<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(of.len()).unwrap_or_default();
        of.get(usize::try_from(self.below(count)).unwrap_or_default())
    }

    pub fn index(&self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap_or_default())).unwrap_or_default()
    }

    /// One of weighted choices.
    pub fn weighted<T: Copy>(&self, choices: &[(u64, T)]) -> Option<T> {
        let mut place = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if place < *weight {
                return Some(*choice);
            }
            place -= weight;
        }
        None
    }

    pub fn fill(&self, bytes: &mut [u8]) {
        self.0.borrow_mut().fill_bytes(bytes);
    }

    /// Lends the generator, for cryptography that wants one.
    pub fn with_rng<T>(&self, work: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        work(&mut self.0.borrow_mut())
    }
}
