//! What the calls to a world cost: endpoints have budgets, and their tests read these numbers.

/// Calls since the world began or [`super::World::reset_counts`]. Calls that a [`super::Breakage`] spoils count too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// SQL round trips.
    pub sql_batches: usize,
    /// Statements in all batches.
    pub sql_statements: usize,
    /// Those of `sql_batches` that could not have written.
    pub sql_reads: usize,
    pub kv_gets: usize,
    pub kv_puts: usize,
    pub signs: usize,
    pub keys_generated: usize,
}

impl Counts {
    /// SQL round trips that could have written.
    #[must_use]
    pub fn sql_writes(self) -> usize {
        self.sql_batches - self.sql_reads
    }
}
