//! Randomness from `wasi:random`.
//!
//! Asked directly, as crate `getrandom` would come to the same through an adapter for an older WASI.

use rand_core::{CryptoRng, RngCore};
use spin_sdk::wasip3::random::random;

/// The host's cryptographically secure generator.
pub(super) struct HostRandom;

impl RngCore for HostRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        random::get_random_u64()
    }

    fn fill_bytes(&mut self, mut bytes: &mut [u8]) {
        // A host may give fewer bytes than it was asked for, but not none.
        while !bytes.is_empty() {
            let given = random::get_random_bytes(bytes.len() as u64);
            let taken = given.len().min(bytes.len());
            let (filled, rest) = bytes.split_at_mut(taken);
            filled.copy_from_slice(given.get(..taken).unwrap_or_default());
            bytes = rest;
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for HostRandom {}
