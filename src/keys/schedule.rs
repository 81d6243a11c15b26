//! Which key signs, which keys are published, and which are due: pure functions of the key set and the clock, so that every
//! isolate in every region agrees without talking (design.md §5).
//!
//! The keys of one algorithm and region follow each other in the order of `(activates_at, ordinal)`. Each is a standby until
//! `activates_at`, signs until its successor does, stays in JWKS while anything that it signed may live, and is then only
//! kept to recognise old tokens. A revoked key is out of all of it. Nothing here changes a key: rotation appends one.

use crate::plant::{Plant, planted};
use crate::platform::{Alg, UnixTime};
use crate::store::grants::TOLERATED_SKEW;
use crate::store::keys::KeyRow;
use crate::tenants::COPY_BOUND;

/// `max-age` of the JWKS response, seconds.
pub const JWKS_MAX_AGE: i64 = 300;
/// Seconds that may pass from making a key until the database has it: the batch may be slow, and be sent twice.
pub const WRITE_DELAY: i64 = 60;
/// Seconds between publishing a key and signing with it: every copy of ours and every cache of a relying party has run out.
pub const PUBLICATION_LEAD: i64 = COPY_BOUND + JWKS_MAX_AGE + 2 * TOLERATED_SKEW + WRITE_DELAY;

/// [`PUBLICATION_LEAD`], unless something is planted.
#[must_use]
pub fn lead() -> i64 {
    if planted(Plant::LeadWithoutMaxAge) { PUBLICATION_LEAD - JWKS_MAX_AGE } else { PUBLICATION_LEAD }
}

/// Longest life of anything that we sign, seconds (the longest access token that an operator may configure).
pub const LONGEST_LIFETIME: i64 = 86_400;
/// Seconds for which a key stays in JWKS after its successor took over.
pub const RETIREMENT: i64 = LONGEST_LIFETIME + COPY_BOUND + 2 * TOLERATED_SKEW;
/// Seconds for which a key signs before the standby takes over.
pub const ROTATION_PERIOD: i64 = 90 * 24 * 3600;

/// Algorithms that a tenant has from its first request on: OpenID Connect requires the one, our access tokens the other. The
/// others are advertised when they have an active key.
const INDISPENSABLE: [Alg; 2] = [Alg::RS256, Alg::ES256];

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Published, and waiting for its time.
    Standby,
    /// What signs.
    Active,
    /// Its successor signs; it still verifies.
    Retired,
    /// Out of JWKS; whatever it signed has expired.
    Removed,
    /// Neither signs nor verifies, from a moment on.
    Revoked,
}

impl State {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standby => "standby",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Removed => "removed",
            Self::Revoked => "revoked",
        }
    }
}

/// The key's state among `keys`.
#[must_use]
pub fn state(keys: &[KeyRow], key: &KeyRow, now: UnixTime) -> State {
    if key.revoked_at.is_some() {
        State::Revoked
    } else if now < key.activates_at {
        State::Standby
    } else if taken_over_at(keys, key).is_none_or(|at| now < at) {
        State::Active
    } else if removed_at(keys, key).is_none_or(|at| now < at) {
        State::Retired
    } else {
        State::Removed
    }
}

/// What signs now: the key of that algorithm and region with the greatest `activates_at ≤ now` that is not revoked. A region
/// without an active key of its own signs with the common ones (region empty).
#[must_use]
pub fn signing_key<'a>(keys: &'a [KeyRow], alg: Alg, region: &str, now: UnixTime) -> Option<&'a KeyRow> {
    let of_region = |wanted: &str| {
        let live = keys.iter().filter(|key| is_of(key, alg, wanted) && key.revoked_at.is_none());
        live.filter(|key| key.activates_at <= now).max_by_key(|key| place(key))
    };
    of_region(region).or_else(|| of_region(""))
}

/// What JWKS lists: every key that is not revoked and whose successor, if any, has not signed for longer than anything that
/// this key signed may live.
pub fn published(keys: &[KeyRow], now: UnixTime) -> impl Iterator<Item = &KeyRow> {
    keys.iter().filter(move |key| key.revoked_at.is_none() && removed_at(keys, key).is_none_or(|at| now < at))
}

/// When the successor takes over; `None` while there is none.
#[must_use]
pub fn taken_over_at(keys: &[KeyRow], key: &KeyRow) -> Option<UnixTime> {
    keys.iter()
        .filter(|other| is_of(other, key.alg, &key.region) && other.revoked_at.is_none() && place(other) > place(key))
        .map(|successor| successor.activates_at)
        .min()
}

/// When a key leaves JWKS; `None` while it has no successor.
#[must_use]
pub fn removed_at(keys: &[KeyRow], key: &KeyRow) -> Option<UnixTime> {
    let retirement = if planted(Plant::RemoveAtTakeover) { 0 } else { RETIREMENT };
    taken_over_at(keys, key).map(|taken_over| taken_over.plus(retirement))
}

/// Algorithms that have an active key: what discovery may advertise, and a client may choose.
#[must_use]
pub fn active_algorithms(keys: &[KeyRow], region: &str, now: UnixTime) -> Vec<Alg> {
    Alg::ALL.into_iter().filter(|alg| signing_key(keys, *alg, region, now).is_some()).collect()
}

/// The standby that takes over next.
#[must_use]
pub fn standby<'a>(keys: &'a [KeyRow], alg: Alg, region: &str, now: UnixTime) -> Option<&'a KeyRow> {
    standbys(keys, alg, region, now).min_by_key(|key| place(key))
}

/// The standby that takes over when the active key is revoked: one that relying parties have already, if there is any.
#[must_use]
pub fn heir<'a>(keys: &'a [KeyRow], alg: Alg, region: &str, now: UnixTime) -> Option<&'a KeyRow> {
    let is_young = |key: &KeyRow| now.since(key.published_at) < PUBLICATION_LEAD;
    standbys(keys, alg, region, now).min_by_key(|key| (is_young(key), place(key)))
}

fn standbys<'a>(keys: &'a [KeyRow], alg: Alg, region: &str, now: UnixTime) -> impl Iterator<Item = &'a KeyRow> {
    let waits = move |key: &&KeyRow| key.revoked_at.is_none() && now < key.activates_at;
    keys.iter().filter(move |key| is_of(key, alg, region)).filter(waits)
}

/// A place in the unique order of `(tenant, alg, region, ordinal)`, taken by a row, readable or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    pub alg: &'a str,
    pub region: &'a str,
    pub ordinal: i64,
}

/// A key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub alg: Alg,
    pub region: String,
    pub ordinal: i64,
    pub activates_at: UnixTime,
}

impl Need {
    /// Whether nothing of this algorithm can be signed before it is there.
    #[must_use]
    pub fn is_urgent(&self, now: UnixTime) -> bool {
        self.activates_at <= now
    }
}

/// What has to be appended: for each algorithm, of the tenant and of each of its regions, a first key, a standby where none
/// waits, or what signs where only a standby is left. However often and wherever this is computed from the same keys, it
/// names the same ordinals.
#[must_use]
pub fn due(keys: &[KeyRow], taken: &[Taken<'_>], regions: &[String], now: UnixTime) -> Vec<Need> {
    let mut needs = Vec::new();
    for region in std::iter::once("").chain(regions.iter().map(String::as_str)) {
        for alg in Alg::ALL {
            let activates_at = match (signing_key_of(keys, alg, region, now), standby(keys, alg, region, now)) {
                // Nothing signs, and the standby's time may be months away.
                (None, Some(_)) if is_interrupted(keys, alg, region, now) => at_once(now),
                (_, Some(_)) => continue,
                (Some(active), None) => active.activates_at.plus(ROTATION_PERIOD).max(now.plus(lead())),
                (None, None) if is_missed(keys, alg, region) => at_once(now),
                (None, None) => now.plus(lead()),
            };
            needs.push(Need {
                alg,
                region: region.to_owned(),
                ordinal: next_ordinal(taken, alg, region),
                activates_at,
            });
        }
    }
    needs
}

/// From when on something is due: now or earlier if something is, else when the last standby of any algorithm takes over.
#[must_use]
pub fn due_from(keys: &[KeyRow], taken: &[Taken<'_>], regions: &[String], now: UnixTime) -> UnixTime {
    if !due(keys, taken, regions, now).is_empty() {
        return now;
    }
    let last_of = |region: &str, alg| {
        keys.iter().filter(|key| is_of(key, alg, region) && key.revoked_at.is_none()).map(|key| key.activates_at).max()
    };
    let regions = || std::iter::once("").chain(regions.iter().map(String::as_str));
    let each = regions().flat_map(|region| Alg::ALL.into_iter().filter_map(move |alg| last_of(region, alg)));
    each.min().unwrap_or(now)
}

/// The key that takes over as soon as all the world can know it, for a rotation on demand; `None` when one is on its way.
#[must_use]
pub fn on_demand(keys: &[KeyRow], taken: &[Taken<'_>], alg: Alg, region: &str, now: UnixTime) -> Option<Need> {
    let soon = if planted(Plant::ActivateAtOnce) { at_once(now) } else { now.plus(lead()) };
    // Making it took its time, so it may take over somewhat later than one that would be begun now.
    let on_its_way = standby(keys, alg, region, now).is_some_and(|key| key.activates_at <= soon.plus(WRITE_DELAY));
    (!on_its_way).then(|| Need {
        alg,
        region: region.to_owned(),
        ordinal: next_ordinal(taken, alg, region),
        activates_at: soon,
    })
}

/// When a first key begins to sign, if it is made now: at once, also by a clock that is behind.
#[must_use]
pub fn at_once(now: UnixTime) -> UnixTime {
    now.plus(-2 * TOLERATED_SKEW)
}

/// What an operator should know of a key set whose times cannot be right. Signing goes on with what there is.
#[must_use]
pub fn problems(keys: &[KeyRow], now: UnixTime) -> Vec<String> {
    let mut found = Vec::new();
    for key in keys.iter().filter(|key| key.revoked_at.is_none()) {
        let name = format!("{} key {} (ordinal {})", key.alg.as_str(), key.kid, key.ordinal);
        if key.activates_at < at_once(key.published_at) {
            found.push(format!("{name} activates before it was published"));
        }
        if key.published_at > now.plus(2 * TOLERATED_SKEW) {
            found.push(format!("{name} was published in the future"));
        }
    }
    for alg in INDISPENSABLE {
        if signing_key_of(keys, alg, "", now).is_none() {
            found.push(format!("no {} key is active", alg.as_str()));
        }
    }
    found
}

#[must_use]
pub fn is_of(key: &KeyRow, alg: Alg, region: &str) -> bool {
    key.alg == alg && key.region == region
}

/// Its place among the keys of its algorithm and region.
#[must_use]
pub fn place(key: &KeyRow) -> (UnixTime, i64) {
    (key.activates_at, key.ordinal)
}

/// As [`signing_key`], without falling back to the common keys.
fn signing_key_of<'a>(keys: &'a [KeyRow], alg: Alg, region: &str, now: UnixTime) -> Option<&'a KeyRow> {
    signing_key(keys, alg, region, now).filter(|key| key.region == region)
}

/// Whether somebody relies on a key that is not there: then one that relying parties learn of late is better than none. What
/// is new (an algorithm, a region) waits until all the world can know its key.
fn is_missed(keys: &[KeyRow], alg: Alg, region: &str) -> bool {
    region.is_empty() && (INDISPENSABLE.contains(&alg) || keys.iter().any(|key| is_of(key, alg, region)))
}

/// Whether something was signed, or always can be, and only a standby is left of it: the keys before it were revoked, or cannot
/// be used. (A first key that waits for its time is a standby too, which nobody misses.)
fn is_interrupted(keys: &[KeyRow], alg: Alg, region: &str, now: UnixTime) -> bool {
    let has_signed = || keys.iter().any(|key| is_of(key, alg, region) && key.activates_at <= now);
    region.is_empty() && (INDISPENSABLE.contains(&alg) || has_signed())
}

/// The ordinal after the last one that is taken.
#[must_use]
pub fn next_ordinal(taken: &[Taken<'_>], alg: Alg, region: &str) -> i64 {
    let of_this = taken.iter().filter(|taken| taken.alg == alg.as_str() && taken.region == region);
    of_this.map(|taken| taken.ordinal).max().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn key(ordinal: i64, activates_at: i64) -> KeyRow {
        of(Alg::ES256, "", ordinal, activates_at)
    }

    fn of(alg: Alg, region: &str, ordinal: i64, activates_at: i64) -> KeyRow {
        KeyRow {
            alg,
            region: region.to_owned(),
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

    fn taken(keys: &[KeyRow]) -> Vec<Taken<'_>> {
        keys.iter().map(KeyRow::taken).collect()
    }

    fn due_of(keys: &[KeyRow], regions: &[&str], now: i64) -> Vec<Need> {
        let regions: Vec<String> = regions.iter().map(|region| (*region).to_owned()).collect();
        let mut needs = due(keys, &taken(keys), &regions, UnixTime(now));
        needs.retain(|need| need.alg == Alg::ES256);
        needs
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
        let end = 200 + RETIREMENT;
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

    #[test]
    fn the_states_follow_each_other() {
        let keys = [key(1, 100), key(2, 200)];
        let state = |key: &KeyRow, now| state(&keys, key, UnixTime(now)).as_str();
        let of_first: Vec<_> = [99, 100, 199, 200, 199 + RETIREMENT, 200 + RETIREMENT]
            .into_iter()
            .map(|now| state(&keys[0], now))
            .collect();
        assert_eq!(of_first, ["standby", "active", "active", "retired", "retired", "removed"]);
        assert_eq!(state(&keys[1], i64::MAX), "active");
        let revoked = KeyRow { revoked_at: Some(UnixTime(1)), ..key(1, 100) };
        assert_eq!(super::state(&[], &revoked, UnixTime(0)), State::Revoked);
    }

    #[test]
    fn a_standby_is_due_as_soon_as_the_last_one_has_taken_over() {
        let keys = [key(1, 0), key(2, 90 * DAY)];
        assert_eq!(due_of(&keys, &[], 90 * DAY - 1), []);
        let need = &due_of(&keys, &[], 90 * DAY)[0];
        assert_eq!((need.ordinal, need.activates_at), (3, UnixTime(180 * DAY)));
    }

    #[test]
    fn a_late_run_gives_the_world_its_time_all_the_same() {
        let keys = [key(1, 0), key(2, 90 * DAY)];
        let late = 400 * DAY;
        let need = &due_of(&keys, &[], late)[0];
        assert_eq!((need.ordinal, need.activates_at), (3, UnixTime(late + PUBLICATION_LEAD)));
    }

    #[test]
    fn what_is_indispensable_is_made_at_once_and_what_is_new_waits() {
        let now = UnixTime(1000);
        let needs = due(&[], &[], &["weur".to_owned()], now);
        let at_once: Vec<_> = needs.iter().filter(|need| need.is_urgent(now)).map(|need| need.alg).collect();
        assert_eq!(at_once, [Alg::RS256, Alg::ES256]);
        assert!(needs.iter().filter(|need| need.region == "weur").all(|need| !need.is_urgent(now)));
        assert_eq!(needs.len(), 2 * Alg::ALL.len());
    }

    #[test]
    fn a_standby_that_is_all_there_is_left_is_not_waited_for_unless_it_is_the_first() {
        let (standby, now) = (key(2, 90 * DAY), UnixTime(1000));
        // Its predecessor cannot be used, and so is not among them.
        let need = &due_of(std::slice::from_ref(&standby), &[], now.0)[0];
        assert_eq!((need.ordinal, need.is_urgent(now)), (3, true));
        // What is new waits until all the world can know its key; what has signed until it was revoked does not.
        let new = |alg, revoked_at| {
            let first = KeyRow { revoked_at, ..of(alg, "", 1, 500) };
            let waiting = of(alg, "", 2, 90 * DAY);
            let keys = if revoked_at.is_some() { vec![first, waiting] } else { vec![waiting] };
            due(&keys, &taken(&keys), &[], now).into_iter().any(|need| need.alg == alg)
        };
        assert_eq!((new(Alg::EdDSA, None), new(Alg::EdDSA, Some(UnixTime(900)))), (false, true));
        let regional = [of(Alg::ES256, "weur", 1, 90 * DAY), key(1, 0), key(2, 90 * DAY)];
        assert_eq!(due_of(&regional, &["weur"], now.0), [], "a region signs with the common keys until then");
    }

    #[test]
    fn an_ordinal_is_never_given_twice_even_when_its_row_is_revoked_or_unreadable() {
        let revoked = KeyRow { revoked_at: Some(UnixTime(5)), ..key(4, 100) };
        let keys = [revoked];
        let unreadable = Taken { alg: "ES256", region: "", ordinal: 7 };
        let both: Vec<_> = taken(&keys).into_iter().chain([unreadable]).collect();
        let needs = due(&keys, &both, &[], UnixTime(1000));
        let need = needs.iter().find(|need| need.alg == Alg::ES256).unwrap();
        assert_eq!((need.ordinal, need.is_urgent(UnixTime(1000))), (8, true));
    }

    #[test]
    fn a_rotation_on_demand_that_is_under_way_is_not_begun_again() {
        let mut keys = vec![key(1, 0), key(2, 90 * DAY)];
        let now = UnixTime(DAY);
        let need = on_demand(&keys, &taken(&keys), Alg::ES256, "", now).unwrap();
        assert_eq!((need.ordinal, need.activates_at), (3, now.plus(PUBLICATION_LEAD)));
        keys.push(of(Alg::ES256, "", need.ordinal, need.activates_at.0));
        assert_eq!(on_demand(&keys, &taken(&keys), Alg::ES256, "", now.plus(60)), None);
        let signs = |at: UnixTime| signing_key(&keys, Alg::ES256, "", at).map(|key| key.ordinal);
        assert_eq!([signs(now), signs(need.activates_at), signs(UnixTime(90 * DAY))], [Some(1), Some(3), Some(2)]);
    }

    #[test]
    fn a_region_signs_with_the_common_key_until_its_own_is_active() {
        let keys = [key(1, 0), of(Alg::ES256, "weur", 1, 500)];
        let signs =
            |region, now| signing_key(&keys, Alg::ES256, region, UnixTime(now)).map(|key| key.region.clone()).unwrap();
        assert_eq!([signs("weur", 499), signs("weur", 500), signs("enam", 500), signs("", 500)], ["", "weur", "", ""]);
    }

    #[test]
    fn times_that_cannot_be_right_are_named_and_signing_goes_on() {
        let mut keys = [key(1, 100), key(2, 200)];
        keys[1].published_at = UnixTime(10_000);
        let problems = problems(&keys, UnixTime(300)).join("\n");
        assert!(problems.contains("k2 (ordinal 2) activates before it was published"), "{problems}");
        assert!(problems.contains("k2 (ordinal 2) was published in the future"), "{problems}");
        assert!(problems.contains("no RS256 key is active"), "{problems}");
        assert_eq!(signing_key(&keys, Alg::ES256, "", UnixTime(300)).map(|key| key.ordinal), Some(2));
    }
}
