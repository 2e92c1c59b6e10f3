//! A real broker process with a small directory, for the stories: started from the built binary, on a real store.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "shared by tests, each of which uses a part"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use daypass_credential::{EnrollmentCode, Name, NodeId, Revision, ScopeSet};
use daypass_proto::v1;
use daypass_sdk::{
    Address, Application, ClientCertificate, Connection, Directory, Error, Home, Identity, Introspector,
    PrivateKey, Token, TokenRequest,
};
use tempfile::TempDir;

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(crate) fn id(text: &str) -> NodeId {
    text.parse().unwrap()
}

pub(crate) fn scopes(text: &str) -> ScopeSet {
    text.parse().unwrap()
}

/// The reason that a call was refused with.
#[track_caller]
pub(crate) fn reason<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.reason().unwrap_or_else(|| panic!("no refusal: {error:?}")).to_owned(),
    }
}

/// A broker in a directory of its own.
pub(crate) struct Broker {
    dir: TempDir,
    /// Where its store and its key file lie.
    place: PathBuf,
    child: Option<Child>,
    address: Option<Address>,
    admin_key: PrivateKey,
    code: EnrollmentCode,
    log_key: String,
}

impl Broker {
    /// Initialises a broker; `extra` is added to its configuration.
    pub(crate) fn init(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_owned();
        Self::init_at(dir, place, extra)
    }

    /// The same with its store and its key file elsewhere, as on another disk.
    pub(crate) fn init_at(dir: TempDir, place: PathBuf, extra: &str) -> Self {
        Self::try_init_at(dir, place, extra).map_err(|(_, said)| said).unwrap()
    }

    /// The same where it may fail: then the directory is given back, with what the broker said.
    pub(crate) fn try_init_at(dir: TempDir, place: PathBuf, extra: &str) -> Result<Self, (TempDir, String)> {
        let config = format!(
            "data_dir = {:?}\nlisten = \"127.0.0.1:0\"\ntrust_domain = \"test.example\"\nkey_file = {:?}\n{extra}",
            place.join("data"),
            place.join("key")
        );
        fs::write(dir.path().join("daypassd.toml"), config).unwrap();
        let admin_key = PrivateKey::generate().unwrap();
        fs::write(dir.path().join("admin.pub"), admin_key.public_pem()).unwrap();
        let output = daypassd(dir.path(), &["init", "--admin", "dana", "-o", "json"])
            .arg("--admin-key")
            .arg(dir.path().join("admin.pub"))
            .output()
            .unwrap();
        if !output.status.success() {
            return Err((dir, String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        let begun: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let code = begun["enrollment_code"].as_str().unwrap().parse().unwrap();
        let log_key = begun["log_key"].as_str().unwrap().to_owned();
        Ok(Self { dir, place, child: None, address: None, admin_key, code, log_key })
    }

    /// Initialises and serves.
    pub(crate) async fn start() -> Self {
        let mut broker = Self::init("");
        broker.serve().await;
        broker
    }

    /// Begins to serve, and does not wait until it listens. A second time it listens where it did before.
    pub(crate) fn spawn(&mut self) {
        self.spawn_under(&[]);
    }

    /// The same under another program, which measures it.
    pub(crate) fn spawn_under(&mut self, wrapper: &[&str]) {
        let ready = self.dir.path().join("ready");
        let _none = fs::remove_file(&ready);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut words = wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_daypassd")]);
        let mut command = Command::new(words.next().unwrap());
        let child = command
            .args(words)
            .args(["serve", "--ready-file"])
            .arg(&ready)
            .env("DAYPASSD_CONFIG", self.dir.path().join("daypassd.toml"))
            .envs(self.address.iter().map(|address| ("DAYPASSD_LISTEN", address.to_string())))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Serves; returns once it listens.
    pub(crate) async fn serve(&mut self) {
        self.spawn();
        self.listens().await;
    }

    /// Waits until it listens.
    pub(crate) async fn listens(&mut self) {
        let ready = self.dir.path().join("ready");
        let begun = Instant::now();
        let address = loop {
            if let Ok(text) = fs::read(&ready) {
                let ready: serde_json::Value = serde_json::from_slice(&text).unwrap();
                break ready["address"].as_str().unwrap().to_owned();
            }
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the broker ended with {status}: {}", self.log());
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "the broker is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        self.address = Some(address.parse().unwrap());
    }

    /// The process that serves, or the one that measures it.
    pub(crate) fn process(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.place.join("data/store")
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> &Address {
        self.address.as_ref().unwrap()
    }

    pub(crate) fn first_code(&self) -> &EnrollmentCode {
        &self.code
    }

    /// The key that signs its log, as `init` said.
    pub(crate) fn log_key(&self) -> &str {
        &self.log_key
    }

    pub(crate) fn admin_key(&self) -> &PrivateKey {
        &self.admin_key
    }

    /// Kills it as a power cut would, the disk aside.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Tells it to end, and waits; true if it ended well.
    pub(crate) async fn stop(&mut self) -> bool {
        let mut child = self.child.take().unwrap();
        let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(killed.success());
        // Connections of this process have to hear that the broker goes away, meanwhile.
        tokio::task::spawn_blocking(move || child.wait().unwrap().success()).await.unwrap()
    }

    /// Waits until it ends by itself, and tells its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                return status.code();
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "the broker does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A command of `daypassd` with this broker's configuration.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        daypassd(self.dir.path(), args)
    }

    pub(crate) fn home(&self, who: &str) -> Home {
        Home::at(self.dir.path().join("homes").join(who))
    }

    /// Enrols somebody by a code.
    pub(crate) async fn enroll(&self, who: &str, code: &EnrollmentCode) -> Result<Identity, Error> {
        fs::create_dir_all(self.dir.path().join("homes")).unwrap();
        daypass_sdk::enroll(&self.home(who), self.address(), code, None).await
    }

    /// The first admin, enrolled with the key given at init.
    pub(crate) async fn admin(&self) -> Connection {
        let home = self.home("dana");
        let identity = if let Ok(identity) = home.identity() {
            identity
        } else {
            fs::create_dir_all(self.dir.path().join("homes")).unwrap();
            let key = PrivateKey::from_pem(self.admin_key.to_pem().as_bytes()).unwrap();
            daypass_sdk::enroll(&home, self.address(), &self.code, Some(key)).await.unwrap()
        };
        Connection::open(&identity).await.unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill();
            let _gone = child.wait();
            if std::thread::panicking() {
                eprintln!("--- the broker's log ---\n{}", self.log());
            }
        }
    }
}

fn daypassd(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_daypassd"));
    command.args(args).env("DAYPASSD_CONFIG", dir.join("daypassd.toml"));
    command
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn at(secs: u64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: i64::try_from(secs).unwrap(), nanos: 0 })
}

pub(crate) fn person(name: &str, roles: &[v1::Role]) -> v1::Object {
    object(v1::object::Kind::Person(v1::Person {
        name: name.into(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        contact: format!("{name}@company.example"),
    }))
}

pub(crate) fn vendor(name: &str, parent: &str) -> v1::Object {
    object(v1::object::Kind::Vendor(v1::Vendor {
        name: name.into(),
        parent: parent.into(),
        owner: "rita".into(),
    }))
}

pub(crate) fn contract(name: &str, vendor: &str, start: u64, end: u64) -> v1::Contract {
    v1::Contract {
        name: name.into(),
        vendor: vendor.into(),
        reference: "PO 2026/118".into(),
        parent: String::new(),
        start: at(start),
        end: at(end),
        classifications: vec![v1::Classification::Internal.into(), v1::Classification::Confidential.into()],
    }
}

pub(crate) fn rule(scope: &str, tier: v1::Tier) -> v1::ScopeRule {
    v1::ScopeRule {
        scope: scope.into(),
        classification: v1::Classification::Internal.into(),
        tier: tier.into(),
        max_ttl_seconds: 900,
        unbound: false,
    }
}

pub(crate) fn audience(name: &str, environment: &str) -> v1::Object {
    object(v1::object::Kind::Audience(v1::Audience {
        name: name.into(),
        environment: environment.into(),
        scopes: vec![
            rule("invoices.read", v1::Tier::Standing),
            rule("invoices.write", v1::Tier::Standing),
            rule("customers.export", v1::Tier::Jit),
            v1::ScopeRule { unbound: true, ..rule("status.read", v1::Tier::Standing) },
        ],
        staleness_seconds: 30,
    }))
}

pub(crate) fn application(name: &str, vendor: &str, contract: &str) -> v1::Application {
    v1::Application {
        name: name.into(),
        vendor: vendor.into(),
        contract: contract.into(),
        environment: "production".into(),
        purpose: "collect invoices each night".into(),
        classification: v1::Classification::Confidential.into(),
        owners: Some(v1::Owners {
            business: "bea".into(),
            technical: "tom".into(),
            relationship: "rita".into(),
        }),
        entitlements: vec![v1::Entitlement {
            audience: "billing".into(),
            scopes: vec!["customers.export".into(), "invoices.read".into(), "status.read".into()],
        }],
        instances: 2,
        max_ttl_seconds: 0,
    }
}

pub(crate) fn verifier(name: &str, audiences: &[&str]) -> v1::Object {
    object(v1::object::Kind::Verifier(v1::Verifier {
        name: name.into(),
        audiences: audiences.iter().map(ToString::to_string).collect(),
    }))
}

pub(crate) fn object(kind: v1::object::Kind) -> v1::Object {
    v1::Object { kind: Some(kind) }
}

/// A broker with a directory: vendor `acme` (contract `acme-2026`, applications `sync` and `other`), vendor `globex`
/// with one application `courier`, audiences `billing` and `shipping` in production and `billing-staging` in staging,
/// verifiers `billing-api` and `shipping-api`, persons `bea`, `tom`, `rita`, `audrey` (auditor), admin `dana`.
pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) admin: Connection,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(Broker::start().await).await
    }

    /// The same over a broker that serves.
    pub(crate) async fn over(broker: Broker) -> Self {
        let admin = broker.admin().await;
        let world = Self { broker, admin };
        for name in ["bea", "tom", "rita"] {
            world.put(person(name, &[])).await;
        }
        world.put(person("audrey", &[v1::Role::Auditor])).await;
        world.put(audience("billing", "production")).await;
        world.put(audience("shipping", "production")).await;
        world.put(audience("billing-staging", "staging")).await;
        for (vendor_name, applications) in [("acme", &["sync", "other"][..]), ("globex", &["courier"])] {
            world.put(vendor(vendor_name, "")).await;
            let term = contract(&format!("{vendor_name}-2026"), vendor_name, now() - 3600, now() + 86_400);
            let term_name = term.name.clone();
            world.put(object(v1::object::Kind::Contract(term))).await;
            for name in applications {
                let application = application(name, vendor_name, &term_name);
                world.put(object(v1::object::Kind::Application(application))).await;
            }
        }
        world.put(verifier("billing-api", &["billing"])).await;
        world.put(verifier("shipping-api", &["shipping"])).await;
        world
    }

    #[track_caller]
    pub(crate) fn put(&self, object: v1::Object) -> impl Future<Output = Revision> {
        let directory = Directory::over(self.admin.clone());
        async move { directory.put(object, None).await.unwrap().revision }
    }

    pub(crate) async fn code(&self, subject: &str) -> EnrollmentCode {
        Directory::over(self.admin.clone()).open_enrollment(&id(subject), None).await.unwrap().code
    }

    /// Enrols a subject, as a new instance called `who` here.
    pub(crate) async fn enrolled(&self, who: &str, subject: &str) -> Connection {
        let identity = self.broker.enroll(who, &self.code(subject).await).await.unwrap();
        Connection::open(&identity).await.unwrap()
    }

    pub(crate) async fn application(&self, who: &str, name: &str) -> Application {
        Application::over(self.enrolled(who, &format!("application:{name}")).await).unwrap()
    }

    pub(crate) async fn verifier(&self, name: &str) -> Introspector {
        Introspector::over(self.enrolled(name, &format!("verifier:{name}")).await).unwrap()
    }
}

/// A certificate and a token bound to it, for `invoices.read` at `billing`.
pub(crate) async fn mint(application: &Application) -> Result<(ClientCertificate, Token), Error> {
    let certificate = application.certificate(&name("billing"), None).await?;
    let token = token(application, &certificate, "invoices.read").await?;
    Ok((certificate, token))
}

pub(crate) async fn token(
    application: &Application,
    certificate: &ClientCertificate,
    wanted: &str,
) -> Result<Token, Error> {
    let (audience, scopes) = (name("billing"), scopes(wanted));
    let request = TokenRequest {
        audience: &audience,
        scopes: &scopes,
        certificate: Some(certificate.leaf()),
        ttl: None,
    };
    application.token(&request).await
}

/// How large a story is: the variable, or the short form.
pub(crate) fn size(variable: &str, short: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(short)
}

/// Writes a story's figures where they are asked for.
pub(crate) fn show(figures: &serde_json::Value) {
    if let Ok(path) = std::env::var("DAYPASS_SHOW_FILE") {
        fs::write(path, figures.to_string()).unwrap();
    }
    eprintln!("{figures}");
}

impl World {
    /// The newest revision.
    pub(crate) async fn revision(&self) -> Revision {
        self.admin.ping().await.unwrap().revision
    }

    /// Stops the broker, and demands that its log holds nothing but refusals after `mark`.
    pub(crate) async fn only_refusals_since(&mut self, mark: Revision) {
        use daypass_core::{Action, Event};
        use daypass_store::{Check, Options, Sled, Store};
        assert!(self.broker.stop().await, "{}", self.broker.log());
        let options = Options { check: Check::Whole, ..Options::default() };
        let store = Sled::open(&self.broker.store_path(), options).unwrap();
        for entry in store.log(mark, 100_000).await.unwrap() {
            let event = Event::from_bytes(&entry.event).unwrap();
            let refusal = matches!(event.action, Action::Refused { .. } | Action::RefusalsCounted { .. });
            assert!(refusal && event.puts.is_empty(), "{event:?}");
        }
    }
}

/// Waits until an instant that the broker named is over.
pub(crate) async fn reached(at: daypass_credential::Timestamp) {
    let millis = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    while millis() <= at.as_millis() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A certificate request in DER that openssl makes; none where there is no openssl and that is allowed.
pub(crate) fn openssl_csr(dir: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let out = dir.join("request.der");
    let made = Command::new("openssl")
        .args(["req", "-new", "-nodes", "-subj", "/CN=x", "-outform", "DER", "-keyout", "/dev/null", "-out"])
        .arg(&out)
        .args(args)
        .output();
    match made {
        Ok(made) => {
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
            Some(fs::read(out).unwrap())
        }
        Err(error) => {
            left_out("openssl", &error);
            None
        }
    }
}

impl World {
    /// Waits until the admin's connection has found its way back after a restart.
    pub(crate) async fn settled(&self) {
        for _ in 0..200 {
            // Any answer of the broker's will do, a refusal too.
            match self.admin.ping().await {
                Ok(_) => return,
                Err(error) if error.reason().is_some() => return,
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the broker does not answer after its restart");
    }
}

/// A TLS connection without a certificate that says nothing, once it is established; none where there is no openssl
/// and that is allowed.
pub(crate) async fn silent_tls(broker: &Broker) -> Option<tokio::process::Child> {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let child = tokio::process::Command::new("openssl")
        .args(["s_client", "-alpn", "h2", "-connect", &broker.address().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            left_out("openssl", &error);
            return None;
        }
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("Verify return code") {
            break;
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(child)
}

/// A tool is missing: that fails where everything is required, and is said where not.
pub(crate) fn left_out(tool: &str, error: &std::io::Error) {
    assert!(std::env::var_os("DAYPASS_REQUIRE_ALL").is_none(), "{tool}: {error}");
    eprintln!("left out: {tool} is missing");
}

/// Waits until the broker has closed this connection.
pub(crate) async fn closed(mut connection: tokio::process::Child) {
    let ended = tokio::time::timeout(Duration::from_secs(30), connection.wait()).await;
    assert!(ended.is_ok(), "a silent connection stays open");
}
