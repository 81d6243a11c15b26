//! Where and when numbers were taken, and of what.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::{paths, process, tools};

pub struct Machine {
    /// What it is and its value, in the order of the table.
    pub facts: Vec<(&'static str, String)>,
}

impl Machine {
    pub fn describe() -> Result<Machine> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let node = tools::node()?;
        let facts = vec![
            ("commit", commit()),
            ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("CPU", format!("{}, {cores} cores", line_of("/proc/cpuinfo", "model name"))),
            ("memory", memory()),
            ("kernel", said("uname", &["-sr"])),
            ("load before the run (1, 5, 15 minutes)", load()),
            ("workerd", version_of("workerd")),
            ("miniflare", version_of("miniflare")),
            ("wrangler", version_of("wrangler")),
            ("Node.js", process::answer(node, &["--version"]).unwrap_or_else(unknown)),
            ("Rust", said("rustc", &["--version"])),
            ("Spin host", spin()),
        ];
        Ok(Machine { facts })
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    process::answer(program, arguments).unwrap_or_else(unknown)
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn commit() -> String {
    let root = paths::root().to_string_lossy();
    let Some(commit) = process::answer("git", &["-C", &root, "rev-parse", "--short=12", "HEAD"]) else {
        return unknown();
    };
    let products = ["src", "kv-schema", "templates", "Cargo.toml", "Cargo.lock", "tools", "xtask"];
    let arguments = [&["-C", &root, "status", "--porcelain", "--"], &products[..]].concat();
    match process::answer("git", &arguments) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}, with changes that are not committed"),
    }
}

fn line_of(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    value.map_or_else(unknown, |(_, value)| value.trim().to_owned())
}

fn memory() -> String {
    let total = line_of("/proc/meminfo", "MemTotal");
    match total.trim_end_matches(" kB").parse::<f64>() {
        Ok(kibibytes) => format!("{:.0} GiB", kibibytes / 1024.0 / 1024.0),
        Err(_) => total,
    }
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(", ")
}

fn version_of(package: &str) -> String {
    let path = paths::node_modules().join(package).join("package.json");
    let description: Option<Value> = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok());
    description.and_then(|value| value.get("version")?.as_str().map(str::to_owned)).unwrap_or_else(unknown)
}

fn spin() -> String {
    if process::on_path("spin") {
        return said("spin", &["--version"]);
    }
    let wasmtime = fs::read_to_string(paths::root().join("Cargo.lock")).unwrap_or_default();
    let version = wasmtime.split_once("name = \"wasmtime\"\nversion = \"").and_then(|(_, rest)| rest.split_once('"'));
    let tool = Path::new("tools/spin-host");
    format!("{} (the project's test host), wasmtime {}", tool.display(), version.map_or("?", |(version, _)| version))
}
