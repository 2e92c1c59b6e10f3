//! The built `daypass`, run in a folder of its own with nothing of this machine's around it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by tests, each of which uses a part"
)]

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Where commands are run, and their configuration lies.
pub(crate) struct Cli {
    folder: PathBuf,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Self {
            code: output.status.code().unwrap(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        };
        assert!(!ran.stderr.contains("panicked"), "{ran:?}");
        ran
    }

    /// The document that it printed, having succeeded.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Cli {
    /// In a new folder below this one.
    pub(crate) fn new(below: &Path) -> Self {
        let folder = below.join("desk");
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder: folder.canonicalize().unwrap() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `daypass` with these arguments, and no terminal.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(DAYPASS);
        command.args(args);
        self.prepare(&mut command);
        command
    }

    /// Runs a line of shell, in which `$0` is `daypass`.
    pub(crate) async fn shell(&self, line: &str, args: &[&str]) -> Ran {
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).arg(DAYPASS).args(args);
        self.prepare(&mut command);
        self.run(command).await
    }

    /// Runs `daypass` on a terminal, and types the answer; none where there is no `script` to make one.
    pub(crate) async fn on_terminal(&self, args: &str, answer: &str) -> Option<Ran> {
        let command = self.terminal(args)?;
        Some(self.run_with(command, answer).await)
    }

    /// Runs `daypass` on a terminal until it has said these words, and ends it then.
    pub(crate) async fn on_terminal_until(&self, args: &str, words: &str) {
        let Some(mut command) = self.terminal(args) else { return };
        let words = words.to_owned();
        let run = move || {
            // With an end to its input `script` would end as well.
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let (mut said, mut part) = (Vec::new(), [0; 256]);
            let mut out = child.stdout.take().unwrap();
            while !String::from_utf8_lossy(&said).contains(&words) {
                let read = out.read(&mut part).unwrap();
                assert!(read > 0, "it ended without saying `{words}`: {}", String::from_utf8_lossy(&said));
                said.extend(part.iter().take(read));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        };
        tokio::task::spawn_blocking(run).await.unwrap();
    }

    fn terminal(&self, args: &str) -> Option<Command> {
        if let Err(error) = Command::new("script").arg("--version").output() {
            crate::support::left_out("script", &error);
            return None;
        }
        let mut command = Command::new("script");
        command.args(["-qec", &format!("{DAYPASS} {args}"), "/dev/null"]);
        self.prepare(&mut command);
        command.env("TERM", "xterm").stdin(Stdio::piped());
        Some(command)
    }

    pub(crate) async fn run(&self, command: Command) -> Ran {
        self.run_with(command, "").await
    }

    /// Runs it to its end, with this on standard input.
    pub(crate) async fn run_with(&self, mut command: Command, input: &str) -> Ran {
        let input = input.to_owned();
        let run = move || {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            if !input.is_empty() {
                command.stdin(Stdio::piped());
            }
            let mut child = command.spawn().unwrap();
            if let Some(mut stdin) = child.stdin.take() {
                // It may well end without having read it.
                let _unread = stdin.write_all(input.as_bytes());
            }
            child.wait_with_output().unwrap()
        };
        // The broker's clients in this process go on meanwhile.
        Ran::of(tokio::task::spawn_blocking(run).await.unwrap())
    }

    fn prepare(&self, command: &mut Command) {
        let foreign =
            |name: &str| name.starts_with("DAYPASS_") || ["NO_COLOR", "COLUMNS", "LINES"].contains(&name);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(foreign)) {
            command.env_remove(name);
        }
        command.current_dir(&self.folder).env("HOME", &self.folder).stdin(Stdio::null());
        command.env("XDG_CONFIG_HOME", self.folder.join("config")).env("RUST_BACKTRACE", "0");
    }
}

/// Do key and certificate in this folder fit together?
pub(crate) fn fits(folder: &Path) -> bool {
    let key = daypass_sdk::PrivateKey::from_pem(&std::fs::read(folder.join("key.pem")).unwrap()).unwrap();
    let chain = daypass_sdk::certificates_from_pem(&std::fs::read(folder.join("cert.pem")).unwrap()).unwrap();
    let public = key.public_der();
    chain[0].windows(public.len()).any(|part| part == public)
}

const DAYPASS: &str = env!("CARGO_BIN_EXE_daypass");
