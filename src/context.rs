//! What one request carries through the core: its platform, its counters, and the shortcuts over them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::configuration::Configuration;
use crate::error::Error;
use crate::isolate::Isolate;
use crate::platform::{Answer, Fault, Freshness, Platform, Statement, UnixTime};
use crate::store::audit::{AuditRow, Event};

/// The context of one request. Every call to a binding goes through it, so that the log line can say what was spent.
pub struct Context<'a, P> {
    pub platform: &'a P,
    pub isolate: &'a Rc<Isolate>,
    /// Random, for the log, the audit and error pages.
    pub request_id: String,
    pub client_address: Option<String>,
    pub spent: Spent,
    /// Which tenant it was, for the log line.
    pub tenant_id: RefCell<Option<String>>,
    /// Why the request was not served, for the log line.
    pub trouble: RefCell<Option<Error>>,
    /// Until when the answer is right, when it depends on nothing but the address ([`crate::http::Reuse`]).
    pub right_until: Cell<Option<UnixTime>>,
}

/// Round trips of this request.
#[derive(Default, Debug)]
pub struct Spent {
    pub sql: Cell<u32>,
    pub kv: Cell<u32>,
}

impl Spent {
    #[must_use]
    pub fn anything(&self) -> bool {
        self.sql.get() + self.kv.get() > 0
    }
}

impl<'a, P: Platform> Context<'a, P> {
    pub fn new(platform: &'a P, isolate: &'a Rc<Isolate>, client_address: Option<String>) -> Self {
        let mut context = Self {
            platform,
            isolate,
            request_id: String::new(),
            client_address,
            spent: Spent::default(),
            tenant_id: RefCell::new(None),
            trouble: RefCell::new(None),
            right_until: Cell::new(None),
        };
        context.request_id = context.random_id::<12>();
        context
    }

    pub fn now(&self) -> UnixTime {
        self.platform.now()
    }

    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.platform.fill_random(&mut bytes);
        bytes
    }

    /// The deployment's variables, read once an isolate.
    pub async fn configuration(&self) -> Rc<Configuration> {
        Configuration::of(self.platform, self.isolate).await
    }

    /// `N` random bytes in base64url.
    pub fn random_id<const N: usize>(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.random::<N>())
    }

    /// Keeps an error for the log line: for answers that are errors without being `Err`, such as redirects.
    pub fn note(&self, error: &Error) {
        *self.trouble.borrow_mut() = Some(error.clone());
    }

    /// An audit row of this request, to be completed with `..`.
    pub fn audit(&self, event: Event) -> AuditRow<'_> {
        AuditRow {
            id: self.random_id::<12>(),
            at: self.now(),
            event,
            actor: None,
            user_id: None,
            client_id: None,
            address: self.client_address.as_deref(),
            request_id: &self.request_id,
            detail: None,
        }
    }

    /// One round trip, not repeated: for reads, and for writes whose repetition would count twice.
    pub async fn sql(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        let mut answer = self.sql_once(batch, freshness).await;
        // A bookmark may be of the database that this one was restored from; the primary needs none.
        if matches!((freshness, &answer), (Freshness::AtLeast(Some(_)), Err(Fault::Sql(_) | Fault::SqlTimeout))) {
            answer = self.sql_once(batch, Freshness::PrimaryWithBookmark).await;
        }
        let answer = answer.map_err(recognise_old_schema)?;
        if answer.rows.len() == batch.len() {
            Ok(answer)
        } else {
            Err(Fault::Sql(format!("{} answers to {} statements", answer.rows.len(), batch.len())))
        }
    }

    async fn sql_once(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        self.spent.sql.set(self.spent.sql.get() + 1);
        self.platform.sql(batch, freshness).await
    }

    /// As [`Context::sql`], but when the answer is lost the same batch is sent once more: for batches that recognise
    /// themselves by an attempt id or change nothing the second time.
    pub async fn sql_idempotent(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault> {
        match self.sql(batch, freshness).await {
            Err(Fault::SqlTimeout | Fault::Sql(_)) => self.sql(batch, freshness).await,
            answer => answer,
        }
    }

    pub async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.spent.kv.set(self.spent.kv.get() + 1);
        self.platform.kv_get(key).await
    }
}

/// SQLite says it in words only; D1 passes them on.
fn recognise_old_schema(fault: Fault) -> Fault {
    match fault {
        Fault::Sql(text) if text.contains("no such table") || text.contains("no such column") => {
            Fault::SchemaOld { found: 0, needed: crate::store::SCHEMA_VERSION }
        }
        other => other,
    }
}
