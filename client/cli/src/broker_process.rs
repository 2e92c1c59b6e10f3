//! A broker process of one's own, in a folder of one's own: this very program, run as `daypassd`. For quickstart and
//! bench, which show and measure the real thing.

use std::{
    ffi::OsString,
    fmt, fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use daypass_credential::EnrollmentCode;
use daypass_sdk::{Address, make_private_folder, write_private};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::failure::Failure;

/// Becomes the broker: hands the rest of the command line to it. One that is tied stops with the process that started
/// it, even if that one is killed; on Linux only, as elsewhere the system has no such thing.
pub(crate) fn become_broker(tied: Option<u32>, arguments: Vec<OsString>) -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Some(parent) = tied
        && !tie_to(parent)
    {
        return ExitCode::FAILURE;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = tied;
    daypass_broker::daypassd(std::iter::once("daypassd".into()).chain(arguments).collect())
}

/// Asks for a signal when the parent ends. One that ended before that was asked sends none: then this is somebody
/// else's child by now.
#[cfg(target_os = "linux")]
fn tie_to(parent: u32) -> bool {
    let asked = rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).is_ok();
    let now = rustix::process::getppid().and_then(|pid| u32::try_from(pid.as_raw_pid()).ok());
    asked && now == Some(parent)
}

/// The folder of a broker: its configuration, its key, its store and its log.
#[derive(Debug)]
pub(crate) struct Site {
    folder: PathBuf,
}

/// What `daypassd init` answers, as far as it matters here.
#[derive(Deserialize)]
pub(crate) struct Begun {
    pub(crate) era: String,
    pub(crate) root_sha256: String,
    enrollment_code: String,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("era", &self.era).finish_non_exhaustive()
    }
}

impl Begun {
    /// The first admin's code.
    pub(crate) fn code(&self) -> Result<EnrollmentCode, Failure> {
        self.enrollment_code.parse().map_err(|error| Failure::Internal(format!("init gave no code: {error}")))
    }
}

impl Site {
    /// Makes the folder, and the configuration in it.
    pub(crate) fn prepare(folder: PathBuf) -> Result<Self, Failure> {
        make_private_folder(&folder)?;
        let site = Self { folder };
        site.configure("127.0.0.1:0")?;
        Ok(site)
    }

    /// A copy of all that lies here, in another folder, durable before anybody works on it: what is still to be written
    /// out would slow them. No broker may be running here.
    pub(crate) fn copy_to(&self, folder: PathBuf) -> Result<Self, Failure> {
        copy_folder(&self.folder, &folder)
            .map_err(|error| Failure::Internal(format!("cannot copy the broker's folder: {error}")))?;
        Self::prepare(folder)
    }

    /// Writes the configuration: with port 0 for any, or with the one that others know by now.
    pub(crate) fn configure(&self, listen: &str) -> Result<(), Failure> {
        let configuration = Configuration {
            data_dir: self.folder.join("data"),
            listen,
            trust_domain: "quickstart.example",
            names: ["localhost", "127.0.0.1"],
            key_file: self.folder.join("broker.key"),
            log: Log { level: "info", format: "text" },
        };
        let text =
            toml::to_string_pretty(&configuration).map_err(|error| Failure::Internal(error.to_string()))?;
        Ok(write_private(&self.configuration(), text.as_bytes())?)
    }

    /// Makes the broker's keys and its first admin.
    pub(crate) async fn init(&self, admin: &str, public_key: &Path) -> Result<Begun, Failure> {
        let mut command = self.command("init")?;
        command.args(["--admin", admin, "-o", "json", "--admin-key"]).arg(public_key);
        let output =
            command.output().await.map_err(|error| Failure::Internal(format!("cannot run init: {error}")))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::Internal(format!("init failed ({}): {}", output.status, words.trim())));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::Internal(format!("init answers oddly: {error}")))
    }

    /// Starts the broker, and waits until it listens.
    pub(crate) async fn serve(&self) -> Result<BrokerProcess, Failure> {
        let (ready, log) = (self.folder.join("ready.json"), self.log());
        drop(fs::remove_file(&ready));
        let failed = |error| Failure::Internal(format!("cannot start the broker: {error}"));
        let log = fs::File::create(log).map_err(failed)?;
        let mut command = self.command("serve")?;
        command.arg("--ready-file").arg(&ready);
        command.stdout(log.try_clone().map_err(failed)?).stderr(log);
        let mut child = command.spawn().map_err(failed)?;
        let address = wait_until_ready(&mut child, &ready).await?;
        Ok(BrokerProcess { child, address })
    }

    /// The end of its log, for when something went wrong.
    pub(crate) fn log_tail(&self) -> Option<String> {
        let text = fs::read(self.log()).ok()?;
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        let tail: Vec<_> = lines.into_iter().rev().collect();
        (!tail.is_empty()).then(|| tail.join("\n"))
    }

    pub(crate) fn configuration(&self) -> PathBuf {
        self.folder.join("daypassd.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("broker.log")
    }

    fn command(&self, verb: &str) -> Result<Command, Failure> {
        let this = std::env::current_exe();
        let mut command = Command::new(
            this.map_err(|error| Failure::Internal(format!("cannot find this program: {error}")))?,
        );
        command.args(["daypassd", "--tied", &std::process::id().to_string(), verb, "--config"]);
        command.arg(self.configuration());
        command.stdin(Stdio::null()).kill_on_drop(true);
        // In a group of its own, so that an interrupt from the terminal reaches this process alone, which then stops it.
        command.process_group(0);
        // What the environment says is meant for another broker.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DAYPASSD_"))
        {
            command.env_remove(name);
        }
        Ok(command)
    }
}

/// Copies files and folders with their permissions. Anything else is left out, which a broker that is stopped has not.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, place) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() {
            copy_folder(&entry, &place)?;
        } else if entry.is_file() {
            fs::copy(&entry, &place)?;
            fs::File::open(&place)?.sync_all()?;
        }
    }
    fs::File::open(to)?.sync_all()
}

async fn wait_until_ready(child: &mut Child, ready: &Path) -> Result<Address, Failure> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(text) = fs::read(ready) {
            let ready: Ready = serde_json::from_slice(&text)
                .map_err(|error| Failure::Internal(format!("the broker's ready file is odd: {error}")))?;
            return Ok(ready.address.parse()?);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(Failure::Internal(format!("the broker ended while it started ({status})")));
        }
        if Instant::now() > deadline {
            return Err(Failure::Internal(format!(
                "the broker did not start within {} s",
                START_TIMEOUT.as_secs()
            )));
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// A broker that runs. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct BrokerProcess {
    child: Child,
    address: Address,
}

impl BrokerProcess {
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// Its process id; none once it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Tells it to stop, and sees that it ends well.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Failure::Internal("the broker had ended by itself".into()))?;
        kill_process(pid, Signal::TERM)
            .map_err(|error| Failure::Internal(format!("cannot stop the broker: {error}")))?;
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Failure::Internal(format!("the broker did not end well ({status})"))),
            Ok(Err(error)) => Err(Failure::Internal(format!("cannot wait for the broker: {error}"))),
            Err(_) => {
                drop(self.child.kill().await);
                Err(Failure::Internal(format!("the broker did not stop within {} s", STOP_TIMEOUT.as_secs())))
            }
        }
    }
}

/// The broker's configuration file.
#[derive(Serialize)]
struct Configuration<'a> {
    data_dir: PathBuf,
    listen: &'a str,
    trust_domain: &'static str,
    names: [&'static str; 2],
    key_file: PathBuf,
    log: Log,
}

#[derive(Serialize)]
struct Log {
    level: &'static str,
    format: &'static str,
}

/// The broker's ready file.
#[derive(Deserialize)]
struct Ready {
    address: String,
}

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_names_folders_that_need_quoting() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::prepare(folder.path().join("a \"quoted\" place")).unwrap();
        let text = fs::read_to_string(site.configuration()).unwrap();
        let read: toml::Table = text.parse().unwrap();
        assert!(read["data_dir"].as_str().unwrap().ends_with("a \"quoted\" place/data"), "{text}");
        assert_eq!(read["log"]["level"].as_str(), Some("info"));
    }

    #[test]
    fn a_copy_has_everything_and_a_configuration_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::prepare(folder.path().join("broker")).unwrap();
        write_private(&site.folder.join("broker.key"), b"secret").unwrap();
        fs::create_dir(site.folder.join("data")).unwrap();
        fs::write(site.folder.join("data/store"), "nodes").unwrap();
        let copy = site.copy_to(folder.path().join("again")).unwrap();
        assert_eq!(fs::read_to_string(copy.folder.join("data/store")).unwrap(), "nodes");
        let key = fs::metadata(copy.folder.join("broker.key")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
        let text = fs::read_to_string(copy.configuration()).unwrap();
        assert!(text.contains("/again/data") && !text.contains("/broker/data"), "{text}");
        assert!(site.copy_to(folder.path().join("again")).is_err(), "nothing is copied over something");
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let site = Site::prepare(folder.path().join("broker")).unwrap();
        assert_eq!(site.log_tail(), None);
        let lines: Vec<_> = (1..=30).map(|n| n.to_string()).collect();
        fs::write(site.log(), lines.join("\n")).unwrap();
        let tail = site.log_tail().unwrap();
        assert!(tail.starts_with("11\n") && tail.ends_with("\n30"), "{tail}");
    }
}
