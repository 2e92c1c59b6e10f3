//! What lies in `deploy/`: the unit is verified, scored, installed as the documentation says and started by a real
//! systemd; the example configurations are taken by the broker.
//!
//! The unit's test needs root with namespaces, and systemd's commands: it says that it was left out where they are
//! missing, and fails there with `DAYPASS_REQUIRE_ALL=1`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

mod machine;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use machine::{Machine, root};
use serde_json::json;
use support::Broker;

/// What the score of the unit may be at the most; it was 1.1 when this was written.
const SCORE: f64 = 1.5;

#[test]
fn the_unit_starts_a_broker_that_serves() {
    if let Some(why) = machine::impossible() {
        return support::left_out("a machine with systemd", &std::io::Error::other(why));
    }
    let machine = Machine::boot();
    install(&machine);
    let (score, verified) = (score(&machine), verified(&machine));
    assert!(score <= SCORE, "{score}");
    machine.does("systemctl enable --now daypassd");
    serves(&machine);
    let confined = confined(&machine);
    comes_back(&machine);
    stays_down_without_a_configuration(&machine);
    lets_its_user_vouch_for_the_clock(&machine);
    comes_back_from_a_backup(&machine);
    begins_a_new_era(&machine);
    let version = machine.does("systemctl --version | head -n 1");
    support::show(&json!({
        "score": score,
        "verified": verified,
        "started_by": format!("{} as process 1 in namespaces of its own", version.trim()),
        "serves": true,
        "confined": confined,
        "restarted_after_kill": true,
        "stays_down_on_bad_configuration": true,
        "restored_from_backup": true,
    }));
}

/// What the documentation says, word for word.
fn install(machine: &Machine) {
    let blocks = blocks("## Under systemd");
    let (text, well) = machine.run_in(&root().display().to_string(), &blocks[0]);
    assert!(well, "{text}");
    machine.does("daypass key new admin.key");
    machine.does(&format!("{} > begun", blocks[1].trim()));
}

/// The shell blocks in a section of operations.md.
fn blocks(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("broker/docs/operations.md")).unwrap();
    let after = page.split_once(&format!("{heading}\n")).unwrap().1;
    let section = after.split_once("\n## ").map_or(after, |(section, _)| section);
    let starts = section.split("```sh\n").skip(1);
    starts.map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

fn score(machine: &Machine) -> f64 {
    let said = machine.does("systemd-analyze security --no-pager daypassd.service");
    let said_offline = machine
        .does("systemd-analyze security --offline=true --no-pager /etc/systemd/system/daypassd.service");
    let read = |text: &str| -> f64 {
        let line = text.lines().find(|line| line.contains("Overall exposure level")).unwrap();
        line.split_once(": ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
    };
    // As it is loaded, and as it is written.
    assert!((read(&said) - read(&said_offline)).abs() < 0.05, "{said}");
    read(&said_offline)
}

/// Verified means: nothing to say about it.
fn verified(machine: &Machine) -> bool {
    let said = machine.does("systemd-analyze verify /etc/systemd/system/daypassd.service");
    assert_eq!(said, "");
    true
}

/// The main job against it, by the command line: enrol an admin, put objects, enrol, mint, verify.
fn serves(machine: &Machine) {
    let examples = root().join("client/cli/src/example/objects");
    machine.does(
        "code=$(awk '$1 == \"code\" { print $2 }' begun)\n\
         daypass --home dana enroll --broker broker.daypass.example:7443 --key admin.key --code \"$code\"",
    );
    machine.does(&format!(
        "for object in {}/*.toml; do daypass --home dana put -f \"$object\"; done",
        examples.display()
    ));
    for (home, subject) in [("sync", "application:invoice-sync"), ("api", "verifier:billing-api")] {
        machine.does(&format!(
            "daypass --home dana open-enrollment {subject} > {home}.code\n\
             daypass --home {home} enroll --broker broker.daypass.example:7443 --code-file {home}.code"
        ));
    }
    machine.does("daypass --home sync cert --audience billing --out billing");
    machine.does(
        "daypass --home sync token --audience billing --scope invoices.read --cert billing/cert.pem > token",
    );
    still_serves(machine);
}

/// A token that was minted before is good.
fn still_serves(machine: &Machine) {
    let said = machine.does("daypass --home api verify --token token --cert billing/cert.pem");
    assert!(said.starts_with("good until") && said.contains("invoice-sync"), "{said}");
}

/// How the process stands, as the kernel says it and as it finds out by trying.
fn confined(machine: &Machine) -> serde_json::Value {
    let pid = machine.property("MainPID");
    let status = machine.does(&format!("cat /proc/{pid}/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let user = machine.does(&format!("stat --format=%U /proc/{pid}")).trim().to_owned();
    assert_eq!(user, "daypass");
    for none in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(none), "0000000000000000", "{none}");
    }
    assert_eq!((field("NoNewPrivs"), field("Seccomp")), ("1".to_owned(), "2".to_owned()));
    let limit = |pid: &str, name: &str| {
        let limits = machine.does(&format!("cat /proc/{pid}/limits"));
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(limit(&pid, "Max core file size"), "0");
    // What the unit asks for, or all that this machine has to give.
    let files = limit(&pid, "Max open files");
    assert!(files == "65536" || files == limit("1", "Max open files"), "{files}");
    // From its own view of the files, as its own user: its state alone can be written, and the key of root's is shut.
    let inside =
        format!("nsenter --target={pid} --mount setpriv --reuid=daypass --regid=daypass --clear-groups");
    machine.does(&format!("{inside} test -w /var/lib/daypass/store"));
    for shut in
        ["test -w /etc", "test -w /usr/bin", "test -w /var/lib", "test -r /etc/daypass/kek", "ls /home/."]
    {
        machine.refuses(&format!("{inside} {shut}"));
    }
    assert!(machine.refuses(&format!("nsenter --target={pid} --mount touch /etc/x")).contains("Read-only"));
    let mode = machine.does("stat --format='%U %a' /var/lib/daypass /var/lib/daypass/store");
    assert_eq!(mode, "daypass 700\ndaypass 700\n");
    json!({ "user": user, "capabilities": field("CapEff"), "seccomp": field("Seccomp"), "no_new_privileges": field("NoNewPrivs") })
}

/// Killed, it is started again, and vouches for what it minted before.
fn comes_back(machine: &Machine) {
    let before = machine.property("MainPID");
    machine.does("systemctl kill --signal=KILL daypassd");
    machine.becomes("NRestarts", |restarts| restarts == "1");
    machine.becomes("ActiveState", |state| state == "active");
    assert_ne!(machine.property("MainPID"), before);
    still_serves(machine);
}

/// Bad input is the same at the next start: systemd does not try again, and says so.
fn stays_down_without_a_configuration(machine: &Machine) {
    machine.does("echo 'listne = \"x\"' > bad; cat bad /etc/daypass/daypassd.toml > worse");
    machine.does("cp -p /etc/daypass/daypassd.toml good; cat worse > /etc/daypass/daypassd.toml");
    machine.refuses("systemctl restart daypassd");
    assert_eq!(machine.property("ExecMainStatus"), "2");
    assert_eq!(machine.property("ActiveState"), "failed");
    assert_eq!(machine.property("NRestarts"), "0");
    assert!(machine.journal().contains("listne"), "{}", machine.journal());
    machine.does(
        "cat good > /etc/daypass/daypassd.toml; systemctl reset-failed daypassd; systemctl start daypassd",
    );
}

/// What an operator does by hand is done as its user, while it is stopped.
fn lets_its_user_vouch_for_the_clock(machine: &Machine) {
    machine.does("systemctl stop daypassd");
    assert_eq!(
        (machine.property("Result"), machine.property("ExecMainStatus")),
        ("success".into(), "0".into())
    );
    let said = machine.does(&blocks("## Under systemd")[3]);
    assert!(said.contains("the clock is right"), "{said}");
    machine.does("systemctl start daypassd");
    assert_eq!(machine.property("StatusText"), "serving");
}

/// Backed up while it serves, as its user; put back by root, it is its user's again, and vouches for what it minted.
fn comes_back_from_a_backup(machine: &Machine) {
    let blocks = blocks("## Under systemd");
    machine.does(&blocks[2]);
    machine.does(&blocks[4]);
    assert!(machine.does("stat --format=%U /var/lib/daypass/store").contains("root"));
    // Perhaps something came after it: that is for a person to say, and not for systemd to try again.
    machine.refuses("systemctl start daypassd");
    assert_eq!((machine.property("ExecMainStatus"), machine.property("NRestarts")), ("4".into(), "0".into()));
    machine.does(&blocks[5]);
    machine.does("systemctl reset-failed daypassd; systemctl start daypassd");
    assert_eq!(machine.does("find /var/lib/daypass ! -user daypass"), "");
    still_serves(machine);
}

/// By root on what is its user's, word for word but for the question: what was given out before is void, and the admin
/// gets in by the new code.
fn begins_a_new_era(machine: &Machine) {
    let recover = blocks("## Under systemd")[6].replace("recover ", "recover --yes ");
    machine.does(&format!("({recover}) > begun"));
    machine.does("systemctl start daypassd");
    assert_eq!(machine.does("find /var/lib/daypass ! -user daypass"), "");
    machine.refuses("daypass --home api verify --token token --cert billing/cert.pem");
    machine.does(
        "code=$(awk '$1 == \"code\" { print $2 }' begun)\n\
         daypass --home dana-again enroll --broker broker.daypass.example:7443 --key admin.key --code \"$code\"",
    );
    assert!(machine.does("daypass --home dana-again list vendor --life suspended").contains("harbor"));
}

fn configurations() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("deploy/config")).unwrap();
    let files: Vec<PathBuf> = folder.map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4, "{files:?}");
    files
}

fn check_config(text: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_daypassd"))
        .args(["check-config", "--config"])
        .arg(file.path())
        .output()
        .unwrap();
    (checked.status.success(), String::from_utf8(checked.stderr).unwrap())
}

#[test]
fn every_example_configuration_is_taken() {
    for path in configurations() {
        let text = fs::read_to_string(&path).unwrap();
        let (taken, said) = check_config(&text);
        assert!(taken, "{}: {said}", path.display());
        // The same with a key that does not exist, so that this is seen to check something.
        assert!(!check_config(&format!("nothing = 1\n{text}")).0, "{}", path.display());
    }
}

/// A setting in the full example that was commented out is a setting all the same, with a value that is taken.
#[test]
fn what_an_example_comments_out_is_a_setting() {
    let mut settings = BTreeSet::new();
    for path in configurations() {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(setting) if is_setting(setting) => {
                settings.insert(setting.to_owned());
                setting
            }
            _ => line,
        });
        let whole: Vec<&str> = lines.collect();
        let (taken, said) = check_config(&whole.join("\n"));
        assert!(taken, "{}: {said}", path.display());
    }
    assert!(settings.len() >= 9, "{settings:?}");
}

/// As `drain = "30s"`: one word, and a value.
fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Nobody builds with another compiler in the container than in the tests.
#[test]
fn the_container_builds_with_the_toolchain_that_is_pinned() {
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap().to_owned();
    let file = read("deploy/container/Containerfile");
    assert!(file.contains(&format!("FROM docker.io/library/rust:{channel}-")), "{channel}");
}

/// What the container's build copies has to be enough to build the binaries.
#[test]
fn the_container_copies_every_folder_of_the_workspace() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    let file = read("deploy/container/Containerfile");
    for member in members {
        let folder = member.as_str().unwrap().split('/').next().unwrap();
        assert!(file.contains(&format!("COPY {folder} {folder}\n")), "{folder}");
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A service manager may hand a credential over with an access list, whose mask stands where the group's bits do.
#[test]
fn a_key_that_the_service_manager_hands_over_may_carry_an_access_list() {
    let broker = Broker::init("");
    let handed = broker.path().join("credentials");
    fs::create_dir(&handed).unwrap();
    let key = handed.join("kek");
    fs::copy(broker.path().join("key"), &key).unwrap();
    let serves = |mode: u32, credentials: &str| {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let mut command = broker.command(&["serve"]);
        command.env("DAYPASSD_KEY_FILE", &key).env("CREDENTIALS_DIRECTORY", credentials);
        // A port that cannot be had, so that a key that is taken ends in another failure than one that is not.
        let output = command.env("DAYPASSD_LISTEN", "192.0.2.1:1").stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let folder = handed.to_str().unwrap();
    assert!(serves(0o440, folder).contains("cannot listen on 192.0.2.1:1"));
    assert!(serves(0o400, folder).contains("cannot listen on 192.0.2.1:1"));
    for (mode, credentials) in
        [(0o444, folder), (0o404, folder), (0o440, ""), (0o440, "/"), (0o440, "credentials")]
    {
        let said = serves(mode, credentials);
        assert!(said.contains("can be read by others"), "{mode:o} {credentials}: {said}");
    }
}
