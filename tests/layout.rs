//! The architecture's rules, held by tests: which crate may see which, what the rules of the broker may touch, what
//! stands at the top of the tree, and that every reason for a refusal has its help page.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Each crate of the workspace without its `daypass-`, where it stands, and which others it may name, be it to run, to
/// build or to test. The arrows run one way: `credential` ← `core` ← `store`, `issuer` ← `broker`; the wire is seen at
/// the edges only.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("credential", "client/credential", &[]),
    ("proto", "proto", &[]),
    ("core", "broker/core", &["credential"]),
    ("store", "broker/store", &["credential", "core"]),
    ("issuer", "broker/issuer", &["credential", "core"]),
    ("broker", "broker/server", &["credential", "log", "core", "store", "issuer", "proto"]),
    ("log", "client/log", &["credential"]),
    // Broker crates for its tests alone: `the_verifier_runs_without_the_broker`.
    ("verifier", "client/verifier", &["credential", "log", "core", "issuer"]),
    ("sdk", "client/sdk", &["credential", "log", "proto", "verifier"]),
    ("cli", "client/cli", &["credential", "log", "verifier", "core", "proto", "sdk", "broker"]),
];

/// What the package of the two binaries may name; its tests may name everything.
const ROOT_MAY_NAME: &[&str] = &["broker", "cli"];

/// The crates whose whole tree, what their tests use included, is free of `WORLDLY`.
const PURE: &[&str] = &["daypass-credential", "daypass-core"];
const WORLDLY: &[&str] = &["tokio", "tonic", "prost", "hyper", "rustls", "ring", "sled", "rcgen"];

/// What stands at the top of the tree. A new entry is a decision about the layout, and is made here.
const TOP: &[&str] = &[
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "broker",
    "client",
    "clippy.toml",
    "deny.toml",
    "deploy",
    "proto",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
];

#[test]
fn every_crate_of_the_workspace_has_its_place_in_the_table() {
    let members: BTreeSet<String> = strings(&manifest("")["workspace"]["members"]).into_iter().collect();
    let table: BTreeSet<String> = CRATES.iter().map(|(_, folder, _)| (*folder).to_owned()).collect();
    assert_eq!(members, table, "workspace members, and CRATES in this test");
    for (name, folder, _) in CRATES {
        let package = manifest(folder)["package"]["name"].as_str().map(str::to_owned);
        assert_eq!(package, Some(format!("daypass-{name}")), "in {folder}");
    }
}

#[test]
fn dependencies_run_one_way() {
    for (name, folder, allowed) in CRATES {
        let named =
            own_dependencies(&manifest(folder), &["dependencies", "build-dependencies", "dev-dependencies"]);
        refuse_others(name, &named, allowed);
    }
    let named = own_dependencies(&manifest(""), &["dependencies", "build-dependencies"]);
    refuse_others("the root package", &named, ROOT_MAY_NAME);
}

#[test]
fn the_verifier_runs_without_the_broker() {
    let named = own_dependencies(&manifest("client/verifier"), &["dependencies", "build-dependencies"]);
    refuse_others("verifier, to run,", &named, &["credential", "log"]);
}

#[test]
fn the_rules_build_without_runtime_network_keys_or_storage() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("Cargo.lock is TOML");
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let dependencies = package.get("dependencies").map(strings).unwrap_or_default();
        // Versions of one name are taken together, which can only refuse more.
        packages
            .entry(name.to_owned())
            .or_default()
            .extend(dependencies.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned));
    }
    for pure in PURE {
        let mut reached = BTreeSet::new();
        let mut ahead = vec![(*pure).to_owned()];
        while let Some(next) = ahead.pop() {
            if reached.insert(next.clone()) {
                ahead.extend(packages.get(&next).into_iter().flatten().cloned());
            }
        }
        assert!(packages.contains_key(*pure), "{pure} is in Cargo.lock");
        let worldly: Vec<_> = WORLDLY.iter().filter(|name| reached.contains(**name)).collect();
        assert!(worldly.is_empty(), "{pure} depends on {worldly:?}, directly or through others");
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<_> = sources("").into_iter().filter(|file| !opens_with_a_header(&read(file))).collect();
    assert!(silent.is_empty(), "these do not open with `//!` and what lives there: {silent:#?}");
}

#[test]
fn the_rules_touch_no_clock_disk_network_or_runtime() {
    for folder in ["broker/core/src", "client/credential/src", "client/verifier/src"] {
        refuse_mentions(folder, &["SystemTime", "Instant::now", "std::fs", "std::net", "tokio"]);
    }
}

#[test]
fn the_issuer_is_told_the_time() {
    refuse_mentions("broker/issuer/src", &["SystemTime", "Instant::now"]);
}

#[test]
fn the_top_of_the_tree_holds_only_what_is_listed() {
    // CI may run as another user than the one who made the clone; that is no reason to refuse to list it.
    let listed =
        Command::new("git").args(["-c", "safe.directory=*", "ls-files"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|output| output.status.success()) else {
        assert!(
            env::var_os("DAYPASS_REQUIRE_ALL").is_none_or(|value| value != "1"),
            "`git ls-files` does not work here, and DAYPASS_REQUIRE_ALL asks for every test"
        );
        println!("left out: this is no git work tree, or there is no git, so what is committed is not known");
        return;
    };
    let files = String::from_utf8(listed.stdout).expect("paths are UTF-8");
    let top: BTreeSet<&str> = files.lines().filter_map(|path| path.split('/').next()).collect();
    let unlisted: Vec<_> = top.iter().filter(|entry| !TOP.contains(entry)).collect();
    assert!(unlisted.is_empty(), "not in TOP of this test: {unlisted:?}");
}

#[test]
fn every_reason_for_a_refusal_has_a_help_page() {
    let page = read("broker/docs/errors.md");
    let explained: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.trim().trim_matches('`'))
        .collect();
    let missing: Vec<_> = reasons().into_iter().filter(|code| !explained.contains(code)).collect();
    assert!(missing.is_empty(), "broker/docs/errors.md has no section `## CODE` for {missing:#?}");
}

#[test]
fn no_two_refusals_share_a_code() {
    let reasons = reasons();
    let distinct: BTreeSet<_> = reasons.iter().collect();
    assert_eq!(distinct.len(), reasons.len(), "a code stands twice in {reasons:#?}");
}

/// The codes of all refusals, of the rules and of the broker's own.
fn reasons() -> Vec<&'static str> {
    let lists = [daypass_core::Denial::CODES].into_iter().chain(daypass_broker::REASONS.iter().copied());
    lists.flatten().copied().collect()
}

fn refuse_others(name: &str, named: &BTreeSet<String>, allowed: &[&str]) {
    let refused: Vec<_> = named.iter().filter(|other| !allowed.contains(&other.as_str())).collect();
    assert!(refused.is_empty(), "{name} may not depend on {refused:?}; it may on {allowed:?}");
}

/// The crates of this workspace that a manifest names in tables of these kinds, for any target.
fn own_dependencies(manifest: &toml::Table, kinds: &[&str]) -> BTreeSet<String> {
    let for_targets =
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
    let tables = for_targets.filter_map(toml::Value::as_table).chain([manifest]);
    tables
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten()
        // A dependency may go by another name here; what counts is the package.
        .map(|(key, value)| value.get("package").and_then(toml::Value::as_str).unwrap_or(key))
        .filter_map(|package| package.strip_prefix("daypass-"))
        .map(str::to_owned)
        .collect()
}

fn refuse_mentions(folder: &str, words: &[&str]) {
    let mut found = Vec::new();
    for file in sources(folder) {
        let code = code_on_one_line(&read(&file));
        found.extend(words.iter().filter(|word| mentions(&code, word)).map(|word| format!("{file}: {word}")));
    }
    assert!(found.is_empty(), "not in {folder}: {found:#?}");
}

/// Whether the code names a path, written out or taken from a group: `std::fs` is also in `use std::{env, fs};`.
fn mentions(code: &str, path: &str) -> bool {
    let grouped = path.split_once("::").is_some_and(|(parent, child)| {
        code.split(&format!("{parent}::{{")).skip(1).any(|rest| {
            let group = rest.split(';').next().unwrap_or(rest);
            group.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == child)
        })
    });
    grouped || code.contains(path)
}

#[test]
fn a_path_is_found_in_a_group_as_well() {
    assert!(mentions("use std::fs; fn main() {}", "std::fs"));
    assert!(mentions("use std::{collections::BTreeMap, fs}; fn main() {}", "std::fs"));
    assert!(mentions("use std::{env, net::{IpAddr, TcpStream}};", "std::net"));
    assert!(!mentions("use std::{fmt, collections::BTreeMap}; let fs = 1;", "std::fs"));
    assert!(!mentions(&code_on_one_line("//! Not `std::fs`.\n    // nor tokio\nuse std::fmt;"), "std::fs"));
}

/// The code without its comment lines, which may well say what is not there.
fn code_on_one_line(text: &str) -> String {
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    code.collect::<Vec<_>>().join(" ")
}

fn opens_with_a_header(text: &str) -> bool {
    text.lines().map(str::trim).find(|line| !line.is_empty()).is_some_and(|line| line.starts_with("//!"))
}

/// Every Rust file below a folder, by its path from the root.
fn sources(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut ahead: Vec<PathBuf> = match folder {
        "" => ["proto", "broker", "client", "deploy", "tests"].iter().map(|top| root().join(top)).collect(),
        folder => vec![root().join(folder)],
    };
    while let Some(next) = ahead.pop() {
        if next.is_dir() && next.file_name().is_some_and(|name| name != "target") {
            ahead.extend(
                fs::read_dir(&next).expect("a readable folder").map(|entry| entry.expect("an entry").path()),
            );
        } else if next.extension().is_some_and(|extension| extension == "rs") {
            files.push(next.strip_prefix(root()).expect("below the root").display().to_string());
        }
    }
    assert!(!files.is_empty(), "no Rust file below `{folder}`");
    files.sort();
    files
}

fn manifest(folder: &str) -> toml::Table {
    let path = Path::new(folder).join("Cargo.toml");
    read(&path.display().to_string()).parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn strings(list: &toml::Value) -> Vec<String> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry.as_str().expect("a string").to_owned())
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
