//! The state directory of `cargo xtask dev`: its secrets, which issuer it was made for, and each host's own databases.
//!
//! ```text
//! DIR/root-secret          base64url of 32 random bytes, readable by its owner only
//! DIR/maintenance-secret   likewise: what POST /maintenance asks for
//! DIR/demo.json            with --demo: what a test or a person needs to sign in
//! DIR/HOST/issuer          the issuer that this host's databases were made for
//! DIR/HOST/clock           with --clock-speed: when this host's clock began to run faster
//! DIR/HOST/…               databases, stamps
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::cli::Host;

const ROOT_SECRET: &str = "root-secret";
pub const MAINTENANCE_SECRET: &str = "maintenance-secret";

pub struct State {
    directory: PathBuf,
    host: Host,
    lock: File,
}

impl State {
    /// Opens or makes the directory. Only one `cargo xtask dev` at a time has it.
    pub fn open(directory: &Path, host: Host) -> Result<State> {
        fs::create_dir_all(directory.join(host.name()))
            .with_context(|| format!("cannot make the state directory {}", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("cannot open the state directory {}", directory.display()))?;
        let lock =
            File::create(directory.join("lock")).with_context(|| format!("cannot write to {}", directory.display()))?;
        if lock.try_lock().is_err() {
            bail!(
                "{} is in use by another `cargo xtask dev`: stop that one, or use another directory with --state",
                directory.display()
            );
        }
        Ok(State { directory, host, lock })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What belongs to one host: the two keep their databases apart.
    pub fn host_directory(&self) -> PathBuf {
        self.directory.join(self.host.name())
    }

    pub fn root_secret(&self) -> Result<String> {
        self.made_once(ROOT_SECRET)?;
        read_root_secret(&self.directory)
    }

    pub fn maintenance_secret(&self) -> Result<String> {
        let path = self.made_once(MAINTENANCE_SECRET)?;
        let secret = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(secret.trim().to_owned())
    }

    fn made_once(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        if !path.exists() {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).context("the system gives no randomness")?;
            write_private(&path, &BASE64_URL_SAFE_NO_PAD.encode(bytes))?;
        }
        Ok(path)
    }

    /// When this host's clock began to run at another speed, in milliseconds since 1970. Kept, so that the time of its
    /// databases never goes back.
    pub fn clock_start(&self) -> Result<u64> {
        let path = self.host_directory().join("clock");
        if !path.exists() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the machine's clock is not set")?;
            fs::write(&path, now.as_millis().to_string())
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.trim().parse().with_context(|| format!("{} is not a number of milliseconds", path.display()))
    }

    /// The issuer to run as: the one asked for, else the one remembered, else the one that the port makes.
    /// An issuer is part of every token and of the tenant's row, so a directory keeps the one that it was made for.
    pub fn settle_issuer(&self, wanted: Option<&str>, port: u16) -> Result<String> {
        let by_port = local_issuer(port);
        let Some(remembered) = self.remembered_issuer()? else {
            return Ok(wanted.map_or(by_port, str::to_owned));
        };
        let directory = self.directory.display();
        match wanted {
            Some(wanted) if wanted != remembered => bail!(
                "{directory} was made for the issuer {remembered}: drop `--issuer {wanted}`, or give it a directory of its own with --state"
            ),
            None if remembered != by_port => match port_of_local_issuer(&remembered) {
                Some(first) => bail!(
                    "{directory} was made for port {first}: run it with `--port {first}`, or give port {port} a directory of its own with --state"
                ),
                None => Ok(remembered),
            },
            _ => Ok(remembered),
        }
    }

    /// Called when the issuer runs, so that a start that failed binds nobody to its port.
    pub fn remember_issuer(&self, issuer: &str) -> Result<()> {
        let path = self.issuer_file();
        fs::write(&path, issuer).with_context(|| format!("cannot write {}", path.display()))
    }

    fn remembered_issuer(&self) -> Result<Option<String>> {
        let path = self.issuer_file();
        match fs::read_to_string(&path) {
            Ok(issuer) => Ok(Some(issuer)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn issuer_file(&self) -> PathBuf {
        self.host_directory().join("issuer")
    }
}

/// Said, not left to the file's closing: a process that another thread is just starting holds the file open for a moment.
impl Drop for State {
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

pub fn local_issuer(port: u16) -> String {
    format!("http://localhost:{port}")
}

fn port_of_local_issuer(issuer: &str) -> Option<u16> {
    issuer.strip_prefix("http://localhost:")?.parse().ok()
}

/// The root secret of a directory that `cargo xtask dev` has made.
pub fn read_root_secret(directory: &Path) -> Result<String> {
    let path = directory.join(ROOT_SECRET);
    let secret =
        fs::read_to_string(&path).with_context(|| format!("cannot read the root secret {}", path.display()))?;
    Ok(secret.trim().to_owned())
}

/// Writes a file that nobody but its owner can read, whole or not at all.
pub fn write_private(path: &Path, contents: &str) -> Result<()> {
    let draft = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&draft);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(contents.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("vedette-state-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    #[test]
    fn secrets_are_made_once_and_for_their_owner_only() -> Result<()> {
        let directory = scratch("secret");
        let state = State::open(&directory, Host::Spin)?;
        let secrets = [state.root_secret()?, state.maintenance_secret()?];
        assert_ne!(secrets[0], secrets[1]);
        assert_eq!([state.root_secret()?, state.maintenance_secret()?], secrets);
        for (name, secret) in [ROOT_SECRET, MAINTENANCE_SECRET].into_iter().zip(&secrets) {
            assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(secret)?.len(), 32);
            assert_eq!(fs::metadata(directory.join(name))?.permissions().mode() & 0o777, 0o600);
        }
        Ok(fs::remove_dir_all(directory)?)
    }

    #[test]
    fn a_clock_goes_on_where_it_was() -> Result<()> {
        let directory = scratch("clock");
        let state = State::open(&directory, Host::Spin)?;
        let start = state.clock_start()?;
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(state.clock_start()?, start);
        Ok(fs::remove_dir_all(directory)?)
    }

    #[test]
    fn a_directory_has_one_user_at_a_time() -> Result<()> {
        let directory = scratch("lock");
        let first = State::open(&directory, Host::Spin)?;
        assert!(State::open(&directory, Host::Cloudflare).is_err());
        drop(first);
        assert!(State::open(&directory, Host::Cloudflare).is_ok());
        Ok(fs::remove_dir_all(directory)?)
    }

    #[test]
    fn a_directory_keeps_the_issuer_that_ran_in_it() -> Result<()> {
        let directory = scratch("issuer");
        let state = State::open(&directory, Host::Cloudflare)?;
        assert_eq!(state.settle_issuer(None, 9000)?, "http://localhost:9000");
        state.remember_issuer("http://localhost:9000")?;
        assert_eq!(state.settle_issuer(None, 9000)?, "http://localhost:9000");
        let refusal = state.settle_issuer(None, 8787).map_err(|error| error.to_string());
        assert!(refusal.is_err_and(|text| text.contains("--port 9000")));
        let refusal = state.settle_issuer(Some("https://op.test"), 9000).map_err(|error| error.to_string());
        assert!(refusal.is_err_and(|text| text.contains("http://localhost:9000")));
        Ok(fs::remove_dir_all(directory)?)
    }

    #[test]
    fn an_issuer_behind_a_proxy_stays_when_the_port_changes() -> Result<()> {
        let directory = scratch("proxy");
        let state = State::open(&directory, Host::Cloudflare)?;
        let settled = state.settle_issuer(Some("https://op.test/t/acme"), 8787)?;
        assert_eq!(settled, "https://op.test/t/acme");
        state.remember_issuer(&settled)?;
        assert_eq!(state.settle_issuer(None, 9000)?, "https://op.test/t/acme");
        Ok(fs::remove_dir_all(directory)?)
    }
}
