//! Limits of time for what a host does for us. Each host brings its own way to sleep.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// How finely limits are counted.
const TICKS: u32 = 20;

/// The result of `work`, or `None` when it is not there after `limit`; then `work` is dropped, and what the host began for it the
/// host may still finish.
///
/// The limit is counted in ticks, however late each of them comes: while this instance computes for another request it asks
/// nobody how far they are, and that time must not end them. Otherwise one key in the making failed every request beside it.
pub async fn within<T, S: Future>(
    limit: Duration,
    sleep: impl Fn(Duration) -> S,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..TICKS {
        let mut tick = pin!(sleep(limit / TICKS));
        let result = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => tick.as_mut().poll(context).map(|_| None),
        })
        .await;
        if result.is_some() {
            return result;
        }
    }
    None
}
