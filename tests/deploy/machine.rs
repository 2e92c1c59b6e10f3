//! A machine made of namespaces, whose process 1 is a real systemd (see `boot` beside this file), and what the tests do
//! in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long the machine may take to boot, and a command in it to end.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Machine {
    dir: TempDir,
    boot: Child,
    init: u32,
}

/// Why there can be no machine here; none if there can.
pub(crate) fn impossible() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let rights = u64::from_str_radix(effective.trim(), 16).unwrap();
    const SYS_ADMIN: u64 = 1 << 21;
    if rights & SYS_ADMIN == 0 {
        return Some("namespaces take the rights of root".to_owned());
    }
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    let tools = ["systemctl", "systemd-analyze", "unshare", "nsenter", "mount"];
    tools.iter().find(|tool| missing(tool)).map(|tool| format!("`{tool}` is missing"))
}

impl Machine {
    /// Boots one, and waits until its systemd has done so.
    pub(crate) fn boot() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let boot = Command::new(root().join("tests/deploy/boot"))
            .arg(dir.path())
            .args([env!("CARGO_BIN_EXE_daypassd"), env!("CARGO_BIN_EXE_daypass")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut machine = Self { dir, boot, init: 0 };
        machine.init = machine.process_one();
        let begun = Instant::now();
        // Its socket is not there from the first instant on.
        loop {
            let (state, _) = machine.run("systemctl is-system-running --wait");
            if state.trim() == "running" {
                return machine;
            }
            assert!(begun.elapsed() < LIMIT, "it does not boot: {state}{}", machine.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn process_one(&mut self) -> u32 {
        let begun = Instant::now();
        loop {
            if let Ok(pid) = fs::read_to_string(self.dir.path().join("pid")) {
                return pid.trim().parse().unwrap();
            }
            if let Some(status) = self.boot.try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.said());
            }
            assert!(begun.elapsed() < LIMIT, "it does not begin: {}", self.said());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What booting printed.
    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Runs a script in the machine, as root, in a folder of root's; what it printed, and whether it went well.
    pub(crate) fn run(&self, script: &str) -> (String, bool) {
        self.run_in("/root", script)
    }

    pub(crate) fn run_in(&self, folder: &str, script: &str) -> (String, bool) {
        let Output { status, stdout, stderr } = Command::new("timeout")
            .arg(LIMIT.as_secs().to_string())
            .arg("nsenter")
            .arg(format!("--target={}", self.init))
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd"])
            .args(["env", "-i", "HOME=/root", "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .args(["bash", "-euo", "pipefail", "-c", &format!("cd {folder}\n{script}")])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        (text, status.success())
    }

    /// The same, where it has to go well.
    #[track_caller]
    pub(crate) fn does(&self, script: &str) -> String {
        let (text, well) = self.run(script);
        assert!(well, "{script}\n{text}\n{}", self.journal());
        text
    }

    /// The same, where it must not go well.
    #[track_caller]
    pub(crate) fn refuses(&self, script: &str) -> String {
        let (text, well) = self.run(script);
        assert!(!well, "{script}\n{text}");
        text
    }

    /// One property of the service.
    #[track_caller]
    pub(crate) fn property(&self, name: &str) -> String {
        self.does(&format!("systemctl show --value --property={name} daypassd")).trim().to_owned()
    }

    /// Waits until a property of the service is as it should be.
    #[track_caller]
    pub(crate) fn becomes(&self, name: &str, right: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let value = self.property(name);
            if right(&value) {
                return value;
            }
            assert!(begun.elapsed() < LIMIT, "{name} stays `{value}`: {}", self.journal());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn journal(&self) -> String {
        self.run("journalctl --no-pager --lines=60").0
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With process 1 ends everything in there, and then whoever made it.
        if self.init == 0 {
            let _gone = self.boot.kill();
        } else {
            let _gone = Command::new("kill").args(["-KILL", &self.init.to_string()]).status();
        }
        let _gone = self.boot.wait();
        let Ok(group) = fs::read_to_string(self.dir.path().join("cgroup")) else { return };
        let (group, begun) = (PathBuf::from(group.trim()), Instant::now());
        while !removed(&group) && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes a cgroup with those below it; false while something is still alive in one.
fn removed(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            removed(&entry.path());
        }
    }
    match fs::remove_dir(group) {
        Ok(()) => true,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
