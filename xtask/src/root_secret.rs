//! `cargo xtask root-secret …`: a fresh secret, and the steps by which it takes the place of the old one.
//!
//! A changed secret reaches isolates at different times, so `status` asks several times, each over a connection of its own, and
//! says what all the answers together allow. Which isolate answers is the host's choice: it is a sample, not a proof.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use vedette::root::Roots;

use crate::cli::RootSecretOptions;
use crate::operator::Operator;
use crate::process;

/// How often `status` asks, and with what pauses.
const ASKED: usize = 12;
const PAUSE: Duration = Duration::from_millis(150);

const HOW: &str = concat!(
    "  Workers: npx wrangler secret put ROOT_SECRET                (and once more with --env admin, if you have that one)\n",
    "  Spin:    give the variable root_secret the new value (SPIN_VARIABLE_ROOT_SECRET) and restart every instance",
);

pub fn command(options: RootSecretOptions) -> Result<()> {
    match options {
        RootSecretOptions::New => new(),
        RootSecretOptions::Status { access, new } => {
            let views = views(&Operator::sign_in(access)?)?;
            let sentences = Standing::of(&views).sentences(&views, new.as_deref());
            let stranger = new.filter(|new| !views.iter().any(|view| view.accepts.contains(new)));
            match stranger {
                Some(new) => println!("No place accepts {new} yet.\n{sentences}"),
                None => println!("{sentences}"),
            }
            Ok(())
        }
        RootSecretOptions::Rewrap { access } => rewrap(&Operator::sign_in(access)?),
        RootSecretOptions::ReplaceMasters { access, new, cursor } => {
            replace_masters(Operator::sign_in(access)?, &new, cursor)
        }
    }
}

/// The secret goes to standard output, so that it can go into a file or a pipe without passing before anybody's eyes.
fn new() -> Result<()> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let roots = Roots::parse(&secret).map_err(|fault| anyhow!("{fault}"))?;
    println!("{secret}");
    eprintln!("its id is {}: what `root-secret status --new ID` wants, and no secret", roots.sealing().id);
    Ok(())
}

fn rewrap(operator: &Operator) -> Result<()> {
    let views = views(operator)?;
    let standing = Standing::of(&views);
    match &standing {
        Standing::Sealing { seals, .. } => {
            let answer = operator.call("POST", "/root-secret/rewrap", Some(&json!({ "root_id": seals })))?;
            let body = answer.expect(200, "wrapping the masters anew")?;
            println!("wrapped {} anew under {seals}.\n", masters(body["rewrapped"].as_u64().unwrap_or_default()));
            let views = self::views(operator)?;
            println!("{}", Standing::of(&views).sentences(&views, Some(seals)));
            Ok(())
        }
        Standing::One { .. } | Standing::Two { .. } => {
            println!("There is nothing to wrap anew.\n\n{}", standing.sentences(&views, None));
            Ok(())
        }
        Standing::Mixed | Standing::Broken | Standing::Unknown { .. } => {
            bail!("nothing was done.\n\n{}", standing.sentences(&views, None))
        }
    }
}

fn replace_masters(operator: Operator, new: &str, cursor: Option<String>) -> Result<()> {
    let views = views(&operator)?;
    let standing = Standing::of(&views);
    match &standing {
        Standing::Sealing { seals, .. } | Standing::Two { seals, .. } if seals == new => {
            replace_each(operator, new, cursor)
        }
        Standing::Sealing { .. } | Standing::Two { .. } | Standing::One { .. } => bail!(
            "nothing was done: what seals is {}, and the new masters would be wrapped under that. Set ROOT_SECRET to NEW,LEAKED first.\n{HOW}",
            views.first().map(|view| view.seals_with.as_str()).unwrap_or_default()
        ),
        Standing::Mixed | Standing::Broken | Standing::Unknown { .. } => {
            bail!("nothing was done.\n\n{}", standing.sentences(&views, Some(new)))
        }
    }
}

/// What the deployment says of some tenants whose masters it replaced.
#[derive(Deserialize)]
struct Replaced {
    replaced: u64,
    unknown: u64,
    failed: Vec<String>,
    next: Option<String>,
}

/// Some tenants a request, until there are no more.
fn replace_each(mut operator: Operator, new: &str, mut cursor: Option<String>) -> Result<()> {
    let (mut done, mut unknown, mut failed) = (0, 0, Vec::new());
    loop {
        let body = json!({ "root_id": new, "cursor": cursor.as_deref().unwrap_or_default() });
        let answer = operator
            .call("POST", "/root-secret/replace-masters", Some(&body))
            .and_then(|answer| answer.expect(200, "replacing the masters"))
            .and_then(|body| {
                serde_json::from_value::<Replaced>(body).context("this is not what the deployment should say")
            })
            .with_context(|| {
                let from = cursor.as_ref().map(|cursor| format!(" with --cursor {cursor}")).unwrap_or_default();
                format!("replaced {} before it failed; the same command{from} goes on", masters(done))
            })?;
        done += answer.replaced;
        unknown += answer.unknown;
        failed.extend(answer.failed);
        let Some(next) = answer.next else { break };
        eprintln!("replaced {} so far", masters(done));
        cursor = Some(next);
        // A token lives for minutes, and this may take longer.
        operator = operator.signed_in_again()?;
    }
    println!("replaced {}. Everybody signs in again; passwords and clients' secrets are as they were.", masters(done));
    if unknown > 0 || !failed.is_empty() {
        bail!(
            "{unknown} masters open under no secret of this deployment, and these tenants' could not be replaced: [{}]. The log says \
             why. Who has the leaked secret has their masters still: disable these tenants.",
            failed.join(", ")
        );
    }
    if !operator.can_sign_in_again() {
        println!(
            "The token of this directory ended with the operator's own tenant: start `cargo xtask dev --demo` again for another, and ask \
             `root-secret status` whether anything is left before you drop the secret that leaked."
        );
        return Ok(());
    }
    // A cursor may have left some out; what counts is what is there.
    let views = operator.signed_in_again().and_then(|operator| views(&operator)).context(
        "what is left under the leaked secret is not known: ask `cargo xtask root-secret status` before it is dropped",
    )?;
    match Standing::of(&views) {
        Standing::Two { .. } => {
            println!("Now drop the secret that leaked: set ROOT_SECRET to the new one alone.\n{HOW}");
            Ok(())
        }
        Standing::Sealing { other, left, .. } => bail!(
            "{} still under {other}, which leaked: do not drop it yet, and run this again without --cursor",
            are(left)
        ),
        standing => bail!("{}", standing.sentences(&views, Some(new))),
    }
}

/// What one place of the deployment answers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct View {
    seals_with: String,
    accepts: Vec<String>,
    /// Tenants' masters by the root that they are wrapped under, or `unknown`.
    masters: BTreeMap<String, u64>,
}

fn views(operator: &Operator) -> Result<Vec<View>> {
    let mut views = Vec::with_capacity(ASKED);
    for asked in 0..ASKED {
        if asked > 0 {
            process::pause(PAUSE)?;
        }
        let body = operator.call("GET", "/root-secret", None)?.expect(200, "asking for the root secret's standing")?;
        views.push(serde_json::from_value(body).context("this is not what the deployment should say")?);
    }
    Ok(views)
}

/// At which step a deployment is.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// One secret.
    One { seals: String },
    /// Two secrets, and every master under the one that seals: accepted but not yet sealing, or sealing and rewrapped.
    Two { seals: String, other: String },
    /// Two secrets, and masters under the one that does not seal any more.
    Sealing { seals: String, other: String, left: u64 },
    /// Not every place has the same secrets, and each opens what the others seal.
    Mixed,
    /// Some place cannot open what another seals.
    Broken,
    /// Some masters open nowhere.
    Unknown { masters: u64 },
}

impl Standing {
    fn of(views: &[View]) -> Standing {
        let Some(first) = views.first() else { return Standing::Mixed };
        let opens = |view: &View| views.iter().all(|other| view.accepts.contains(&other.seals_with));
        if !views.iter().all(opens) {
            return Standing::Broken;
        }
        if views.iter().any(|view| view.seals_with != first.seals_with || view.accepts != first.accepts) {
            return Standing::Mixed;
        }
        // The last answer is the newest: masters may have been wrapped anew meanwhile.
        let view = views.last().unwrap_or(first);
        let under = |root: &str| view.masters.get(root).copied().unwrap_or_default();
        if under("unknown") > 0 {
            return Standing::Unknown { masters: under("unknown") };
        }
        let seals = view.seals_with.clone();
        match view.accepts.iter().find(|root| **root != seals).cloned() {
            None => Standing::One { seals },
            Some(other) => match under(&other) {
                0 => Standing::Two { seals, other },
                left => Standing::Sealing { seals, other, left },
            },
        }
    }

    /// Where it is, whether the next step is safe, and what to type.
    fn sentences(&self, views: &[View], new: Option<&str>) -> String {
        match self {
            Standing::One { seals } if new == Some(seals) => format!(
                "One root secret, {seals}, and every master is under it: step 3 of 3 is done, as far as {}.\n\
                 Backups of before need the secret of before: make a new one (`cargo xtask backup`).",
                asked(views)
            ),
            Standing::One { seals } => format!(
                "One root secret, {seals}, and every master is under it. No change is under way.\n\
                 To begin one: make a secret (`cargo xtask root-secret new`), and set ROOT_SECRET to OLD,NEW so that every place accepts it.\n{HOW}"
            ),
            Standing::Two { seals, other } if new == Some(other) => format!(
                "Step 1 of 3 is done, as far as {}: every place accepts {other}, and {seals} still seals.\n\
                 Next, and safe once no place has the value of before: set ROOT_SECRET to NEW,OLD, so that the new one seals.\n{HOW}\n{WAIT}",
                asked(views)
            ),
            Standing::Two { seals, other } if new == Some(seals) => format!(
                "Step 2 of 3 is done, as far as {}: {seals} seals, and every master is under it.\n\
                 Next, and safe a minute from now, when no copy of before is trusted: set ROOT_SECRET to NEW alone. {other} opens nothing then.\n{HOW}\n{WAIT}",
                asked(views)
            ),
            Standing::Two { seals, other } => format!(
                "Two root secrets: {seals} seals, {other} is accepted, and every master is under {seals}.\n\
                 If {other} is the new one, step 1 of 3 is done; next, set ROOT_SECRET to NEW,OLD, so that it seals.\n\
                 If {seals} is the new one, step 2 of 3 is done; next, a minute from now, set ROOT_SECRET to NEW alone.\n\
                 `--new ID` with the id that `root-secret new` printed tells which.\n{HOW}\n{WAIT}"
            ),
            Standing::Sealing { seals, other, left } => format!(
                "Step 2 of 3 is under way: {seals} seals, and {} still under {other}. Do not drop {other} yet.\n\
                 Next, and safe: cargo xtask root-secret rewrap --issuer URL\n\
                 If {other} has leaked, do not: who has it knows these masters, under whichever root they are. Next is then: \
                 cargo xtask root-secret replace-masters --issuer URL --new {seals}",
                are(*left)
            ),
            Standing::Mixed => format!(
                "Not every place has the same secrets yet. Nothing is wrong, and nothing is to be done but to wait a minute and to ask again.\n{}",
                seen(views)
            ),
            Standing::Broken => format!(
                "Some place cannot open what another one seals: a step was left out. Set ROOT_SECRET to both secrets, the one before first \
                 (OLD,NEW), and ask again when every place has it.\n{HOW}\n{}",
                seen(views)
            ),
            Standing::Unknown { masters: lost } => format!(
                "{} wrapped under a root that this deployment was not given, so these tenants cannot be served: a secret was dropped before \
                 `root-secret rewrap`. Set ROOT_SECRET to the present one, a comma, and the missing one.\n{HOW}\n{}",
                if *lost == 1 { "One master is".to_owned() } else { format!("{lost} masters are") },
                seen(views)
            ),
        }
    }
}

fn are(masters: u64) -> String {
    if masters == 1 { "one master is".to_owned() } else { format!("{masters} masters are") }
}

const WAIT: &str =
    "A place that got none of these requests may still have the value of before: leave some minutes between the steps.";

fn asked(views: &[View]) -> String {
    format!("{} answers tell", views.len())
}

/// Each different answer, and how often it came.
fn seen(views: &[View]) -> String {
    let mut counted: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for view in views {
        *counted.entry((&view.seals_with, view.accepts.join(" and "))).or_default() += 1;
    }
    let lines: Vec<String> = counted
        .into_iter()
        .map(|((seals, accepts), times)| format!("  {times} of {}: {seals} seals, accepted is {accepts}", views.len()))
        .collect();
    lines.join("\n")
}

fn masters(number: u64) -> String {
    if number == 1 { "one tenant's master".to_owned() } else { format!("{number} tenants' masters") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(roots: &[&str], masters: &[(&str, u64)]) -> View {
        View {
            seals_with: roots[0].to_owned(),
            accepts: roots.iter().map(|root| (*root).to_owned()).collect(),
            masters: masters.iter().map(|(root, number)| ((*root).to_owned(), *number)).collect(),
        }
    }

    fn said(views: &[View], new: Option<&str>) -> String {
        Standing::of(views).sentences(views, new)
    }

    #[test]
    fn each_step_is_told_from_the_others() {
        assert!(said(&[view(&["old"], &[("old", 2)])], None).contains("OLD,NEW"));
        let accepting = [view(&["old", "new"], &[("old", 2), ("new", 0)])];
        assert!(said(&accepting, Some("new")).contains("NEW,OLD"));
        assert!(said(&accepting, None).contains("--new ID"));
        let sealing = [view(&["new", "old"], &[("old", 2), ("new", 0)])];
        assert!(said(&sealing, Some("new")).contains("rewrap"));
        assert!(said(&sealing, None).contains("Do not drop old yet"));
        let rewrapped = [view(&["new", "old"], &[("old", 0), ("new", 2)])];
        assert!(said(&rewrapped, Some("new")).contains("NEW alone"));
    }

    #[test]
    fn places_that_differ_are_waited_for_or_named_as_broken() {
        let old = view(&["old"], &[("old", 1)]);
        let accepting = view(&["old", "new"], &[("old", 1), ("new", 0)]);
        let sealing = view(&["new", "old"], &[("old", 1), ("new", 0)]);
        let new = view(&["new"], &[("new", 0), ("unknown", 1)]);
        assert_eq!(Standing::of(&[old.clone(), accepting.clone()]), Standing::Mixed);
        assert_eq!(Standing::of(&[accepting, sealing.clone()]), Standing::Mixed);
        assert_eq!(Standing::of(&[old, sealing]), Standing::Broken);
        assert_eq!(Standing::of(std::slice::from_ref(&new)), Standing::Unknown { masters: 1 });
        assert!(said(&[new], None).contains("One master is"));
    }

    #[test]
    fn what_counts_is_the_newest_answer_about_masters() {
        let before = view(&["new", "old"], &[("old", 1), ("new", 0)]);
        let after = view(&["new", "old"], &[("old", 0), ("new", 1)]);
        let two = Standing::Two { seals: "new".to_owned(), other: "old".to_owned() };
        assert_eq!(Standing::of(&[before, after]), two);
    }
}
