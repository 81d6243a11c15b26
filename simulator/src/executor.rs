//! Virtual time: tasks that wait for a moment or for each other, run one after the other in the order of their moments.
//!
//! Nothing here sleeps: when no task can go on, the clock jumps to the next moment that somebody waits for. Ties go to whoever
//! asked first, so a run is a function of what its tasks do.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Milliseconds since the world began.
pub type Millis = u64;

/// Names a task for as long as the world lasts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TaskId(u64);

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Clones are the same executor.
#[derive(Clone, Default)]
pub struct Executor(Rc<Inner>);

#[derive(Default)]
struct Inner {
    now: Cell<Millis>,
    asked: Cell<u64>,
    /// Who is to be polled when; a task may be in it several times.
    queue: RefCell<BinaryHeap<Reverse<(Millis, u64, TaskId)>>>,
    tasks: RefCell<BTreeMap<TaskId, Option<Task>>>,
    next_task: Cell<u64>,
    current: Cell<Option<TaskId>>,
    halted: Cell<bool>,
}

impl Executor {
    /// Ends [`Executor::run`] as soon as the running task gives way.
    pub fn halt(&self) {
        self.0.halted.set(true);
    }

    #[must_use]
    pub fn now(&self) -> Millis {
        self.0.now.get()
    }

    /// Begins a task; it is polled first when the running one gives way.
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) -> TaskId {
        let id = TaskId(self.0.next_task.replace(self.0.next_task.get() + 1));
        self.0.tasks.borrow_mut().insert(id, Some(Box::pin(work)));
        self.wake_at(self.now(), id);
        id
    }

    /// Drops everything: tasks hold the world and the world holds them.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.0.tasks.borrow_mut());
        drop(tasks);
        self.0.queue.borrow_mut().clear();
    }

    /// Drops a task where it stands. One that has ended is not missed.
    pub fn kill(&self, id: TaskId) {
        let task = self.0.tasks.borrow_mut().remove(&id);
        // Outside of the borrow: what it holds may wake others when it goes.
        drop(task);
    }

    pub async fn sleep(&self, duration: Millis) {
        self.sleep_until(self.now() + duration).await;
    }

    pub async fn sleep_until(&self, moment: Millis) {
        let mut asked = false;
        std::future::poll_fn(|_| {
            if self.now() >= moment {
                return Poll::Ready(());
            }
            if !asked {
                asked = true;
                self.wake_current_at(moment);
            }
            Poll::Pending
        })
        .await;
    }

    /// Runs `work` and all that it begins, until `work` is done; `None` when somebody halts it before. What is left then stays
    /// where it is.
    ///
    /// # Panics
    /// When `work` waits for something that nobody will do.
    pub fn run<T: 'static>(&self, work: impl Future<Output = T> + 'static) -> Option<T> {
        let done: Rc<RefCell<Option<T>>> = Rc::default();
        let result = Rc::clone(&done);
        self.spawn(async move {
            let output = work.await;
            *result.borrow_mut() = Some(output);
        });
        loop {
            if let Some(output) = done.borrow_mut().take() {
                return Some(output);
            }
            if self.0.halted.get() {
                return None;
            }
            let next = self.0.queue.borrow_mut().pop();
            let Some(Reverse((moment, _, id))) = next else {
                panic!("the world waits for something that nobody will do");
            };
            self.0.now.set(self.now().max(moment));
            self.poll(id);
        }
    }

    fn poll(&self, id: TaskId) {
        let taken = self.0.tasks.borrow_mut().get_mut(&id).and_then(Option::take);
        let Some(mut task) = taken else { return };
        self.0.current.set(Some(id));
        let polled = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.0.current.set(None);
        let mut tasks = self.0.tasks.borrow_mut();
        if polled.is_ready() {
            tasks.remove(&id);
        } else if let Some(place) = tasks.get_mut(&id) {
            *place = Some(task);
            return;
        }
        drop(tasks);
        drop(task);
    }

    fn wake_at(&self, moment: Millis, id: TaskId) {
        let asked = self.0.asked.replace(self.0.asked.get() + 1);
        self.0.queue.borrow_mut().push(Reverse((moment, asked, id)));
    }

    fn wake_current_at(&self, moment: Millis) {
        if let Some(id) = self.0.current.get() {
            self.wake_at(moment, id);
        }
    }
}

/// A place for one value that one task waits for and another one brings.
pub fn promise<T>(executor: &Executor) -> (Promise<T>, Awaited<T>) {
    let shared =
        Rc::new(Shared { executor: executor.clone(), state: RefCell::new(State::Open), waiting: Cell::new(None) });
    (Promise(Rc::clone(&shared)), Awaited(shared))
}

struct Shared<T> {
    executor: Executor,
    state: RefCell<State<T>>,
    waiting: Cell<Option<TaskId>>,
}

enum State<T> {
    Open,
    Kept(T),
    Broken,
}

/// Dropped without [`Promise::keep`] it is broken: whoever was to bring the value died.
pub struct Promise<T>(Rc<Shared<T>>);

pub struct Awaited<T>(Rc<Shared<T>>);

impl<T> Promise<T> {
    pub fn keep(self, value: T) {
        *self.0.state.borrow_mut() = State::Kept(value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.borrow_mut();
        if matches!(*state, State::Open) {
            *state = State::Broken;
        }
        drop(state);
        if let Some(id) = self.0.waiting.get() {
            self.0.executor.wake_at(self.0.executor.now(), id);
        }
    }
}

impl<T> Awaited<T> {
    /// The value; `None` when the promise is broken, or not kept before `patience` has passed.
    pub async fn within(self, patience: Millis) -> Option<T> {
        let executor = &self.0.executor;
        let until = executor.now() + patience;
        self.0.waiting.set(executor.0.current.get());
        executor.wake_current_at(until);
        std::future::poll_fn(|_| {
            let state = std::mem::replace(&mut *self.0.state.borrow_mut(), State::Open);
            match state {
                State::Kept(value) => Poll::Ready(Some(value)),
                State::Broken => Poll::Ready(None),
                State::Open if executor.now() >= until => Poll::Ready(None),
                State::Open => Poll::Pending,
            }
        })
        .await
    }
}

/// Runs futures side by side until all are done.
pub async fn all(executor: &Executor, works: Vec<Pin<Box<dyn Future<Output = ()>>>>) {
    let awaited: Vec<Awaited<()>> = works
        .into_iter()
        .map(|work| {
            let (promise, awaited) = promise(executor);
            executor.spawn(async move {
                work.await;
                promise.keep(());
            });
            awaited
        })
        .collect();
    for one in awaited {
        one.within(Millis::MAX / 2).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_where_somebody_waits_and_in_order() {
        let executor = Executor::default();
        let seen: Rc<RefCell<Vec<(Millis, u8)>>> = Rc::default();
        for (name, moments) in [(1_u8, [10, 10]), (2, [5, 15])] {
            let (executor, seen) = (executor.clone(), Rc::clone(&seen));
            executor.clone().spawn(async move {
                for moment in moments {
                    executor.sleep(moment).await;
                    seen.borrow_mut().push((executor.now(), name));
                }
            });
        }
        let end = executor.clone();
        executor.run(async move { end.sleep(100).await });
        // Two wait for 20; the one that asked first goes first.
        assert_eq!(*seen.borrow(), [(5, 2), (10, 1), (20, 2), (20, 1)]);
        assert_eq!(executor.now(), 100);
    }

    #[test]
    fn a_killed_task_is_dropped_where_it_stands_and_breaks_its_promise() {
        let executor = Executor::default();
        let (promise, awaited) = promise::<u8>(&executor);
        let sleeper = executor.clone();
        let id = executor.spawn(async move {
            sleeper.sleep(50).await;
            promise.keep(7);
        });
        let killer = executor.clone();
        executor.spawn(async move {
            killer.sleep(20).await;
            killer.kill(id);
        });
        assert_eq!(executor.run(awaited.within(1000)), Some(None));
        assert_eq!(executor.now(), 20);
    }

    #[test]
    fn patience_ends() {
        let executor = Executor::default();
        let (promise, awaited) = promise::<u8>(&executor);
        let late = executor.clone();
        executor.spawn(async move {
            late.sleep(50).await;
            promise.keep(7);
        });
        assert_eq!(executor.run(awaited.within(30)), Some(None));
        assert_eq!(executor.now(), 30);
    }
}
