//! One change together with its audit row. The row decides whether the change happens (see `store/audit.rs`), so a batch that
//! is sent twice because its answer was lost changes something once and says the same both times.

use crate::context::Context;
use crate::error::Error;
use crate::platform::{Freshness, Platform, Statement};
use crate::store::audit::{self, AuditRow, Condition, Event};
use crate::store::first_row;

/// A change that is about to be made.
pub struct Change<'a> {
    tenant_id: &'a str,
    row: AuditRow<'a>,
}

impl<'a> Change<'a> {
    pub fn new<P: Platform>(context: &'a Context<'_, P>, tenant_id: &'a str, event: Event) -> Self {
        Self { tenant_id, row: context.audit(event) }
    }

    #[must_use]
    pub fn by(mut self, actor: &'a str) -> Self {
        self.row.actor = Some(actor);
        self
    }

    #[must_use]
    pub fn of_user(mut self, user_id: &'a str) -> Self {
        self.row.user_id = Some(user_id);
        self
    }

    #[must_use]
    pub fn of_client(mut self, client_id: &'a str) -> Self {
        self.row.client_id = Some(client_id);
        self
    }

    #[must_use]
    pub fn with_detail(mut self, detail: String) -> Self {
        self.row.detail = Some(detail);
        self
    }

    /// The id of the audit row, for statements that happen only if it is there.
    #[must_use]
    pub fn decision(&self) -> &str {
        &self.row.id
    }

    /// Writes the audit row under a condition: before what the condition is about is changed, or after it is made.
    #[must_use]
    pub fn decide(&self, condition: Condition<'_>) -> Statement {
        audit::insert_if(self.tenant_id, self.row.clone(), condition)
    }

    /// Runs the batch, which has to hold [`Change::decide`]; whether the change was made.
    pub async fn make<P: Platform>(&self, context: &Context<'_, P>, mut batch: Vec<Statement>) -> Result<bool, Error> {
        let asked = batch.len();
        batch.push(audit::recorded(self.tenant_id, &self.row.id));
        let answer = context.sql_idempotent(&batch, Freshness::Primary).await?;
        Ok(first_row(&answer, asked).is_some())
    }
}
