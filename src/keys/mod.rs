//! The life of signing keys (design.md §5): a pure schedule, wrapping, and making them.

pub mod mint;
pub mod schedule;
pub mod wrap;
