//! The Go program that checks with code that is not ours: built once a run, fed with everything at once.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// Where Debian's packages of Go's own libraries lie.
const GOPATH: &str = "/usr/share/gocode";

/// Something to be checked, and whether it should hold.
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) holds: bool,
    ask: Value,
}

/// What is checked, as the log says it.
#[derive(Clone)]
pub(crate) enum Claim {
    Note,
    Inclusion { index: u64, entry: Vec<u8>, proof: Vec<Vec<u8>> },
    Consistency { earlier: String, proof: Vec<Vec<u8>> },
    Tiles { tiles: Vec<(String, Vec<u8>)>, entries: Vec<Vec<u8>> },
}

impl Check {
    pub(crate) fn new(what: impl Into<String>, holds: bool, key: &str, note: &str, claim: &Claim) -> Self {
        let coded = |bytes: &[u8]| STANDARD.encode(bytes);
        let list = |all: &[Vec<u8>]| all.iter().map(|bytes| coded(bytes)).collect::<Vec<_>>();
        let mut ask = match claim {
            Claim::Note => json!({ "Kind": "note" }),
            Claim::Inclusion { index, entry, proof } => {
                json!({ "Kind": "inclusion", "Index": index, "Entry": coded(entry), "Proof": list(proof) })
            }
            Claim::Consistency { earlier, proof } => {
                json!({ "Kind": "consistency", "Earlier": earlier, "Proof": list(proof) })
            }
            Claim::Tiles { tiles, entries } => {
                let tiles: serde_json::Map<_, _> =
                    tiles.iter().map(|(path, bytes)| (path.clone(), coded(bytes).into())).collect();
                json!({ "Kind": "tiles", "Tiles": tiles, "Entries": list(entries) })
            }
        };
        ask["Key"] = key.into();
        ask["Note"] = note.into();
        Self { what: what.into(), holds, ask }
    }
}

/// The checker, built.
pub(crate) struct Checker {
    program: PathBuf,
    pub(crate) version: String,
}

impl Checker {
    /// Builds it; nothing where there is no Go or not its packages.
    pub(crate) fn build(folder: &Path) -> Option<Self> {
        let version = Command::new("go").arg("version").output().ok()?;
        if !Path::new(GOPATH).join("src/golang.org/x/mod/sumdb/tlog").is_dir() {
            return None;
        }
        let program = folder.join("checker");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/proofs/checker.go"))
            .envs([("GO111MODULE", "off"), ("GOPATH", GOPATH), ("CGO_ENABLED", "0")])
            .env("GOCACHE", folder.join("cache"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        Some(Self { program, version })
    }

    /// Asks about all of them: why each does not hold, or an empty text.
    pub(crate) fn ask(&self, checks: &[Check]) -> Vec<String> {
        let asked = Value::Array(checks.iter().map(|check| check.ask.clone()).collect()).to_string();
        let mut child =
            Command::new(&self.program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert!(output.status.success());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
