//! `cargo xtask backup` and `cargo xtask restore`: a deployment's data in a file, and back into an empty deployment.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use vedette::backup::{Header, LARGEST_BUNDLE};
use vedette::root::Roots;

use crate::cli::{BackupOptions, RestoreOptions};
use crate::operator::{self, Operator};
use crate::setup_link;

pub fn backup(options: BackupOptions) -> Result<()> {
    if options.out.exists() {
        bail!("{} exists; a backup is never written over anything", options.out.display());
    }
    let operator = Operator::sign_in(options.access)?;
    let path = if options.audit { "/admin/api/backup" } else { "/admin/api/backup?audit=0" };
    let answer = operator.client().download(path, operator.token(), LARGEST_BUNDLE as u64)?;
    let bundle = answer.map_err(|refusal| {
        let whose = if matches!(refusal.status, 401 | 403) {
            " Is the client the operator client that set-up made, and this the issuer that it was made with?"
        } else {
            ""
        };
        anyhow!("there is no backup: {}{whose}", said(refusal.status, &refusal.body))
    })?;
    let header = header(&bundle).context("what the deployment answered is not a backup")?;
    write_new(&options.out, &bundle)?;
    println!("{} has {}", options.out.display(), described(&header));
    println!("Only the root secret {} opens it: keep that one as long as the file, and not beside it.", header.root_id);
    Ok(())
}

pub fn restore(options: &RestoreOptions) -> Result<()> {
    let access = &options.access;
    let bundle = fs::read(&options.file).with_context(|| format!("cannot read {}", options.file.display()))?;
    let header = header(&bundle).with_context(|| format!("{} is not a backup", options.file.display()))?;
    let secret = setup_link::root_secret(access.state.as_deref())?;
    check_root(&header, &secret)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("the system gives no randomness")?;
    let ticket = vedette::setup::mint_restore_ticket(&secret, &access.issuer, now.as_secs().try_into()?, random)
        .map_err(|error| anyhow!("cannot mint a ticket: {error}"))?;
    println!("restoring {}", described(&header));
    let client = operator::client(access);
    let answer = client.upload("/setup/restore", &ticket, &bundle)?;
    match answer.status {
        200 => println!(
            "restored. What was revoked, changed or rotated after {} is as it was then: docs/operations/backup.md says what to do about it.",
            moment(header.created_at.0)
        ),
        403 => bail!(
            "nothing was restored: {} does not take the ticket that was minted here. Is ROOT_SECRET here the one that the deployment \
             has, and are both clocks right?",
            access.at.as_deref().unwrap_or(&access.issuer)
        ),
        503 => bail!("nothing was restored: {}{}", said(answer.status, &answer.body), operator::unwell(&client)),
        status => bail!("nothing was restored: {}", said(status, &answer.body)),
    }
    Ok(())
}

/// The line in clear of a bundle.
fn header(bundle: &[u8]) -> Option<Header> {
    let mut lines = bundle.split(|byte| *byte == b'\n');
    let magic = lines.next()?;
    if !magic.starts_with(b"vedette backup ") {
        return None;
    }
    serde_json::from_slice(lines.next()?).ok()
}

/// Said here, where it costs no upload; the deployment looks for itself.
fn check_root(header: &Header, secret: &str) -> Result<()> {
    let roots = Roots::parse(secret).map_err(|_| anyhow!("the root secret is not 32 bytes in base64url"))?;
    let ids: Vec<&str> = roots.all().map(|root| root.id.as_str()).collect();
    if ids.contains(&header.root_id.as_str()) {
        return Ok(());
    }
    bail!(
        "the backup is sealed under the root secret {}, and ROOT_SECRET here is {}: set it to the one of that time, here and on \
         the deployment",
        header.root_id,
        ids.join(",")
    )
}

fn described(header: &Header) -> String {
    let rows: usize = header.tables.values().sum();
    let tenants = header.tables.get("tenants").copied().unwrap_or_default();
    format!(
        "the backup of {} of {}: {tenants} tenant{}, {rows} rows, schema {}, made by Vedette {}",
        header.issuer,
        moment(header.created_at.0),
        if tenants == 1 { "" } else { "s" },
        header.schema,
        header.vedette
    )
}

fn said(status: u16, body: &Value) -> String {
    match body.get("error_description").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => format!("it answered {status}."),
    }
}

/// Readable by its owner only, whole or not at all, and never over another.
fn write_new(path: &Path, contents: &[u8]) -> Result<()> {
    let mut open = OpenOptions::new();
    let mut file = match open.write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!("{} exists", path.display()),
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
    };
    let written = file.write_all(contents).and_then(|()| file.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Seconds since 1970 as people write them, in UTC.
fn moment(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (mut year, mut day) = (1970, days);
    let length = |year: i64| if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 };
    while day >= length(year) {
        day -= length(year);
        year += 1;
    }
    let february = length(year) - 337;
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year}-{month:02}-{:02} {:02}:{:02}:{:02} UTC", day + 1, second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_people_do() {
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(1_709_208_000), "2024-02-29 12:00:00 UTC");
        assert_eq!(moment(1_800_000_000), "2027-01-15 08:00:00 UTC");
        assert_eq!(moment(1_798_761_599), "2026-12-31 23:59:59 UTC");
    }

    #[test]
    fn a_backup_of_another_root_is_refused_before_it_is_sent() {
        let header = Header {
            schema: 2,
            created_at: vedette::platform::UnixTime(0),
            vedette: "0.1.0".to_owned(),
            root_id: "abc".to_owned(),
            issuer: "https://id.example.com".to_owned(),
            tables: std::collections::BTreeMap::new(),
        };
        let secret = "A".repeat(43);
        let refusal = check_root(&header, &secret).map_err(|error| error.to_string());
        assert!(refusal.is_err_and(|text| text.contains("abc") && !text.contains(&secret)));
    }
}
