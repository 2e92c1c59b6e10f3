//! What outside tools said, beside what they should have said; where the tools are, and how they are run.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

/// One tool's verdicts.
pub(crate) struct Tool<'a> {
    name: &'a str,
    version: String,
    checks: &'a mut Checks,
}

/// All verdicts.
#[derive(Default)]
pub(crate) struct Checks {
    list: Vec<Value>,
    failed: usize,
}

impl Checks {
    pub(crate) fn tool<'a>(&'a mut self, name: &'a str, version: impl Into<String>) -> Tool<'a> {
        Tool { name, version: version.into(), checks: self }
    }

    /// Takes what a script printed: its library, and what came out of each case, of which there have to be so many.
    pub(crate) fn take(&mut self, printed: &str, cases: usize) {
        let report: Value =
            serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
        let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
        let list = report["checks"].as_array().unwrap();
        assert!(list.len() >= cases, "cases were left out: {printed}");
        let (name, version) = (text(&report, "tool"), text(&report, "version"));
        let mut tool = self.tool(&name, version);
        for check in list {
            tool.equal(&text(check, "case"), &text(check, "expected"), &text(check, "got"));
        }
    }

    /// All of it, as `tests/show` prints it.
    pub(crate) fn figures(&self) -> Value {
        json!({ "checks": self.list, "passed": self.list.len() - self.failed, "failed": self.failed })
    }

    pub(crate) fn failures(&self) -> Vec<&Value> {
        self.list.iter().filter(|check| check["ok"] != true).collect()
    }

    /// How many verdicts a tool gave.
    pub(crate) fn of(&self, tool: &str) -> usize {
        self.list.iter().filter(|check| check["tool"] == tool).count()
    }
}

impl Tool<'_> {
    /// Exactly this is what should have come out.
    pub(crate) fn equal(&mut self, case: &str, expected: &str, got: &str) {
        self.note(case, expected, got, expected == got);
    }

    /// It had to be refused, in words that these are among: a refusal for another reason proves nothing.
    pub(crate) fn refuses(&mut self, case: &str, words: &str, (well, said): &(bool, String)) {
        let got = if *well { "accepted".to_owned() } else { format!("refused: {}", telling(said, words)) };
        self.note(case, &format!("refused: {words}"), &got, !well && said.contains(words));
    }

    /// It had to be accepted.
    pub(crate) fn accepts(&mut self, case: &str, (well, said): &(bool, String)) {
        let got = if *well { "accepted".to_owned() } else { format!("refused: {}", telling(said, "rror")) };
        self.note(case, "accepted", &got, *well);
    }

    fn note(&mut self, case: &str, expected: &str, got: &str, ok: bool) {
        self.checks.failed += usize::from(!ok);
        self.checks.list.push(json!({
            "tool": self.name, "version": self.version, "case": case, "expected": expected, "got": got, "ok": ok,
        }));
    }
}

/// The line of what was said that has these words in it, or the first.
fn telling<'a>(said: &'a str, words: &str) -> &'a str {
    let line = said.lines().find(|line| line.contains(words)).or_else(|| said.lines().next());
    line.unwrap_or("without a word").trim()
}

/// Runs a program to its end: whether it ended well, and all it said.
pub(crate) fn run(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Runs a script with a document for its standard input, and hands back what it printed.
pub(crate) fn run_script(program: &Path, script: &str, input: &Value) -> String {
    let mut child = Command::new(program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script))
        .env("DAYPASS_INTEROP_TOOLS", tools())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{script} ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Where `install` puts what it installs.
pub(crate) fn tools() -> PathBuf {
    std::env::var_os("DAYPASS_INTEROP_TOOLS").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools/interop"),
        PathBuf::from,
    )
}

pub(crate) fn python() -> PathBuf {
    tools().join("python/bin/python")
}

/// The first line of what a tool says of itself; none, and said, where it is missing.
pub(crate) fn version(program: &Path, argument: &str) -> Option<String> {
    match Command::new(program).arg(argument).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned()),
        Err(error) => {
            crate::support::left_out(&program.display().to_string(), &error);
            None
        }
    }
}
