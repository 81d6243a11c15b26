//! How a Worker sleeps, for its limits of time.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::WorkerGlobalScope;

use crate::deadline;

/// The result of `work`, or `None` when it is not there after `limit`.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    deadline::within(limit, Timer::start, work).await
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
