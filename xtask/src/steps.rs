//! Progress: numbered steps on stderr, each with what it is doing and how long it took.

use std::time::{Duration, Instant};

use anyhow::Result;

pub struct Steps {
    total: usize,
    begun: usize,
    started: Instant,
}

impl Steps {
    pub fn new(total: usize) -> Steps {
        Steps { total, begun: 0, started: Instant::now() }
    }

    /// Runs one step. What it returns is shown beside its duration, such as `up to date`.
    pub fn step(&mut self, title: &str, work: impl FnOnce() -> Result<String>) -> Result<()> {
        self.begun += 1;
        eprintln!("[{}/{}] {title}", self.begun, self.total);
        let started = Instant::now();
        let outcome = work()?;
        eprintln!("      {outcome} ({})", seconds(started.elapsed()));
        Ok(())
    }

    pub fn elapsed(&self) -> String {
        seconds(self.started.elapsed())
    }
}

/// A line about what the current step is doing.
pub fn note(text: &str) {
    eprintln!("      {text}");
}

pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}
