//! The seam between Vedette and the place it runs in: what the core asks of a host, as mechanisms and not as domain verbs,
//! so that one more host is one more implementation of [`Platform`].
//!
//! Everything here is host-neutral data. Time and randomness come only from a `Platform`; `clippy.toml` bans the ambient ones.

use std::fmt;
use std::future::Future;

use crate::jose::jwk::PublicJwk;

/// Whole seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// This time moved by `seconds`, stopping at the ends of the range.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this time; negative when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a host could not do for us. Never the client's fault: logged in full, answered as 503 / `temporarily_unavailable`
/// without detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The named secret is not configured.
    SecretMissing(SecretName),
    /// The named secret is configured with something that it cannot be.
    SecretMalformed(SecretName),
    /// The SQL database answered with an error (the text is for the log only).
    Sql(String),
    /// The SQL database did not answer in time. The batch may or may not have been applied.
    SqlTimeout,
    /// The database has no schema, or an older one than this code needs.
    SchemaOld { found: i64, needed: i64 },
    /// The key-value store failed.
    Kv(String),
    /// An outbound request failed.
    Outbound(String),
    /// The host's cryptography failed.
    Crypto(String),
    /// Something that we stored does not decode.
    Undecodable(String),
    /// No signing key is active for an algorithm.
    NoSigningKey(&'static str),
    /// The clock cannot be right (before 2020).
    Clock,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecretMissing(name) => write!(f, "the secret {name} is not set"),
            Self::SecretMalformed(SecretName::Root) => write!(
                f,
                "the secret {} is not 32 bytes in base64url, nor two of these with a comma between them",
                SecretName::Root
            ),
            Self::SecretMalformed(name) => write!(f, "the secret {name} has less than 16 characters"),
            Self::Sql(text) => write!(f, "SQL failed: {text}"),
            Self::SqlTimeout => write!(f, "SQL did not answer in time"),
            Self::SchemaOld { found, needed } => write!(
                f,
                "the database schema is version {found}, this build needs {needed}: on Workers run \
                 `npx wrangler d1 migrations apply DB --remote`; on Spin the component migrates by itself, so see its log"
            ),
            Self::Kv(text) => write!(f, "KV failed: {text}"),
            Self::Outbound(text) => write!(f, "an outbound request failed: {text}"),
            Self::Crypto(text) => write!(f, "cryptography failed: {text}"),
            Self::Undecodable(text) => write!(f, "a stored value does not decode: {text}"),
            Self::NoSigningKey(alg) => write!(f, "no active signing key for {alg}"),
            Self::Clock => write!(f, "the clock stands before 2020"),
        }
    }
}

/// Secrets that a deployment configures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretName {
    /// Wraps the tenants' master keys: base64url of 32 bytes.
    Root,
    /// What whoever may run maintenance presents: at least 16 characters.
    Maintenance,
}

impl SecretName {
    /// The name of the Workers secret; the Spin variable is the same in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Root => "ROOT_SECRET",
            Self::Maintenance => "MAINTENANCE_SECRET",
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Plain configuration variables; see the README's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    Surface,
    Region,
    HostAliases,
    ClientAddressHeader,
    Demo,
}

impl Variable {
    /// The name of the Workers variable; the Spin variable is the same in lower case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Surface => "SURFACE",
            Self::Region => "REGION",
            Self::HostAliases => "HOST_ALIASES",
            Self::ClientAddressHeader => "CLIENT_ADDRESS_HEADER",
            Self::Demo => "DEMO",
        }
    }
}

/// A string that must not be shown: its `Debug` prints `Secret(…)`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(pub String);

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Bytes that must not be shown: their `Debug` prints `Secret(…)`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(pub Vec<u8>);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A value of a bound parameter or of a column. There are no blobs: binary values are stored as base64url text.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    /// Only ever read: D1 answers every number as a double.
    Real(f64),
    Text(String),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Integer(i64::from(flag))
    }
}
impl From<UnixTime> for Value {
    fn from(time: UnixTime) -> Self {
        Self::Integer(time.0)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One SQL statement with `?1`-style parameters, in order. Its text is a constant of `store/`.
#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: &'static str,
    pub parameters: Vec<Value>,
    /// Whether it reads or writes whole tables, so that nobody expects it to be quick.
    pub bulk: bool,
}

impl Statement {
    #[must_use]
    pub fn new(sql: &'static str, parameters: Vec<Value>) -> Self {
        Self { sql, parameters, bulk: false }
    }

    #[must_use]
    pub fn in_bulk(self) -> Self {
        Self { bulk: true, ..self }
    }
}

/// What a batch answered: the rows of each statement, in order.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub rows: Vec<Vec<Row>>,
    /// Where the database stood after this batch, for later reads through [`Freshness::AtLeast`]. `None` where a host has
    /// a single database, or where [`Freshness::Primary`] did not ask for it.
    pub bookmark: Option<String>,
}

/// One row, its columns in the order of the statement. Every column of a statement has a name of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

/// How fresh a batch's reads have to be. A batch that writes always runs on the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness<'a> {
    /// The primary.
    Primary,
    /// The primary, and the answer carries a bookmark.
    PrimaryWithBookmark,
    /// Any replica that has seen the bookmark; any at all when there is none.
    AtLeast(Option<&'a str>),
}

/// Signature algorithms (RFC 7518 §3.1) that we sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Alg {
    RS256,
    PS256,
    ES256,
    /// With Ed25519 (RFC 8037 §3.1).
    EdDSA,
}

impl Alg {
    /// Every algorithm we sign with; discovery is made from this table.
    pub const ALL: [Self; 4] = [Self::RS256, Self::PS256, Self::ES256, Self::EdDSA];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether making a key takes so long that nobody should wait for it.
    #[must_use]
    pub fn is_slow_to_make(self) -> bool {
        matches!(self, Self::RS256 | Self::PS256)
    }

    /// The algorithm of that name, if we have it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.as_str() == name)
    }
}

/// A private key as a host made it: PKCS #8 DER, and the public half as SubjectPublicKeyInfo DER.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub pkcs8: SecretBytes,
    pub spki: Vec<u8>,
}

/// A private key to sign with. Hosts may keep an imported form of it under its `kid`, which is unique for all tenants
/// (an RFC 7638 thumbprint).
#[derive(Clone, Debug)]
pub struct PrivateKey {
    pub kid: String,
    pub alg: Alg,
    pub pkcs8: SecretBytes,
}

/// What the core asks of a host. Futures are not `Send`: both hosts run one thread an instance.
///
/// A `Platform` is cheap to clone and belongs to one request.
#[expect(async_fn_in_trait, reason = "single-threaded hosts; nobody names these futures")]
pub trait Platform: Clone + 'static {
    fn now(&self) -> UnixTime;
    fn fill_random(&self, bytes: &mut [u8]);
    async fn secret(&self, name: SecretName) -> Result<SecretText, Fault>;
    /// A plain configuration variable; `None` when it is not set or empty.
    async fn variable(&self, name: Variable) -> Option<String>;
    async fn kv_get(&self, key: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Expiry, where there is one, lives in the value.
    async fn kv_put(&self, key: &str, value: &[u8]) -> Result<(), Fault>;
    /// Runs the statements in order: one round trip, one transaction. Statements cannot see each other's answers except
    /// through SQL. On [`Fault::SqlTimeout`] the batch may have been applied.
    async fn sql(&self, batch: &[Statement], freshness: Freshness<'_>) -> Result<Answer, Fault>;
    async fn generate_key(&self, alg: Alg) -> Result<NewKey, Fault>;
    /// The JWS signature over `input` (for ES256 the 64-byte R‖S form of RFC 7518 §3.4).
    async fn sign(&self, key: &PrivateKey, input: &[u8]) -> Result<Vec<u8>, Fault>;
    /// Whether `signature` is the JWS signature of `key` over `input`, under the key's own algorithm. What a token says is
    /// never a fault; a key that does not decode is one. Hosts may keep an imported form of the key, and then compare all of it.
    async fn verify(&self, key: &PublicJwk, input: &[u8], signature: &[u8]) -> Result<bool, Fault>;
    /// Goes on with `work` after the response; never the only copy of anything.
    fn defer(&self, work: impl Future<Output = ()> + 'static);
    /// Writes one line to the host's log.
    fn log(&self, line: &str);
}
