//! Set-up links: `{issuer}/setup?ticket=…`, minted on the operator's machine from the root secret.

use std::env::VarError;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};

use crate::cli::SetupLinkOptions;
use crate::state;

pub fn command(options: &SetupLinkOptions) -> Result<()> {
    let secret = root_secret(options.state.as_deref())?;
    println!("{}", link(&secret, &options.issuer)?);
    Ok(())
}

/// From the state directory that was named, else from the environment.
pub fn root_secret(state: Option<&Path>) -> Result<String> {
    match (state, std::env::var("ROOT_SECRET")) {
        (Some(directory), _) => state::read_root_secret(directory),
        (None, Ok(secret)) => Ok(secret.trim().to_owned()),
        (None, Err(VarError::NotUnicode(_))) => bail!("ROOT_SECRET is not text"),
        // Never an argument: arguments are in the shell's history and in every user's list of processes.
        (None, Err(VarError::NotPresent)) => {
            bail!(
                "put the deployment's root secret into the environment variable ROOT_SECRET, or name a state directory with --state"
            )
        }
    }
}

/// A link that is good for one hour and one use.
pub fn link(root_secret: &str, issuer: &str) -> Result<String> {
    Ok(format!("{issuer}/setup?ticket={}", ticket(root_secret, issuer)?))
}

pub fn ticket(root_secret: &str, issuer: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("the system gives no randomness")?;
    vedette::setup::mint_ticket(root_secret, issuer, now.as_secs().try_into()?, random)
        .map_err(|error| anyhow!("cannot mint a set-up link: {error}"))
}
