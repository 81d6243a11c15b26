//! Which key signs and which keys are published: pure functions of the key set and the clock, so that every isolate in every
//! region agrees without talking.

use crate::platform::{Alg, UnixTime};
use crate::store::grants::TOLERATED_SKEW;
use crate::store::keys::KeyRow;
use crate::tenants::COPY_BOUND;

/// `max-age` of the JWKS response, seconds.
pub const JWKS_MAX_AGE: i64 = 300;
/// Seconds between publishing a key and signing with it: every copy of ours and every cache of a relying party has run out.
pub const PUBLICATION_LEAD: i64 = COPY_BOUND + JWKS_MAX_AGE + 2 * TOLERATED_SKEW;
/// Longest life of anything that we sign, seconds (the longest access token that an operator may configure).
pub const LONGEST_LIFETIME: i64 = 86_400;
/// Seconds for which a key signs before the standby takes over.
pub const ROTATION_PERIOD: i64 = 90 * 24 * 3600;

/// What signs now: the key of that algorithm and region with the greatest `activates_at ≤ now` that is not revoked.
/// A region without keys of its own signs with the common ones (region empty).
#[must_use]
pub fn signing_key<'a>(keys: &'a [KeyRow], alg: Alg, region: &str, now: UnixTime) -> Option<&'a KeyRow> {
    let of_region = |wanted: &str| {
        keys.iter()
            .filter(|key| key.alg == alg && key.region == wanted && key.revoked_at.is_none() && key.activates_at <= now)
            .max_by_key(|key| (key.activates_at, key.ordinal))
    };
    of_region(region).or_else(|| of_region(""))
}

/// What JWKS lists: every key that is not revoked and whose successor, if any, has not signed for longer than anything that
/// this key signed may live.
pub fn published(keys: &[KeyRow], now: UnixTime) -> impl Iterator<Item = &KeyRow> {
    keys.iter().filter(move |key| key.revoked_at.is_none() && removed_at(keys, key).is_none_or(|at| now < at))
}

/// When a key leaves JWKS; `None` while it has no successor.
#[must_use]
pub fn removed_at(keys: &[KeyRow], key: &KeyRow) -> Option<UnixTime> {
    keys.iter()
        .filter(|other| other.alg == key.alg && other.region == key.region && other.revoked_at.is_none())
        .filter(|other| (other.activates_at, other.ordinal) > (key.activates_at, key.ordinal))
        .map(|successor| successor.activates_at)
        .min()
        .map(|taken_over| taken_over.plus(LONGEST_LIFETIME + 2 * TOLERATED_SKEW))
}

/// Algorithms that have an active key: what discovery may advertise.
#[must_use]
pub fn active_algorithms(keys: &[KeyRow], region: &str, now: UnixTime) -> Vec<Alg> {
    Alg::ALL.into_iter().filter(|alg| signing_key(keys, *alg, region, now).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(ordinal: i64, activates_at: i64) -> KeyRow {
        KeyRow {
            alg: Alg::ES256,
            region: String::new(),
            ordinal,
            kid: format!("k{ordinal}"),
            public_jwk: String::new(),
            wrapped_private: String::new(),
            published_at: UnixTime(0),
            activates_at: UnixTime(activates_at),
            revoked_at: None,
        }
    }

    fn kids<'a>(keys: impl Iterator<Item = &'a KeyRow>) -> Vec<&'a str> {
        keys.map(|key| key.kid.as_str()).collect()
    }

    #[test]
    fn a_key_signs_from_its_activation_until_its_successor_takes_over() {
        let keys = [key(1, 100), key(2, 200)];
        let at = |now| signing_key(&keys, Alg::ES256, "", UnixTime(now)).map(|key| key.ordinal);
        assert_eq!([at(99), at(100), at(199), at(200)], [None, Some(1), Some(1), Some(2)]);
    }

    #[test]
    fn a_key_stays_published_while_anything_it_signed_may_live() {
        let keys = [key(1, 100), key(2, 200)];
        let end = 200 + LONGEST_LIFETIME + 2 * TOLERATED_SKEW;
        assert_eq!(kids(published(&keys, UnixTime(0))), ["k1", "k2"]);
        assert_eq!(kids(published(&keys, UnixTime(end - 1))), ["k1", "k2"]);
        assert_eq!(kids(published(&keys, UnixTime(end))), ["k2"]);
    }

    #[test]
    fn a_revoked_key_neither_signs_nor_is_published() {
        let mut keys = [key(1, 100), key(2, 200)];
        keys[1].revoked_at = Some(UnixTime(250));
        assert_eq!(signing_key(&keys, Alg::ES256, "", UnixTime(300)).map(|key| key.ordinal), Some(1));
        assert_eq!(kids(published(&keys, UnixTime(300))), ["k1"]);
    }
}
