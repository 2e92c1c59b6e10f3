//! A relying party with a protocol of its own, on plain tokio-rustls: lines come in, and each is answered only if the
//! certificate of the connection is good at that moment. A connection ends with its certificate.
//!
//! ```sh
//! cargo run -p daypass-sdk --features verify --example tls_service -- \
//!     /var/lib/billing/daypass 0.0.0.0:8444 server.pem server-key.pem
//! ```

use std::{env, error::Error, fs, io, sync::Arc, time::Duration};

use daypass_credential::Name;
use daypass_sdk::{
    Home, Keeper, Options, PrivateKey,
    verifier::{self, Guarded, Verifier, Without},
};
use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

type Fault = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let [home, address, chain, key] = &env::args().skip(1).collect::<Vec<_>>()[..] else {
        return Err("give the home, the address to listen on, and the server's certificate and key".into());
    };
    let chain = daypass_sdk::certificates_from_pem(&fs::read(chain)?)?;
    let key = PrivateKey::from_pem(&fs::read(key)?)?;
    serve(Home::at(home), TcpListener::bind(address).await?, chain, key).await
}

/// Serves until the program ends.
pub(crate) async fn serve(
    home: Home,
    listener: TcpListener,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKey,
) -> Result<(), Fault> {
    let keeper = Keeper::start(home, &Options::default()).await?;
    let audience: Name = "billing".parse()?;
    let verifier = Verifier::start(&keeper.connection(), &verifier::Options::of([audience]))?;
    verifier.ready().await?;

    let config = verifier::server_config(chain, key.der(), &verifier, Without::Refuse)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            // Out of descriptors, or a connection that was gone at once: neither ends the service.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (acceptor, verifier) = (acceptor.clone(), verifier.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(socket, acceptor, verifier).await {
                eprintln!("{error}");
            }
        });
    }
}

/// Answers lines until the caller goes, or may ask no more.
async fn answer(socket: TcpStream, acceptor: TlsAcceptor, verifier: Verifier) -> Result<(), Fault> {
    let stream = timeout(HANDSHAKE, acceptor.accept(socket)).await??;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.ok_or("no certificate")?.clone().into_owned();
    let mut stream = BufStream::new(Guarded::new(stream, &shown, &verifier)?);
    let mut line = String::new();
    while (&mut stream).take(LONGEST).read_line(&mut line).await? > 0 {
        // Open connections outlast a while in which nothing is heard of the broker; their requests do not.
        let answer = match stream.get_ref().check() {
            Ok(()) => format!("{} for {}\n", line.trim_end(), stream.get_ref().certificate().subject().name),
            Err(refused) if refused.is_own_state() => "cannot check now\n".to_owned(),
            Err(refused) => return Err(io::Error::new(io::ErrorKind::PermissionDenied, refused).into()),
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        line.clear();
    }
    Ok(())
}

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long to wait after an accept that failed.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest line that is read.
const LONGEST: u64 = 1_024;
