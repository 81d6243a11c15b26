//! Deadlines for what the host does for us.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::WorkerGlobalScope;

/// How finely limits of time are counted, however late each tick comes: while this isolate computes for another request it
/// hears of no answer, and that time must not end the wait for one.
const TICKS: u32 = 20;

/// The result of `work`, or `None` when it is not there after `limit`. What the host began it may still finish.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    for _ in 0..TICKS {
        let mut tick = pin!(Timer::start(limit / TICKS));
        let result = std::future::poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => tick.as_mut().poll(context).map(|()| None),
        })
        .await;
        if result.is_some() {
            return result;
        }
    }
    None
}

/// A running `setTimeout`, cleared when dropped. Unlike `worker::Delay` it wakes whoever polled it last, and the entry
/// point's first poll is not the last one.
struct Timer {
    state: Rc<RefCell<State>>,
    id: Option<i32>,
    _callback: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct State {
    over: bool,
    waker: Option<Waker>,
}

impl Timer {
    fn start(limit: Duration) -> Self {
        let state = Rc::<RefCell<State>>::default();
        let callback = Closure::new({
            let state = Rc::clone(&state);
            move || {
                let waker = {
                    let mut state = state.borrow_mut();
                    state.over = true;
                    state.waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        });
        // Without a timer, work takes as long as it takes.
        let id = scope()
            .set_timeout_with_callback_and_timeout_and_arguments_0(
                callback.as_ref().unchecked_ref(),
                i32::try_from(limit.as_millis()).unwrap_or(i32::MAX),
            )
            .ok();
        Self { state, id, _callback: callback }
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.over {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            scope().clear_timeout_with_handle(id);
        }
    }
}

fn scope() -> WorkerGlobalScope {
    js_sys::global().unchecked_into()
}
