//! A clock that runs faster than the machine's, for tests of what takes minutes or more.

use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Error, anyhow};
use wasmtime_wasi::HostWallClock;

/// Agrees with the machine's at `start`, and runs `speed` times as fast from then on: the same in every process that is told
/// the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Since 1970.
    start: Duration,
    speed: u32,
}

impl Clock {
    fn at(self, machine: Duration) -> Duration {
        self.start + machine.saturating_sub(self.start) * self.speed
    }
}

impl FromStr for Clock {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || anyhow!("--clock needs the form STARTxSPEED, and {text:?} has not got it");
        let (start, speed) = text.split_once('x').ok_or_else(wrong)?;
        let start = Duration::from_millis(start.parse().map_err(|_| wrong())?);
        let speed = speed.parse().ok().filter(|speed| *speed > 0).ok_or_else(wrong)?;
        Ok(Self { start, speed })
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_at_its_start_and_runs_faster_from_then_on() {
        let clock: Clock = "5000x10".parse().unwrap();
        let at = |millis| clock.at(Duration::from_millis(millis)).as_millis();
        assert_eq!([at(5000), at(5001), at(65_000), at(4000)], [5000, 5010, 605_000, 5000]);
    }
}
