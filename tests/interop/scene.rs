//! The broker that the tools meet, with what was minted for them, in memory and as files.

use std::{fs, path::PathBuf, process::Command};

use daypass_credential::Ttl;
use daypass_sdk::{Application, Connection, PrivateKey, TokenRequest, TrustBundle};

use crate::support::{World, name, openssl_csr, reached, scopes};

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) application: Application,
    pub(crate) bundle: TrustBundle,
    /// A client certificate for `billing`, and another one.
    pub(crate) own: Vec<u8>,
    pub(crate) other: Vec<u8>,
    /// The application's identity certificate.
    pub(crate) identity: Vec<u8>,
    pub(crate) token: String,
    pub(crate) expired: String,
    dir: PathBuf,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let world = World::new().await;
        let application = world.application("sync", "sync").await;
        let connection: &Connection = application.connection();
        let bundle = connection.trust_bundle(None).await.unwrap();
        let own = application.certificate(&name("billing"), None).await.unwrap();
        let other = application.certificate(&name("billing"), None).await.unwrap();
        let (audience, scopes) = (name("billing"), scopes("invoices.read"));
        let request =
            TokenRequest { audience: &audience, scopes: &scopes, certificate: Some(own.leaf()), ttl: None };
        let token = application.token(&request).await.unwrap().reveal().to_owned();
        let brief = TokenRequest { ttl: Some(Ttl::seconds(2)), ..request };
        let brief = application.token(&brief).await.unwrap();
        reached(brief.expires_at).await;
        let proof = world.broker.home("sync").identity().unwrap().proof();
        let dir = world.broker.path().join("interop");
        fs::create_dir(&dir).unwrap();
        let scene = Self {
            application,
            own: own.leaf().to_vec(),
            other: other.leaf().to_vec(),
            identity: proof.chain[0].to_vec(),
            token,
            expired: brief.reveal().to_owned(),
            bundle,
            dir,
            world,
        };
        scene.write(&proof.key, own.key());
        scene
    }

    /// What the tools read from files, each certificate in PEM.
    fn write(&self, identity_key: &PrivateKey, own_key: &PrivateKey) {
        self.put("own", &self.own);
        self.put("identity", &self.identity);
        self.put("root", &self.bundle.broker_roots[0]);
        for audience in &self.bundle.audiences {
            self.put(audience.audience.as_str(), &audience.roots[0]);
        }
        fs::write(self.file("identity.key"), identity_key.to_pem().as_bytes()).unwrap();
        fs::write(self.file("own.key"), own_key.to_pem().as_bytes()).unwrap();
    }

    pub(crate) fn put(&self, file: &str, der: &[u8]) {
        fs::write(self.file(file), pem(der)).unwrap();
    }

    pub(crate) fn file(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.file(file)).unwrap()
    }

    pub(crate) fn address(&self) -> String {
        self.world.broker.address().to_string()
    }

    /// A program that runs among the files.
    pub(crate) fn program(&self, program: &str, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.dir).args(arguments.split_whitespace());
        command
    }

    pub(crate) fn csr(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        openssl_csr(&self.dir, arguments)
    }
}

/// A certificate as text (RFC 7468).
fn pem(der: &[u8]) -> String {
    let text = base64(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(bytes)
}
