//! The three kinds of call that are compared, over the same connections, with messages of the same sizes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use daypass_credential::{Name, ScopeSet};
use daypass_proto::v1;
use daypass_sdk::{Application, ClientCertificate, Error, Introspector, Token, TokenRequest};
use prost::Message as _;
use tokio::task::JoinSet;

use super::figures::Slice;
use crate::failure::Failure;

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing is done, by the way that every call takes.
    NoOp,
    /// A token is minted: decided, recorded durably, signed.
    Mint,
    /// A token that was seen before is introspected.
    Introspect,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::NoOp, Self::Mint, Self::Introspect];
}

/// Everything that the calls need.
#[derive(Debug)]
pub(super) struct Parties {
    pub(super) applications: Vec<Application>,
    pub(super) verifiers: Vec<Introspector>,
    pub(super) certificate: ClientCertificate,
    pub(super) token: Token,
    pub(super) audience: Name,
    pub(super) scopes: ScopeSet,
    pub(super) padding: Padding,
}

/// As many nanoseconds as an instant in whole milliseconds has, for its size.
const MILLIS: i32 = 500_000_000;

/// What makes a no-op's messages as large as a mint's.
#[derive(Debug)]
pub(super) struct Padding {
    request: Bytes,
    answer: u32,
}

impl Padding {
    /// Measured against the messages of a real mint.
    pub(super) async fn measure(
        application: &Application,
        request: &TokenRequest<'_>,
        token: &Token,
    ) -> Result<Self, Failure> {
        let pong = application.connection().ping().await?;
        let expires_at = i64::try_from(token.expires_at.as_secs()).unwrap_or(i64::MAX);
        let bare = v1::PingResponse {
            padding: Bytes::new(),
            subject: pong.subject.to_string(),
            identity: pong.identity.to_string(),
            revision: pong.revision.get(),
            time: Some(prost_types::Timestamp { seconds: expires_at, nanos: MILLIS }),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let answer = v1::MintTokenResponse {
            token: token.reveal().to_owned(),
            revision: token.revision.get(),
            expires_at: Some(prost_types::Timestamp { seconds: expires_at, nanos: 0 }),
            bound_by: token.bound_by.clone(),
        };
        let room = answer.encoded_len().saturating_sub(bare.encoded_len() + FIELD);
        Ok(Self {
            request: vec![0; request.to_wire().encoded_len().saturating_sub(FIELD)].into(),
            answer: u32::try_from(room).unwrap_or_default(),
        })
    }
}

impl Parties {
    async fn call(&self, kind: Kind, worker: usize) -> Result<(), Error> {
        let missing = Error::BadInput("there are no connections".into());
        match kind {
            Kind::NoOp => {
                let application = nth(&self.applications, worker).ok_or(missing)?;
                application
                    .connection()
                    .ping_padded(self.padding.request.clone(), self.padding.answer)
                    .await
                    .map(drop)
            }
            Kind::Mint => {
                nth(&self.applications, worker).ok_or(missing)?.token(&self.request()).await.map(drop)
            }
            Kind::Introspect => {
                let verifier = nth(&self.verifiers, worker).ok_or(missing)?;
                match verifier.introspect(self.token.reveal(), Some(self.certificate.leaf())).await? {
                    Some(_) => Ok(()),
                    None => Err(Error::BadAnswer("a live token is called dead")),
                }
            }
        }
    }

    /// The mint that is measured.
    pub(super) fn request(&self) -> TokenRequest<'_> {
        TokenRequest {
            audience: &self.audience,
            scopes: &self.scopes,
            certificate: Some(self.certificate.leaf()),
            ttl: None,
        }
    }
}

/// Worker by worker, the connections in turn.
fn nth<T>(connections: &[T], worker: usize) -> Option<&T> {
    connections.get(worker.checked_rem(connections.len())?)
}

/// Calls for so long, so many at once. The first error is kept, to be told.
pub(super) async fn slice(
    parties: &Arc<Parties>,
    kind: Kind,
    in_flight: usize,
    length: Duration,
    first_error: &mut Option<Error>,
) -> Slice {
    let start = Instant::now();
    let mut workers = JoinSet::new();
    for worker in 0..in_flight {
        let parties = Arc::clone(parties);
        workers.spawn(async move { work(&parties, kind, worker, start + length).await });
    }
    let mut slice = Slice::default();
    while let Some(worked) = workers.join_next().await {
        let Ok(worked) = worked else {
            slice.failures += 1;
            continue;
        };
        slice.micros.extend(worked.micros);
        slice.failures += worked.failures;
        if first_error.is_none() {
            *first_error = worked.first_error;
        }
    }
    slice.elapsed = start.elapsed();
    slice
}

#[derive(Default)]
struct Worked {
    micros: Vec<u32>,
    failures: u64,
    first_error: Option<Error>,
}

async fn work(parties: &Parties, kind: Kind, worker: usize, until: Instant) -> Worked {
    let mut worked = Worked::default();
    let mut start = Instant::now();
    while start < until {
        let called = parties.call(kind, worker).await;
        let now = Instant::now();
        match called {
            Ok(()) => worked.micros.push(u32::try_from((now - start).as_micros()).unwrap_or(u32::MAX)),
            Err(error) => {
                worked.failures += 1;
                worked.first_error = worked.first_error.or(Some(error));
                // A broker that refuses at once is not to be hammered.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        start = now;
    }
    worked
}

/// What the padding's own tag and length take.
const FIELD: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_the_connections() {
        let connections = ['a', 'b', 'c'];
        let taken: String = (0..7).filter_map(|worker| nth(&connections, worker)).collect();
        assert_eq!(taken, "abcabca");
        assert_eq!(nth::<char>(&[], 1), None);
    }
}
