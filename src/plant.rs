//! Planted bugs: each a rule of ours turned into a mistake that others made or might make, at the place where the rule is, so
//! that the simulator can prove that it would notice (docs/simulator.md says what each stands for).
//!
//! Native only. On both hosts [`planted`] is a constant `false`, so that no build that serves anybody has them.

/// Declares the plants with their names.
macro_rules! plants {
    ($($plant:ident = $name:literal,)*) => {
        /// A rule that can be broken on purpose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Plant {
            $($plant,)*
        }

        impl Plant {
            pub const ALL: &[Self] = &[$(Self::$plant,)*];

            /// The name by which `cargo xtask simulate --plant` knows it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$plant => $name,)*
                }
            }
        }
    };
}

plants! {
    // Keys.
    ActivateAtOnce = "activate-at-once",
    LeadWithoutMaxAge = "lead-without-max-age",
    RemoveAtTakeover = "remove-at-takeover",
    KeyExplosion = "key-explosion",
    RevokedKeyHonoured = "revoked-key-honoured",
    PrivateKeyInClear = "private-key-in-clear",
    // Copies.
    KvForever = "kv-forever",
    MissForever = "miss-forever",
    // Codes.
    RedeemReadThenWrite = "redeem-read-then-write",
    ReplayLeavesGrant = "replay-leaves-grant",
    CodeOfAnyClient = "code-of-any-client",
    VerifierUnchecked = "verifier-unchecked",
    // Refresh tokens.
    RefreshWithoutGrace = "refresh-without-grace",
    RefreshRetryIsTheft = "refresh-retry-is-theft",
    GraceForAnyGeneration = "grace-for-any-generation",
    SecondDeviceIsTheft = "second-device-is-theft",
    ReuseUnnoticed = "reuse-unnoticed",
    RefreshingHidesReuse = "refreshing-hides-reuse",
    // Endings.
    StaleStanding = "stale-standing",
    StaleClientSecret = "stale-client-secret",
    SessionAfterSignOut = "session-after-sign-out",
    SignOutLeavesGrants = "sign-out-leaves-grants",
    DisablingLeavesGrants = "disabling-leaves-grants",
    CleanUpTooEarly = "clean-up-too-early",
    // What was acknowledged.
    BookmarkForgotten = "bookmark-forgotten",
    ConsentOverwritten = "consent-overwritten",
    // Tenants and secrets.
    SealWithoutTenant = "seal-without-tenant",
    StatementWithoutTenant = "statement-without-tenant",
    TokenInLog = "token-in-log",
}

impl Plant {
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|plant| plant.name() == name)
    }
}

/// Whether this plant is in the ground.
#[cfg(target_family = "wasm")]
#[must_use]
pub const fn planted(_: Plant) -> bool {
    false
}

/// Whether passwords cost next to nothing.
#[cfg(target_family = "wasm")]
#[must_use]
pub const fn passwords_are_cheap() -> bool {
    false
}

#[cfg(not(target_family = "wasm"))]
mod native {
    use std::cell::Cell;

    use super::Plant;

    thread_local! {
        static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
        static CHEAP: Cell<bool> = const { Cell::new(false) };
    }

    /// Whether this plant is in the ground of this thread.
    #[must_use]
    pub fn planted(plant: Plant) -> bool {
        PLANTED.get() == Some(plant)
    }

    /// Puts one plant into the ground of this thread, or takes it out.
    pub fn set(plant: Option<Plant>) {
        PLANTED.set(plant);
    }

    /// Whether passwords cost next to nothing on this thread.
    #[must_use]
    pub fn passwords_are_cheap() -> bool {
        CHEAP.get()
    }

    /// Argon2 takes a hundred times as long as any other step of a simulated flow, and nothing simulated depends on it.
    pub fn make_passwords_cheap() {
        CHEAP.set(true);
    }
}

#[cfg(not(target_family = "wasm"))]
pub use native::{make_passwords_cheap, passwords_are_cheap, planted, set};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_find_their_plant() {
        for plant in Plant::ALL {
            assert_eq!(Plant::from_name(plant.name()), Some(*plant));
        }
        assert_eq!(Plant::from_name("no such plant"), None);
    }

    #[test]
    fn nothing_is_planted_unless_somebody_does() {
        assert!(Plant::ALL.iter().all(|plant| !planted(*plant)));
        set(Some(Plant::KvForever));
        assert!(planted(Plant::KvForever) && !planted(Plant::MissForever));
        set(None);
    }
}
