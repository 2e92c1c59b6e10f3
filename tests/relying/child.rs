//! Processes that the stories start: this very program again, told by its environment which of them to be.

use std::{collections::BTreeMap, env, fs, process::Stdio, time::Duration};

use daypass_sdk::{Home, PrivateKey};
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{axum_service, partner, tls_service, watch};

/// What a process is, and what it has to know.
const ROLE: &str = "DAYPASS_TEST_ROLE";
const KNOWS: &str = "DAYPASS_TEST_KNOWS";

/// A process that reads commands and answers each with one line of JSON. It is killed with this value.
pub(crate) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts one.
    pub(crate) fn start(role: &str, knows: &Value) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child::role", "--ignored", "--nocapture", "--quiet"])
            .env(ROLE, role)
            .env(KNOWS, knows.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, stdin, lines }
    }

    /// Its next answer.
    pub(crate) async fn says(&mut self) -> Value {
        let next = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("the process ended");
                // The test harness has its own lines.
                if let Some(said) = line.strip_prefix(MARK) {
                    return serde_json::from_str(said).unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), next).await.expect("the process says nothing")
    }

    /// Tells it something, and waits for its answer.
    pub(crate) async fn ask(&mut self, command: &str) -> Value {
        self.begin(command).await;
        self.says().await
    }

    /// Tells it something whose answer comes later.
    pub(crate) async fn begin(&mut self, command: &str) {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.unwrap();
    }

    /// Sends it a signal, as `STOP` and `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(sent.success());
    }
}

const MARK: &str = "said: ";

/// Says one line to whoever started this process.
pub(crate) fn say(what: &Value) {
    // In one write, so that no line of the harness comes between; what it has begun ends before.
    println!("\n{MARK}{what}");
}

/// The commands that come, one by one, until whoever gives them is gone.
pub(crate) fn commands() -> Lines<BufReader<tokio::io::Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that the stories start"]
async fn role() {
    let knows: BTreeMap<String, String> =
        serde_json::from_str(&env::var(KNOWS).expect("started by a story")).unwrap();
    match env::var(ROLE).unwrap().as_str() {
        "partner" => partner::run(&knows).await,
        "watch" => watch::run(&knows).await,
        "axum" => {
            let (home, listener, chain, key) = relying(&knows).await;
            axum_service::serve(home, listener, chain, key).await.unwrap();
        }
        "tls" => {
            let (home, listener, chain, key) = relying(&knows).await;
            tls_service::serve(home, listener, chain, key).await.unwrap();
        }
        other => panic!("no role `{other}`"),
    }
}

/// What a relying party begins with; it says where it listens.
async fn relying(
    knows: &BTreeMap<String, String>,
) -> (Home, TcpListener, Vec<CertificateDer<'static>>, PrivateKey) {
    let chain = daypass_sdk::certificates_from_pem(&fs::read(&knows["chain"]).unwrap()).unwrap();
    let key = PrivateKey::from_pem(&fs::read(&knows["key"]).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    say(&serde_json::json!({ "port": listener.local_addr().unwrap().port() }));
    (Home::at(&knows["home"]), listener, chain, key)
}
