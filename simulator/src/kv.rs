//! KV as regions see it: each put comes to each region after a time of its own, so puts may arrive out of order, and what a
//! region has looked up, a miss too, it may keep for a while.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::executor::Millis;

type Bytes = Rc<[u8]>;

#[derive(Default)]
pub struct Kv {
    regions: Vec<BTreeMap<String, Seen>>,
}

/// One key in one region.
#[derive(Default)]
struct Seen {
    /// What is on its way or has come: when, and what.
    arrivals: Vec<(Millis, Bytes)>,
    /// What was looked up, and until when that is answered.
    cached: Option<(Option<Bytes>, Millis)>,
}

impl Kv {
    #[must_use]
    pub fn new(regions: usize) -> Self {
        Self { regions: (0..regions).map(|_| BTreeMap::new()).collect() }
    }

    /// Stores a value that comes to region `n` at `arrivals[n]`.
    pub fn put(&mut self, key: &str, value: &[u8], arrivals: &[Millis]) {
        let value: Bytes = value.into();
        for (region, at) in self.regions.iter_mut().zip(arrivals) {
            region.entry(key.to_owned()).or_default().arrivals.push((*at, Rc::clone(&value)));
        }
    }

    /// What the region answers; a fresh look-up is kept until `keep_until`.
    pub fn get(&mut self, region: usize, key: &str, now: Millis, keep_until: Millis) -> Option<Bytes> {
        let seen = self.regions.get_mut(region)?.entry(key.to_owned()).or_default();
        if let Some((value, until)) = &seen.cached
            && now < *until
        {
            return value.clone();
        }
        // What came last stands, whenever it was sent.
        let last = seen
            .arrivals
            .iter()
            .enumerate()
            .filter(|(_, (at, _))| *at <= now)
            .max_by_key(|(place, (at, _))| (*at, *place));
        let found = last.map(|(_, (at, value))| (*at, Rc::clone(value)));
        if let Some((stands_since, _)) = &found {
            seen.arrivals.retain(|(at, _)| at >= stands_since);
        }
        let value = found.map(|(_, value)| value);
        seen.cached = Some((value.clone(), keep_until));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Option<Bytes>) -> String {
        value.map_or_else(String::new, |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn a_put_comes_to_each_region_in_its_own_time() {
        let mut kv = Kv::new(2);
        kv.put("k", b"v", &[10, 70_000]);
        assert_eq!(text(kv.get(0, "k", 10, 0)), "v");
        assert_eq!(text(kv.get(1, "k", 69_999, 0)), "");
        assert_eq!(text(kv.get(1, "k", 70_000, 0)), "v");
    }

    #[test]
    fn an_older_put_that_comes_late_stands_until_the_next_one() {
        let mut kv = Kv::new(1);
        kv.put("k", b"old", &[50]);
        kv.put("k", b"new", &[20]);
        assert_eq!(text(kv.get(0, "k", 30, 0)), "new");
        assert_eq!(text(kv.get(0, "k", 50, 0)), "old");
        kv.put("k", b"newest", &[60]);
        assert_eq!(text(kv.get(0, "k", 60, 0)), "newest");
    }

    #[test]
    fn a_miss_is_kept_too() {
        let mut kv = Kv::new(1);
        assert_eq!(text(kv.get(0, "k", 5, 65)), "");
        kv.put("k", b"v", &[6]);
        assert_eq!(text(kv.get(0, "k", 64, 99)), "");
        assert_eq!(text(kv.get(0, "k", 65, 99)), "v");
    }
}
