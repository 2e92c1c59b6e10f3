//! Looking at the connection itself, and how instants are written.

use std::time::Instant;

use daypass_credential::Timestamp;
use daypass_sdk::{Connection, Error, Home, Identity, Options, RetryPolicy};

use crate::{console::Console, failure::Failure, shapes};

pub(crate) async fn ping(home: &Home, console: &Console) -> Result<(), Failure> {
    let identity = home.identity()?;
    let connection = Connection::open(&identity).await?;
    let start = Instant::now();
    let pong = connection.ping().await?;
    let shape = shapes::Pong {
        subject: pong.subject.to_string(),
        identity: pong.identity.to_string(),
        revision: pong.revision.get(),
        micros: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
    };
    console.show(&shape, || {
        format!(
            "{} takes you for {} (instance {}); it is at revision {} and answered in {} µs",
            identity.broker(),
            shape.subject,
            shape.identity,
            shape.revision,
            shape.micros
        )
    })
}

/// Connects for a verb that somebody waits for: what a restart of the broker breaks off is tried again for a few
/// seconds, with the same request id.
pub(crate) async fn connect(identity: &Identity) -> Result<Connection, Error> {
    Connection::open_with(identity, &Options::with_retry(RetryPolicy::BRIEF)).await
}

/// An instant as RFC 3339, in UTC.
pub(crate) fn instant(at: Timestamp) -> String {
    let instant =
        i64::try_from(at.as_millis()).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    instant.map_or_else(|| "after all time".into(), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(instant(Timestamp::from_secs(1_767_225_600)), "2026-01-01T00:00:00Z");
        assert_eq!(instant(Timestamp::from_millis(u64::MAX)), "after all time");
    }
}
