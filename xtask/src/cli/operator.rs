//! The command lines of what an operator does to a deployment: back-up, restore, another root secret.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use super::{Command, issuer};

const ACCESS_HELP: &str = "\
Who asks is the operator client that set-up showed, in the environment variables OPERATOR_CLIENT_ID and OPERATOR_CLIENT_SECRET,
or in a JSON file with client_id and client_secret (--credentials FILE). With --state DIR it is the demo's.

  --issuer URL         the issuer's URL
  --at URL             where the management API is, if not at the issuer's URL
  --credentials FILE   the operator client's id and secret
  --state DIR          a directory that `cargo xtask dev --demo` made
";

const BACKUP_HELP: &str = "\
cargo xtask backup --issuer URL --out FILE [--without-audit]

Writes everything that the deployment has in SQL, keys included, to a new file, sealed under its root secret.

  --without-audit      leave the audit out, which grows with every sign-in
";

const RESTORE_HELP: &str = "\
cargo xtask restore --issuer URL FILE

Makes a backup the data of a deployment that has none yet. The root secret is read from the environment variable ROOT_SECRET, or
from --state DIR; it has to be the one that the deployment has, and the one that the backup was made under.

  --issuer URL         an issuer that is in the backup
  --at URL             where the deployment is reached, if not at the issuer's URL
  --state DIR          a directory that `cargo xtask dev` made
";

const ROOT_SECRET_HELP: &str = "\
cargo xtask root-secret new                            print a fresh root secret
cargo xtask root-secret status --issuer URL            say at which step a change is, and what comes next
cargo xtask root-secret rewrap --issuer URL            wrap every tenant's master under the root that seals
cargo xtask root-secret replace-masters --issuer URL --new ID
                                                       after a leak: new masters and keys; everybody signs in again

  --new ID             the id of the new root secret, as `new` printed it
  --cursor CURSOR      where `replace-masters` goes on, as it said when it was cut short

docs/operations/root-secret.md has the steps.
";

/// How the management API is reached, and as whom.
#[derive(Debug)]
pub struct Access {
    pub issuer: String,
    pub at: Option<String>,
    pub credentials: Option<PathBuf>,
    pub state: Option<PathBuf>,
}

pub struct BackupOptions {
    pub access: Access,
    pub out: PathBuf,
    pub audit: bool,
}

pub struct RestoreOptions {
    pub access: Access,
    pub file: PathBuf,
}

pub enum RootSecretOptions {
    New,
    Status { access: Access, new: Option<String> },
    Rewrap { access: Access },
    ReplaceMasters { access: Access, new: String, cursor: Option<String> },
}

/// What was typed, whichever of the commands it is for.
#[derive(Default)]
struct Typed {
    issuer: Option<String>,
    at: Option<String>,
    credentials: Option<PathBuf>,
    state: Option<PathBuf>,
    out: Option<PathBuf>,
    without_audit: bool,
    new: Option<String>,
    cursor: Option<String>,
    values: Vec<PathBuf>,
    help: bool,
}

impl Typed {
    /// Of the flags only those that the command has.
    fn read(mut parser: lexopt::Parser, flags: &[&str]) -> Result<Typed> {
        let mut typed = Typed::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("help") | Short('h') => typed.help = true,
                Long("issuer") => typed.issuer = Some(issuer(&mut parser)?),
                Long("at") => typed.at = Some(address(&mut parser)?),
                Long("state") => typed.state = Some(PathBuf::from(parser.value()?)),
                Long("credentials") if flags.contains(&"credentials") => {
                    typed.credentials = Some(PathBuf::from(parser.value()?))
                }
                Long("out") if flags.contains(&"out") => typed.out = Some(PathBuf::from(parser.value()?)),
                Long("without-audit") if flags.contains(&"without-audit") => typed.without_audit = true,
                Long("new") if flags.contains(&"new") => typed.new = Some(parser.value()?.string()?),
                Long("cursor") if flags.contains(&"cursor") => typed.cursor = Some(parser.value()?.string()?),
                Value(value) if flags.contains(&"FILE") && typed.values.is_empty() => typed.values.push(value.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(typed)
    }

    fn access(&mut self, command: &str) -> Result<Access> {
        let issuer = self.issuer.take().with_context(|| {
            format!("say which deployment it is about: cargo xtask {command} --issuer https://id.example.com")
        })?;
        Ok(Access { issuer, at: self.at.take(), credentials: self.credentials.take(), state: self.state.take() })
    }
}

pub fn backup(parser: lexopt::Parser) -> Result<Command> {
    let mut typed = Typed::read(parser, &["credentials", "out", "without-audit"])?;
    if typed.help {
        return Ok(Command::Help(format!("{BACKUP_HELP}\n{ACCESS_HELP}")));
    }
    let access = typed.access("backup")?;
    let out = typed.out.context("say where to write it: --out FILE")?;
    Ok(Command::Backup(BackupOptions { access, out, audit: !typed.without_audit }))
}

pub fn restore(parser: lexopt::Parser) -> Result<Command> {
    let mut typed = Typed::read(parser, &["FILE"])?;
    if typed.help {
        return Ok(Command::Help(RESTORE_HELP.to_owned()));
    }
    let access = typed.access("restore")?;
    let file = typed.values.pop().context("say what to restore: cargo xtask restore --issuer URL FILE")?;
    Ok(Command::Restore(RestoreOptions { access, file }))
}

pub fn root_secret(mut parser: lexopt::Parser) -> Result<Command> {
    let help = || Ok(Command::Help(format!("{ROOT_SECRET_HELP}\n{ACCESS_HELP}")));
    let Some(first) = parser.next()? else { return help() };
    let action = match first {
        Value(action) => action.string()?,
        Long("help") | Short('h') => return help(),
        other => return Err(other.unexpected().into()),
    };
    let flags: &[&str] = match action.as_str() {
        "status" => &["credentials", "new"],
        "replace-masters" => &["credentials", "new", "cursor"],
        _ => &["credentials"],
    };
    let mut typed = Typed::read(parser, flags)?;
    if typed.help {
        return help();
    }
    let mut access = || typed.access(&format!("root-secret {action}"));
    let options = match action.as_str() {
        "new" => RootSecretOptions::New,
        "status" => RootSecretOptions::Status { access: access()?, new: typed.new },
        "rewrap" => RootSecretOptions::Rewrap { access: access()? },
        "replace-masters" => RootSecretOptions::ReplaceMasters {
            access: access()?,
            new: typed
                .new
                .context("name the root secret that has not leaked: --new ID, as `root-secret new` printed it")?,
            cursor: typed.cursor,
        },
        other => bail!("there is no `root-secret {other}`; there are new, status, rewrap and replace-masters"),
    };
    Ok(Command::RootSecret(options))
}

/// Without its last slash, as paths are appended to it.
fn address(parser: &mut lexopt::Parser) -> Result<String> {
    let value = parser.value()?.string()?;
    match url::Url::parse(&value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none() => {
            Ok(value.trim_end_matches('/').to_owned())
        }
        _ => bail!("--at takes a URL such as https://admin.example.com, not `{value}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command> {
        super::super::parse(lexopt::Parser::from_args(arguments.iter().copied()))
    }

    fn refusal(arguments: &[&str]) -> String {
        match parsed(arguments) {
            Ok(_) => panic!("{arguments:?} was accepted"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn what_is_missing_is_asked_for() {
        let issuer = ["--issuer", "https://id.example.com"];
        assert!(refusal(&["backup", "--out", "x"]).contains("--issuer https://id.example.com"));
        assert!(refusal(&["backup", issuer[0], issuer[1]]).contains("--out FILE"));
        assert!(refusal(&["restore", issuer[0], issuer[1]]).contains("FILE"));
        assert!(refusal(&["restore", issuer[0], issuer[1], "a", "b"]).contains('b'));
        assert!(refusal(&["root-secret", "status"]).contains("root-secret status --issuer"));
        assert!(refusal(&["root-secret", "replace-masters", issuer[0], issuer[1]]).contains("--new ID"));
        assert!(refusal(&["root-secret", "rotate"]).contains("rewrap"));
    }

    #[test]
    fn secrets_are_not_taken_from_the_command_line() {
        assert!(refusal(&["restore", "--root-secret", "x"]).contains("--root-secret"));
        assert!(refusal(&["backup", "--client-secret", "x"]).contains("--client-secret"));
    }

    #[test]
    fn an_address_loses_its_last_slash() {
        let arguments = ["restore", "--issuer", "https://id.example.com", "--at", "http://127.0.0.1:8787/", "FILE"];
        let Ok(Command::Restore(options)) = parsed(&arguments) else { panic!("not restore") };
        assert_eq!(options.access.at.as_deref(), Some("http://127.0.0.1:8787"));
        assert!(refusal(&["restore", "--issuer", "https://id.example.com", "--at", "admin"]).contains("--at takes"));
    }
}
