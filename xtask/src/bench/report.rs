//! Tables, goals, and docs/benchmarks.md.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::bundle;
use super::endpoint::Endpoint;
use super::load::Window;
use super::machine::Machine;
use super::statistics::Summary;
use crate::cli::Host;

const BEGIN: &str = "<!-- written by `cargo xtask bench --write`: begin -->";
const END: &str = "<!-- written by `cargo xtask bench --write`: end -->";

/// Milliseconds of CPU that a request may take where the free plan of Workers sets the limit.
const CPU_LIMIT: f64 = 10.0;
/// A server that had less than this share of a core waited for the load.
const SATURATED: f64 = 0.85;
/// Cores that others may take before numbers are called noisy.
const QUIET: f64 = 0.2;

pub struct Report {
    pub machine: Machine,
    /// Compressed bytes of the Worker.
    pub bundle: Option<usize>,
    pub hosts: Vec<HostReport>,
    pub seconds: f64,
    pub rounds: usize,
}

pub struct HostReport {
    pub host: Host,
    pub endpoints: Vec<Measured>,
}

/// The rounds of one endpoint.
pub struct Measured {
    pub endpoint: Endpoint,
    pub vedette: Vec<Window>,
    pub floor: Option<Vec<Window>>,
    /// The floor with a log line a request, where it has one.
    pub logged: Option<Vec<Window>>,
}

impl Measured {
    /// Vedette's share of the floor's requests per second, round by round.
    fn share(&self) -> Option<Summary> {
        self.share_of(self.floor.as_ref()?)
    }

    fn share_of(&self, floor: &[Window]) -> Option<Summary> {
        Summary::of(self.vedette.iter().zip(floor).map(|(ours, theirs)| ours.rate() / theirs.rate()))
    }

    /// The same by CPU time, which tells more while the machine does other things too.
    fn share_by_cpu(&self) -> Option<Summary> {
        self.share_of_by_cpu(self.floor.as_ref()?)
    }

    fn share_of_by_cpu(&self, floor: &[Window]) -> Option<Summary> {
        Summary::of(self.vedette.iter().zip(floor).map(|(ours, theirs)| theirs.cpu() / ours.cpu()))
    }

    fn windows(&self) -> impl Iterator<Item = &Window> {
        self.vedette.iter().chain(self.floor.iter().flatten()).chain(self.logged.iter().flatten())
    }
}

pub fn progress(measured: &Measured) -> String {
    let share = match (measured.share(), measured.share_by_cpu()) {
        (Some(rate), Some(cpu)) => format!(", {:.2} of the floor ({:.2} by CPU)", rate.median, cpu.median),
        _ => String::new(),
    };
    format!(
        "{:<34} {} requests/s, {} ms CPU{share}",
        measured.endpoint.title(),
        median(&measured.vedette, Window::rate).map_or_else(String::new, whole),
        cpu(&measured.vedette),
    )
}

/// Something to reach, and whether it was.
struct Goal {
    what: String,
    is: String,
    reached: bool,
}

impl Report {
    pub fn to_markdown(&self) -> String {
        let mut text = String::new();
        for host in &self.hosts {
            let _ = match host.host {
                Host::Cloudflare => writeln!(text, "\n### Cloudflare Workers, in workerd\n"),
                Host::Spin => writeln!(text, "\n### Spin\n"),
            };
            host.write_compared(&mut text);
            host.write_logged(&mut text);
            host.write_others(&mut text);
        }
        let goals = self.goals();
        if !goals.is_empty() {
            text.push_str("\n### Goals\n\n| goal | measured | |\n| --- | --- | --- |\n");
            for Goal { what, is, reached } in goals {
                let _ = writeln!(text, "| {what} | {is} | {} |", if reached { "pass" } else { "**miss**" });
            }
        }
        self.write_circumstances(&mut text);
        text
    }

    fn goals(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let Some(workers) = self.hosts.iter().find(|host| host.host == Host::Cloudflare) else { return goals };
        for measured in &workers.endpoints {
            if let (Some(goal), Some(share)) = (measured.endpoint.goal(), measured.share()) {
                goals.push(Goal {
                    what: format!("{}: at least {goal} of the floor", measured.endpoint.title()),
                    is: format!("{:.3}", share.median),
                    reached: share.median >= goal,
                });
            }
        }
        if let Some(size) = self.bundle {
            goals.push(Goal {
                what: format!("the Worker's upload, gzipped: at most {} KB", bundle::LIMIT / 1000),
                is: format!("{:.1} KB", size as f64 / 1000.0),
                reached: size <= bundle::LIMIT,
            });
        }
        let slowest = workers
            .endpoints
            .iter()
            .filter(|measured| !measured.endpoint.checks_password())
            .filter_map(|measured| Some((measured.endpoint, median(&measured.vedette, Window::cpu)?)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other));
        if let Some((endpoint, cpu)) = slowest {
            goals.push(Goal {
                what: format!("no endpoint but password checking above {CPU_LIMIT:.0} ms CPU"),
                is: format!("at most {cpu:.2} ms ({})", endpoint.title()),
                reached: cpu <= CPU_LIMIT,
            });
        }
        goals
    }

    fn write_circumstances(&self, text: &mut String) {
        text.push_str("\n### Circumstances\n\n| | |\n| --- | --- |\n");
        for (what, value) in &self.machine.facts {
            let _ = writeln!(text, "| {what} | {value} |");
        }
        let _ =
            writeln!(text, "| rounds | {} of {} s each, Vedette and the floor in turns |", self.rounds, self.seconds);
        let windows = || self.hosts.iter().flat_map(|host| &host.endpoints).flat_map(Measured::windows);
        let generator = Summary::of(windows().map(Window::generator_cores));
        let others = Summary::of(windows().map(Window::other_cores));
        if let (Some(generator), Some(others)) = (generator, others) {
            let noisy = if others.median > QUIET { ": **noisy, trust the shares more than the numbers**" } else { "" };
            let _ = writeln!(
                text,
                "| load generator | {:.2} cores (median; most {:.2}) |\n\
                 | everything else on the machine | {:.2} cores (median; most {:.2}){noisy} |",
                generator.median, generator.most, others.median, others.most,
            );
        }
    }

    /// Puts the tables between the markers of `path`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let old = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let new = between_markers(&old, &self.to_markdown())
            .with_context(|| format!("{} has no markers to write between", path.display()))?;
        fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
    }
}

impl HostReport {
    /// Those with several rounds, beside the floor where there is one.
    fn write_compared(&self, text: &mut String) {
        let compared: Vec<&Measured> =
            self.endpoints.iter().filter(|measured| measured.endpoint.is_compared()).collect();
        if compared.is_empty() {
            return;
        }
        let mut has_waited = false;
        let has_floor = compared.iter().any(|measured| measured.floor.is_some());
        if has_floor {
            text.push_str(
                "| endpoint | requests/s | floor | share of the floor | CPU ms per request | floor | share by CPU | cores used | floor |\n\
                 | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            );
        } else {
            text.push_str(
                "| endpoint | requests/s | CPU ms per request | cores used |\n| --- | ---: | ---: | ---: |\n",
            );
        }
        for measured in compared {
            let ours = &measured.vedette;
            let title = measured.endpoint.title();
            has_waited |= waited(ours);
            let _ = match (&measured.floor, measured.share(), measured.share_by_cpu()) {
                (Some(floor), Some(share), Some(by_cpu)) => {
                    has_waited |= waited(floor);
                    writeln!(
                        text,
                        "| {title} | {} | {} | {:.2} ({:.2}–{:.2}) | {} | {} | {:.2} | {} | {} |",
                        rates(ours),
                        rates(floor),
                        share.median,
                        share.least,
                        share.most,
                        cpu(ours),
                        cpu(floor),
                        by_cpu.median,
                        cores(ours),
                        cores(floor),
                    )
                }
                // Nothing says how many cores this host can use.
                _ => {
                    let used = median(ours, Window::server_cores).unwrap_or_default();
                    writeln!(text, "| {title} | {} | {} | {used:.2} |", rates(ours), cpu(ours))
                }
            };
        }
        text.push_str("\nMedians; in brackets the least and the most of the rounds.");
        if has_floor && has_waited {
            text.push_str(" `<`: the server was not busy all the time, so it could have served more.");
        }
        text.push('\n');
    }

    /// The documents, beside a floor that logs.
    fn write_logged(&self, text: &mut String) {
        let mut has_head = false;
        for measured in &self.endpoints {
            let Some(logged) = &measured.logged else { continue };
            let (Some(share), Some(by_cpu)) = (measured.share_of(logged), measured.share_of_by_cpu(logged)) else {
                continue;
            };
            if !has_head {
                text.push_str(
                    "\n| endpoint | requests/s | bare JSON and one log line | share of that | CPU ms per request | bare JSON and one log line | share by CPU |\n\
                     | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
                );
                has_head = true;
            }
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.2} ({:.2}–{:.2}) | {} | {} | {:.2} |",
                measured.endpoint.title(),
                rates(&measured.vedette),
                rates(logged),
                share.median,
                share.least,
                share.most,
                cpu(&measured.vedette),
                cpu(logged),
                by_cpu.median,
            );
        }
    }

    /// Those that are here for their CPU time.
    fn write_others(&self, text: &mut String) {
        let others: Vec<&Measured> =
            self.endpoints.iter().filter(|measured| !measured.endpoint.is_compared()).collect();
        if others.is_empty() {
            return;
        }
        text.push_str("\n| endpoint | requests/s | CPU ms per request |\n| --- | ---: | ---: |\n");
        for measured in others {
            let rate = median(&measured.vedette, Window::rate).map_or_else(String::new, whole);
            let _ = writeln!(text, "| {} | {rate} | {} |", measured.endpoint.title(), cpu(&measured.vedette));
        }
    }
}

fn summary(windows: &[Window], value: fn(&Window) -> f64) -> Option<Summary> {
    Summary::of(windows.iter().map(value))
}

fn median(windows: &[Window], value: fn(&Window) -> f64) -> Option<f64> {
    summary(windows, value).map(|summary| summary.median)
}

fn rates(windows: &[Window]) -> String {
    summary(windows, Window::rate).map_or_else(String::new, |Summary { median, least, most }| {
        format!("{} ({}–{})", whole(median), whole(least), whole(most))
    })
}

fn cpu(windows: &[Window]) -> String {
    median(windows, Window::cpu).map_or_else(String::new, |cpu| format!("{cpu:.3}"))
}

fn cores(windows: &[Window]) -> String {
    let sign = if waited(windows) { "< " } else { "" };
    median(windows, Window::server_cores).map_or_else(String::new, |cores| format!("{sign}{cores:.2}"))
}

fn waited(windows: &[Window]) -> bool {
    median(windows, Window::server_cores).is_some_and(|cores| cores < SATURATED)
}

/// A number without a fraction, its thousands apart.
fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn between_markers(document: &str, tables: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::usage::Usage;

    fn window(requests: u64, server: f64) -> Window {
        Window { requests, seconds: 2.0, usage: Usage { server, generator: 0.5, machine: server + 0.75 } }
    }

    fn report(vedette: u64, floor: u64) -> Report {
        let measured = Measured {
            endpoint: Endpoint::Refresh,
            vedette: vec![window(vedette, 2.0)],
            floor: Some(vec![window(floor, 1.0)]),
            logged: None,
        };
        Report {
            machine: Machine { facts: vec![("CPU", "a good one".to_owned())] },
            bundle: Some(700_000),
            hosts: vec![HostReport { host: Host::Cloudflare, endpoints: vec![measured] }],
            seconds: 2.0,
            rounds: 1,
        }
    }

    #[test]
    fn a_goal_is_reached_or_missed_by_what_was_measured() {
        let verdicts = |report: Report| report.goals().iter().map(|goal| goal.reached).collect::<Vec<_>>();
        assert_eq!(verdicts(report(2000, 2500)), [true, false, true]);
        assert_eq!(verdicts(report(100, 2500)), [false, false, false]);
    }

    #[test]
    fn a_table_says_who_waited_for_the_load() {
        let text = report(2000, 2500).to_markdown();
        assert!(text.contains("| 1,000 (1,000–1,000) | 1,250 (1,250–1,250) | 0.80 (0.80–0.80) | 1.000 | 0.400 | 0.40 | 1.00 | < 0.50 |"), "{text}");
        assert!(text.contains("a good one"));
    }

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let document = format!("# Title\n{BEGIN}\nold\n{END}\nafter\n");
        let written = between_markers(&document, "new");
        assert_eq!(written, Some(format!("# Title\n{BEGIN}\nnew\n{END}\nafter\n")));
        assert_eq!(between_markers("no markers", "new"), None);
    }
}
