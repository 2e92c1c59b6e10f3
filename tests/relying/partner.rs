//! The partner: holds a credential and connections that it opened with it, and tries all of them again when it is told to.

use std::{collections::BTreeMap, fs, sync::Arc};

use bytes::Bytes;
use daypass_sdk::{Application, Connection, Credential, Credentials, Home};
use http_body_util::Empty;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, HandshakeKind},
};

use crate::{
    child::{commands, say},
    support::{name, scopes},
};

/// Answers each `try` with what was accepted over which connection.
pub(crate) async fn run(knows: &BTreeMap<String, String>) {
    let identity = Home::at(&knows["home"]).identity().unwrap();
    let application = Application::over(Connection::open(&identity).await.unwrap()).unwrap();
    let credentials = Credentials::of(application);
    let held = credentials.credential(&name("billing"), &scopes("invoices.read")).await.unwrap();
    let roots = daypass_sdk::certificates_from_pem(&fs::read(&knows["chain"]).unwrap()).unwrap();
    let mut axum = Axum::new(&knows["axum"], &held, &roots).await;
    let mut tls = Tls::new(&knows["tls"], &held, &roots).await;
    say(&json!({ "ready": true }));
    let mut commands = commands();
    while let Ok(Some(_)) = commands.next_line().await {
        say(&json!({ "axum": axum.attempt().await.said(), "tls": tls.attempt().await.said() }));
    }
}

/// Connections to one place with one credential.
struct Way {
    at: String,
    config: Arc<ClientConfig>,
}

impl Way {
    fn new(port: &str, held: &Credential, roots: &[CertificateDer<'static>]) -> Self {
        // Resumption is on here, as it is in any client; each config has a memory of its own.
        let config = held.proof().client_config(roots).unwrap();
        Self { at: format!("127.0.0.1:{port}"), config: Arc::new(config) }
    }

    /// Connects, and says whether the handshake was a resumption.
    async fn connect(&self) -> Option<(TlsStream<TcpStream>, bool)> {
        let socket = TcpStream::connect(&self.at).await.ok()?;
        let server = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(self.config.clone()).connect(server, socket).await.ok()?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Some((stream, resumed))
    }
}

/// What was accepted: over a connection made for it, over one that was open, and over one that wanted to resume.
struct Accepted {
    new: bool,
    open: bool,
    resumed: bool,
    /// Was any handshake shortened?
    shortened: bool,
}

impl Accepted {
    fn said(&self) -> Value {
        json!({ "new": self.new, "open": self.open, "resumed": self.resumed, "shortened": self.shortened })
    }
}

struct Axum {
    bearer: String,
    way: Way,
    fresh: Way,
    open: Option<SendRequest<Empty<Bytes>>>,
}

impl Axum {
    async fn new(port: &str, held: &Credential, roots: &[CertificateDer<'static>]) -> Self {
        let (way, fresh) = (Way::new(port, held, roots), Way::new(port, held, roots));
        let bearer = format!("Bearer {}", held.token().reveal());
        let mut axum = Self { bearer, way, fresh, open: None };
        axum.open = axum.opened(&axum.way).await.map(|(open, _)| open);
        axum
    }

    async fn opened(&self, way: &Way) -> Option<(SendRequest<Empty<Bytes>>, bool)> {
        let (stream, resumed) = way.connect().await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        Some((sender, resumed))
    }

    async fn get(&self, sender: &mut SendRequest<Empty<Bytes>>) -> bool {
        let request = hyper::Request::get("/invoices")
            .header("host", "localhost")
            .header("authorization", &self.bearer)
            .body(Empty::new())
            .unwrap();
        sender.send_request(request).await.is_ok_and(|answer| answer.status().is_success())
    }

    async fn attempt(&mut self) -> Accepted {
        let mut open = self.open.take();
        let over_open = match &mut open {
            Some(sender) => self.get(sender).await,
            None => false,
        };
        self.open = open;
        // A config without a memory of this server, and then the one that has been there before.
        let new = self.opened(&self.fresh).await;
        let again = self.opened(&self.way).await;
        let shortened = [&new, &again].into_iter().flatten().any(|(_, resumed)| *resumed);
        let mut tried = [false, false];
        for (tried, opened) in tried.iter_mut().zip([new, again]) {
            if let Some((mut sender, _)) = opened {
                *tried = self.get(&mut sender).await;
            }
        }
        Accepted { new: tried[0], open: over_open, resumed: tried[1], shortened }
    }
}

struct Tls {
    way: Way,
    fresh: Way,
    open: Option<BufReader<TlsStream<TcpStream>>>,
}

impl Tls {
    async fn new(port: &str, held: &Credential, roots: &[CertificateDer<'static>]) -> Self {
        let (way, fresh) = (Way::new(port, held, roots), Way::new(port, held, roots));
        let open = way.connect().await.map(|(stream, _)| BufReader::new(stream));
        Self { way, fresh, open }
    }

    async fn attempt(&mut self) -> Accepted {
        let open = match &mut self.open {
            Some(stream) => line(stream).await,
            None => false,
        };
        let (new, again) = (self.fresh.connect().await, self.way.connect().await);
        let shortened = [&new, &again].into_iter().flatten().any(|(_, resumed)| *resumed);
        let mut tried = [false, false];
        for (tried, opened) in tried.iter_mut().zip([new, again]) {
            if let Some((stream, _)) = opened {
                *tried = line(&mut BufReader::new(stream)).await;
            }
        }
        Accepted { new: tried[0], open, resumed: tried[1], shortened }
    }
}

/// Asks for one line; true if what comes is what those get who are let in.
async fn line(stream: &mut BufReader<TlsStream<TcpStream>>) -> bool {
    if stream.write_all(b"invoices\n").await.is_err() || stream.flush().await.is_err() {
        return false;
    }
    let mut answer = String::new();
    stream.read_line(&mut answer).await.is_ok() && answer == "invoices for sync\n"
}
