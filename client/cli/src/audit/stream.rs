//! An export as it comes from a broker, read by code that does not wait in the way that the network does.

use std::io::{self, Read};

use bytes::Bytes;
use daypass_sdk::Export;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// The bytes of an export under way.
pub(super) struct Incoming {
    chunks: mpsc::Receiver<Option<Bytes>>,
    at: Bytes,
    ended: bool,
}

impl Read for Incoming {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.at.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Some(chunk)) => self.at = chunk,
                Some(None) => self.ended = true,
                // Nobody said that this is all: it is not to be taken for a log that was cut.
                None => return Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            }
        }
        let now = self.at.split_to(self.at.len().min(to.len()));
        if let Some(to) = to.get_mut(..now.len()) {
            to.copy_from_slice(&now);
        }
        Ok(now.len())
    }
}

/// Has `work` read the export, on a thread of its own.
pub(super) async fn through<T: Send + 'static>(
    mut export: Export,
    work: impl FnOnce(Incoming) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (send, chunks) = mpsc::channel(AHEAD);
    let worker =
        tokio::task::spawn_blocking(move || work(Incoming { chunks, at: Bytes::new(), ended: false }));
    let broken = loop {
        match export.chunk().await {
            // Whoever does not read on has found something.
            Ok(chunk) => {
                let last = chunk.is_none();
                if send.send(chunk).await.is_err() || last {
                    break None;
                }
            }
            Err(error) => break Some(error),
        }
    };
    drop(send);
    let done = worker.await.map_err(|error| Failure::Internal(error.to_string()))?;
    match broken {
        Some(error) => Err(error.into()),
        None => done,
    }
}

/// How many pieces may wait for the reader.
const AHEAD: usize = 8;
