//! Running futures where nothing really waits: to the end, or several at once in an order that a seed decides.
//!
//! Calls of [`super::MemoryPlatform`] that wait on a host give way once before they act, so everything that happens
//! between two such calls is one step, and [`interleave`] mixes the steps of its futures.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Runs a future to its end.
///
/// # Panics
/// When the future waits for something that nobody will do.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let woken = Woken::new();
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        assert!(woken.take(), "the future waits for something that nobody will do");
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
    }
}

/// Runs futures side by side: again and again one that can go on is chosen and polled once. The same seed chooses the
/// same order. Outputs are in the order of the futures.
///
/// # Panics
/// When those that are left wait for something that nobody will do.
pub fn interleave<F: Future>(futures: impl IntoIterator<Item = F>, seed: u64) -> Vec<F::Output> {
    let mut tasks: Vec<Task<F>> = futures.into_iter().map(Task::new).collect();
    let mut order = ChaCha8Rng::seed_from_u64(seed);
    while tasks.iter().any(|task| task.output.is_none()) {
        let mut ready: Vec<&mut Task<F>> = tasks.iter_mut().filter(|task| task.can_go_on()).collect();
        assert!(!ready.is_empty(), "the futures that are left wait for something that nobody will do");
        let chosen = order.next_u64() % ready.len() as u64;
        ready.swap_remove(chosen as usize).step();
    }
    tasks.into_iter().filter_map(|task| task.output).collect()
}

/// Gives way once.
pub(super) async fn give_way() {
    let mut gave_way = false;
    std::future::poll_fn(|context| {
        if gave_way {
            return Poll::Ready(());
        }
        gave_way = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct Task<F: Future> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
    output: Option<F::Output>,
}

impl<F: Future> Task<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), woken: Woken::new(), output: None }
    }

    fn can_go_on(&self) -> bool {
        self.output.is_none() && self.woken.0.load(Ordering::Relaxed)
    }

    fn step(&mut self) {
        self.woken.take();
        let waker = Waker::from(Arc::clone(&self.woken));
        if let Poll::Ready(output) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
            self.output = Some(output);
        }
    }
}

/// Whether a future has reason to be polled; true at first.
struct Woken(AtomicBool);

impl Woken {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    use super::*;

    /// The order in which three futures of three steps took them.
    fn steps_taken(seed: u64) -> Vec<(usize, usize)> {
        let taken = RefCell::new(Vec::new());
        let futures = (0..3).map(|future| {
            let taken = &taken;
            async move {
                for step in 0..3 {
                    give_way().await;
                    taken.borrow_mut().push((future, step));
                }
                future
            }
        });
        assert_eq!(interleave(futures, seed), [0, 1, 2]);
        taken.into_inner()
    }

    #[test]
    fn a_seed_decides_the_order() {
        assert_eq!(steps_taken(1), steps_taken(1));
        assert_ne!(steps_taken(1), steps_taken(2));
    }

    #[test]
    fn different_seeds_mix_the_steps_in_many_ways() {
        let orders: BTreeSet<_> = (0..100).map(steps_taken).collect();
        assert!(orders.len() > 80, "{} orders", orders.len());
    }

    #[test]
    fn a_future_may_wait_for_another() {
        let (said, heard) = std::sync::mpsc::channel();
        let listener: Pin<Box<dyn Future<Output = u8>>> = Box::pin(async move {
            loop {
                match heard.try_recv() {
                    Ok(word) => return word,
                    Err(_) => give_way().await,
                }
            }
        });
        let speaker = Box::pin(async move {
            give_way().await;
            said.send(7).map_or(0, |()| 1)
        });
        assert_eq!(interleave([listener, speaker], 3), [7, 1]);
    }

    #[test]
    #[should_panic(expected = "nobody will do")]
    fn waiting_for_nothing_panics_instead_of_hanging() {
        block_on(std::future::pending::<()>());
    }
}
