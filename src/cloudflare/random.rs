//! Randomness of the runtime, fetched in one call for many requests: a call costs ten times what a request's few bytes do.

use std::cell::RefCell;

/// Enough for some tens of requests.
const POOL: usize = 1024;

/// Random bytes of which the last `left` have not been handed out. Those that have are zeroed.
struct Pool {
    bytes: [u8; POOL],
    left: usize,
}

thread_local! {
    static UNUSED: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], left: 0 }) };
}

pub(super) fn fill(bytes: &mut [u8]) {
    if bytes.len() > POOL {
        return fetch(bytes);
    }
    UNUSED.with_borrow_mut(|pool| {
        if pool.left < bytes.len() {
            fetch(&mut pool.bytes);
            pool.left = POOL;
        }
        let start = POOL - pool.left;
        for (to, from) in bytes.iter_mut().zip(pool.bytes.iter_mut().skip(start)) {
            *to = std::mem::take(from);
        }
        pool.left -= bytes.len();
    });
}

fn fetch(bytes: &mut [u8]) {
    #[expect(clippy::disallowed_methods, reason = "this is the platform's randomness")]
    let filled = getrandom::getrandom(bytes);
    // The runtime has no way to fail here, and to go on without randomness would be worse than to stop.
    assert!(filled.is_ok(), "no randomness");
}
