//! The operator's socket: a running broker hands its backup to whoever runs on the same machine as the same user. It
//! lies in the data directory, which is that user's alone, and asks the system who is at the other end.

use std::{fs, io, os::unix::fs::PermissionsExt, path::PathBuf, sync::Arc, time::Duration};

use daypass_store::{Backup, Store, broken_off};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

use crate::config::Config;

/// What is asked for.
pub(super) const BACKUP: &[u8] = b"backup\n";
/// How long whoever asks may take to say what, or to take a piece of the answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the socket of this configuration's broker is.
pub(super) fn path(config: &Config) -> PathBuf {
    config.data_dir.join("operator.sock")
}

/// The socket while the broker runs.
pub(super) struct Operator {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
        let _gone = fs::remove_file(&self.path);
    }
}

/// Listens for the operator. Whoever has the store open is alone in the data directory, so that a socket found there
/// is of a broker that was killed.
pub(super) fn listen(config: &Config, store: Arc<dyn Store>) -> io::Result<Operator> {
    let path = path(config);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(Operator { path, task: tokio::spawn(accept(listener, store)) })
}

async fn accept(listener: UnixListener, store: Arc<dyn Store>) {
    // A backup reads the whole log: one at a time.
    let place = Arc::new(Semaphore::new(1));
    loop {
        match listener.accept().await {
            Ok((stream, _)) if is_ours(&stream) => {
                tokio::spawn(serve(stream, store.clone(), place.clone()));
            }
            Ok(_) => tracing::warn!("somebody else's user tried the operator's socket"),
            Err(error) => {
                tracing::warn!(%error, "the operator's socket");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Is the other end the broker's own user, or root?
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own.as_raw() || peer.uid() == 0)
}

async fn serve(mut stream: UnixStream, store: Arc<dyn Store>, place: Arc<Semaphore>) {
    let mut asked = [0; BACKUP.len()];
    let heard = timeout(PATIENCE, stream.read_exact(&mut asked)).await;
    if !matches!(heard, Ok(Ok(_))) || asked != BACKUP {
        let _gone = stream.write_all(&broken_off("the broker does not know what is asked for")).await;
        return;
    }
    let Ok(_place) = place.try_acquire() else {
        let _gone = stream.write_all(&broken_off("another backup is being made")).await;
        return;
    };
    match send(&*store, &mut stream).await {
        Ok(revision) => tracing::info!(%revision, "a backup was made"),
        Err(error) => tracing::error!(error, "a backup could not be made"),
    }
}

/// Sends a backup of the store; where that fails, the other end hears why.
pub(super) async fn send(
    store: &dyn Store,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<daypass_credential::Revision, String> {
    let mut backup = Backup::of(store);
    loop {
        let piece = match backup.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => {
                let _gone = out.write_all(&broken_off(&error.to_string())).await;
                return Err(error.to_string());
            }
        };
        let sent = timeout(PATIENCE, out.write_all(&piece)).await;
        sent.map_err(|_| "nobody takes it".to_owned())?.map_err(|error| error.to_string())?;
    }
    out.shutdown().await.map_err(|error| error.to_string())?;
    Ok(backup.upto())
}
