//! Load: connections with one request at a time each, for a while.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::usage::Usage;
use super::wire::{Answer, Connection};

/// What one connection does.
pub trait Work: Send {
    /// The next request; `None` when there is no more to do.
    fn request(&mut self) -> Option<&[u8]>;

    /// Looks at the answer. An error counts as a failed request.
    fn answered(&mut self, answer: &Answer<'_>) -> Result<()>;
}

/// What happened in a while.
#[derive(Clone, Debug)]
pub struct Window {
    pub requests: u64,
    pub seconds: f64,
    pub usage: Usage,
}

impl Window {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Milliseconds of the serving process's CPU time per request.
    pub fn cpu(&self) -> f64 {
        self.usage.server * 1000.0 / self.requests as f64
    }

    /// Cores that the serving process kept busy. Its JavaScript has one.
    pub fn server_cores(&self) -> f64 {
        self.usage.server / self.seconds
    }

    pub fn generator_cores(&self) -> f64 {
        self.usage.generator / self.seconds
    }

    /// Cores that were busy with neither the one nor the other: noise.
    pub fn other_cores(&self) -> f64 {
        (self.usage.machine - self.usage.server - self.usage.generator).max(0.0) / self.seconds
    }
}

/// One connection's worker.
pub struct Lane {
    pub connection: Connection,
    pub work: Box<dyn Work>,
}

#[derive(Default)]
struct Tally {
    served: u64,
    failed: u64,
    first_failure: Option<anyhow::Error>,
}

/// Drives all lanes for `length`, or until they have nothing more to do. Any failed request fails the whole.
pub fn drive(lanes: &mut [Lane], server: u32, length: Duration) -> Result<Window> {
    lanes.iter_mut().try_for_each(|lane| lane.connection.renew())?;
    let barrier = Barrier::new(lanes.len() + 1);
    let (tallies, before, began) = std::thread::scope(|scope| {
        let threads: Vec<_> = lanes.iter_mut().map(|lane| scope.spawn(|| run(lane, &barrier, length))).collect();
        barrier.wait();
        let (before, began) = (Usage::now(server), Instant::now());
        let tallies: Vec<_> =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a lane panicked"))).collect();
        (tallies, before, began)
    });
    let seconds = began.elapsed().as_secs_f64();
    let usage = Usage::now(server)?.since(before?);
    let mut all = Tally::default();
    for tally in tallies {
        let tally = tally?;
        all.served += tally.served;
        all.failed += tally.failed;
        all.first_failure = all.first_failure.or(tally.first_failure);
    }
    if let Some(failure) = all.first_failure {
        return Err(failure.context(format!(
            "{} of {} requests failed; the first",
            all.failed,
            all.failed + all.served
        )));
    }
    if all.served == 0 {
        bail!("not one request was answered in {seconds:.1} s");
    }
    Ok(Window { requests: all.served, seconds, usage })
}

fn run(lane: &mut Lane, barrier: &Barrier, length: Duration) -> Tally {
    let mut tally = Tally::default();
    barrier.wait();
    let until = Instant::now() + length;
    while Instant::now() < until {
        let Some(request) = lane.work.request() else { break };
        let outcome = lane.connection.exchange(request);
        match outcome.and_then(|answer| lane.work.answered(&answer)) {
            Ok(()) => tally.served += 1,
            Err(error) => {
                tally.failed += 1;
                tally.first_failure.get_or_insert(error);
            }
        }
    }
    tally
}

/// The same request again and again; its answer has to have the status that it had when it was tried out.
pub struct Repeated {
    pub request: Vec<u8>,
    pub status: u16,
}

impl Work for Repeated {
    fn request(&mut self) -> Option<&[u8]> {
        Some(&self.request)
    }

    fn answered(&mut self, answer: &Answer<'_>) -> Result<()> {
        expect(answer, self.status)
    }
}

pub fn expect(answer: &Answer<'_>, status: u16) -> Result<()> {
    if answer.status != status {
        let text: String = answer.text().chars().take(300).collect();
        bail!("answered {} and not {status}: {text}", answer.status);
    }
    Ok(())
}

/// A string member of a flat JSON object, without parsing all of it.
pub fn member<'a>(json: &'a str, name: &str) -> Result<&'a str> {
    let found = json.split_once(&format!("\"{name}\":\"")).and_then(|(_, rest)| rest.split_once('"'));
    Ok(found.with_context(|| format!("the answer has no `{name}`"))?.0)
}
