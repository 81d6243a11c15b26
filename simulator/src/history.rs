//! What happened, as far as somebody may have to read it: one line an event, with the things that it is about.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use crate::executor::Millis;

/// Something that events are about. Numbers count from 1 in each world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Thing {
    Tenant(usize),
    User(usize),
    Client(usize),
    Session(usize),
    Code(usize),
    Grant(usize),
    Access(usize),
    Refresh(usize),
    Key(usize),
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(n) => write!(f, "tenant {n}"),
            Self::User(n) => write!(f, "user {n}"),
            Self::Client(n) => write!(f, "client {n}"),
            Self::Session(n) => write!(f, "session {n}"),
            Self::Code(n) => write!(f, "code {n}"),
            Self::Grant(n) => write!(f, "grant {n}"),
            Self::Access(n) => write!(f, "access token {n}"),
            Self::Refresh(n) => write!(f, "refresh token {n}"),
            Self::Key(n) => write!(f, "key {n}"),
        }
    }
}

/// Lines of a history that is longer than this are left out of its middle.
const LINES_AT_MOST: usize = 60;

#[derive(Default)]
pub struct History {
    events: Vec<Event>,
}

struct Event {
    at: Millis,
    place: String,
    things: Vec<Thing>,
    text: String,
}

impl History {
    pub fn note(&mut self, at: Millis, place: String, things: Vec<Thing>, text: String) {
        self.events.push(Event { at, place, things, text });
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events that are about any of these things.
    #[must_use]
    pub fn about(&self, things: &BTreeSet<Thing>) -> String {
        let lines: Vec<&Event> =
            self.events.iter().filter(|event| event.things.iter().any(|thing| things.contains(thing))).collect();
        let mut text = String::new();
        let left_out = lines.len().saturating_sub(LINES_AT_MOST);
        let head = if left_out == 0 { lines.len() } else { LINES_AT_MOST / 3 };
        for (number, event) in lines.iter().enumerate() {
            if number == head && left_out > 0 {
                let _ = writeln!(text, "  … {left_out} more …");
            }
            if number < head || number >= head + left_out {
                let _ = writeln!(text, "  {}  {:<26} {}", clock(event.at), event.place, event.text);
            }
        }
        text
    }

    /// All of it, for comparing runs.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = String::new();
        for event in &self.events {
            let _ = writeln!(text, "{}  {:<26} {}", clock(event.at), event.place, event.text);
        }
        text
    }
}

/// Days and time of day since the world began.
#[must_use]
pub fn clock(at: Millis) -> String {
    let (seconds, millis) = (at / 1000, at % 1000);
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{days:>3}d {hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_the_things_is_told_and_not_too_much_of_it() {
        let mut history = History::default();
        for number in 0..100 {
            history.note(number, "here".to_owned(), vec![Thing::Grant(1)], format!("event {number}"));
            history.note(number, "there".to_owned(), vec![Thing::Grant(2)], "another".to_owned());
        }
        let told = history.about(&BTreeSet::from([Thing::Grant(1)]));
        assert!(told.contains("event 0") && told.contains("event 99") && told.contains("… 40 more …"), "{told}");
        assert!(!told.contains("another"));
        assert_eq!(told.lines().count(), LINES_AT_MOST + 1);
    }

    #[test]
    fn moments_are_written_in_days() {
        assert_eq!(clock(86_400_000 + 3_661_007), "  1d 01:01:01.007");
    }
}
