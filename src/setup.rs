//! First-run set-up: tickets (the secret part of the set-up link), and what a new tenant is made of.
//!
//! A ticket is minted from the root secret, names the issuer it is for, lives an hour, and works once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::backup::Refused;
use crate::context::Context;
use crate::error::{Error, Refusal};
use crate::keys::{mint, wrap};
use crate::platform::{Platform, UnixTime};
use crate::root::Roots;
use crate::seal::{KeyMaterial, Sealed};
use crate::store::keys::KeyRow;
use crate::store::tenants::{Registration, TenantRow};
use crate::tenant::Issuer;

/// Seconds for which a set-up link works.
pub const TICKET_LIFETIME: i64 = 3600;

/// Tickets belong to the deployment, not to a tenant.
const DEPLOYMENT: &str = "deployment";

/// What a ticket says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ticket {
    pub id: String,
    pub issuer: String,
    pub expires_at: UnixTime,
}

impl Sealed for Ticket {
    const PURPOSE: &'static str = "set-up-ticket";
}

/// A ticket for restoring a backup that has a tenant of this issuer. It opens as no other kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreTicket(pub Ticket);

impl Sealed for RestoreTicket {
    const PURPOSE: &'static str = "restore-ticket";
}

/// Why no ticket could be minted; for an operator's terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    RootSecretMalformed,
    IssuerRefused(&'static str),
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RootSecretMalformed => f.write_str("the root secret is not 32 bytes in base64url"),
            Self::IssuerRefused(why) => write!(f, "the issuer URL {why}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// Mints a set-up link's ticket on the operator's machine. `random` has to be fresh.
pub fn mint_ticket(root_secret: &str, issuer: &str, now: i64, random: [u8; 16]) -> Result<String, SetupError> {
    mint(root_secret, issuer, now, random, |ticket| ticket)
}

/// Mints a ticket for a restore. `random` has to be fresh.
pub fn mint_restore_ticket(root_secret: &str, issuer: &str, now: i64, random: [u8; 16]) -> Result<String, SetupError> {
    mint(root_secret, issuer, now, random, RestoreTicket)
}

fn mint<T: Sealed>(
    root_secret: &str,
    issuer: &str,
    now: i64,
    random: [u8; 16],
    kind: fn(Ticket) -> T,
) -> Result<String, SetupError> {
    let roots = Roots::parse(root_secret).map_err(|_| SetupError::RootSecretMalformed)?;
    let issuer = Issuer::parse(issuer).map_err(SetupError::IssuerRefused)?;
    let ticket = Ticket {
        id: URL_SAFE_NO_PAD.encode(random),
        issuer: issuer.url,
        expires_at: UnixTime(now).plus(TICKET_LIFETIME),
    };
    let mut nonce = [0; 24];
    for (place, byte) in nonce.iter_mut().zip(random) {
        *place = byte;
    }
    Ok(roots.seal(DEPLOYMENT, &kind(ticket), nonce))
}

/// Opens a ticket that is still good.
pub fn open_ticket(roots: &Roots, text: &str, now: UnixTime) -> Result<Ticket, Refusal> {
    let ticket: Ticket = roots.open(DEPLOYMENT, text).ok_or(Refusal::TicketInvalid)?;
    if now < ticket.expires_at { Ok(ticket) } else { Err(Refusal::TicketExpired) }
}

/// Opens a restore's ticket that is still good.
pub fn open_restore_ticket(roots: &Roots, text: &str, now: UnixTime) -> Result<Ticket, Refused> {
    let RestoreTicket(ticket) = roots.open(DEPLOYMENT, text).ok_or(Refused::TicketInvalid)?;
    if now < ticket.expires_at { Ok(ticket) } else { Err(Refused::TicketExpired) }
}

/// A new tenant, not stored yet.
pub struct Provisioned {
    pub tenant: TenantRow,
    pub keys: Vec<KeyRow>,
    pub pepper: KeyMaterial,
}

/// Makes a tenant's id, master and first keys.
pub async fn provision<P: Platform>(
    context: &Context<'_, P>,
    issuer: &Issuer,
    name: &str,
    registration: Registration,
) -> Result<Provisioned, Error> {
    let roots = crate::tenants::roots(context).await?;
    let id = context.random_id::<9>();
    let master = KeyMaterial::new(context.random());
    let keys = mint::first_keys(context, &id, &master, &[]).await?;
    let tenant = TenantRow {
        wrapped_master: wrap::wrap_master(&roots, &id, &master, context.random()),
        id,
        issuer: issuer.url.clone(),
        locator: issuer.locator.clone(),
        name: name.to_owned(),
        registration,
        version: 1,
        created_at: context.now(),
        disabled_at: None,
        regions: Vec::new(),
        wrapped_pepper: None,
    };
    let pepper = wrap::pepper(&master, &tenant)?;
    Ok(Provisioned { tenant, keys, pepper })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    #[test]
    fn a_ticket_opens_for_an_hour_and_under_its_root_only() {
        let text = mint_ticket(ROOT, "https://id.example.com", 1000, [9; 16]).unwrap();
        let root = Roots::parse(ROOT).unwrap();
        assert_eq!(open_ticket(&root, &text, UnixTime(4599)).unwrap().issuer, "https://id.example.com");
        assert_eq!(open_ticket(&root, &text, UnixTime(4600)).unwrap_err(), Refusal::TicketExpired);
        let other = Roots::parse("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE").unwrap();
        assert_eq!(open_ticket(&other, &text, UnixTime(1000)).unwrap_err(), Refusal::TicketInvalid);
    }

    #[test]
    fn no_ticket_for_a_bad_secret_or_issuer() {
        assert_eq!(mint_ticket("x", "https://id.example.com", 0, [0; 16]), Err(SetupError::RootSecretMalformed));
        assert!(matches!(mint_ticket(ROOT, "http://id.example.com", 0, [0; 16]), Err(SetupError::IssuerRefused(_))));
    }
}
