//! What the broker itself says: how far its log has come, whom it takes the caller for, whether the identity is in force, its clock and version.

use daypass_credential::Timestamp;
use daypass_sdk::{Connection, Death, Error, Identity, Pong};

use super::{Check, home};
use crate::{
    diagnostics::instant,
    failure::{Exit, Failure},
};

/// Asks the broker about everything.
pub(super) async fn examine(identity: &Identity, checks: &mut Vec<Check>) {
    let begun = home::now();
    let asked = async {
        let connection = Connection::open(identity).await?;
        let pong = connection.ping().await?;
        Ok::<_, Error>((connection, pong))
    };
    match asked.await {
        Ok((connection, pong)) => {
            let ended = home::now();
            checks.push(log(&connection));
            checks.push(caller(identity, &pong));
            checks.push(standing(identity, &connection).await);
            checks.push(clock(&pong, begun, ended));
            checks.push(version(&pong));
        }
        Err(error @ Error::Log { .. }) => {
            checks.push(Check::failed("log", &Failure::from(error)));
            let words =
                "not looked at: nothing is asked of a broker that does not show the log that is known";
            checks.extend(["caller", "clock", "version"].map(|name| Check::skipped(name, words)));
        }
        Err(error) => {
            checks.push(refused(error));
            let words = "not looked at: the broker does not answer this identity";
            checks.extend(["clock", "version"].map(|name| Check::skipped(name, words)));
        }
    }
}

/// The connection has answered, so that the log was held against what was known before.
fn log(connection: &Connection) -> Check {
    match connection.known_log() {
        Ok(Some(log)) => Check::well(
            "log",
            format!(
                "the log continues what was seen here: revision {}, seen {}",
                log.revision(),
                instant(log.seen_at())
            ),
        ),
        Ok(None) => Check::skipped("log", "not looked at: a broker of its version shows no log"),
        Err(error) => Check::failed("log", &Failure::from(error)),
    }
}

fn caller(identity: &Identity, pong: &Pong) -> Check {
    let takes = format!("the broker takes you for {}, instance {}", pong.subject, pong.identity);
    if pong.subject == *identity.subject() {
        return Check::well("caller", takes);
    }
    let words = format!("{takes}, and the home says {}", identity.subject());
    Check::wrong("caller", Exit::Refused, words, "enrol anew, into an empty folder")
}

/// How it was refused, or why no answer came.
fn refused(error: Error) -> Check {
    Check::failed("caller", &Failure::from(error))
}

/// Is the identity in force? What rests on it dies with a narrowing above it, although it may still call and renew.
async fn standing(identity: &Identity, connection: &Connection) -> Check {
    match connection.credential(identity.revision()).await {
        Ok(record) => match record.death {
            None => Check::well("standing", "the identity is in force, and so is all that it rests on"),
            Some(Death::Expiry) => Check::wrong(
                "standing",
                Exit::Refused,
                "the broker says that the certificate has ended",
                "ask an admin for a new code and enrol into an empty folder",
            ),
            Some(Death::Cut { node, at }) => Check::wrong(
                "standing",
                Exit::Refused,
                format!(
                    "{node} was changed at revision {at}, after this certificate was issued (renew-first)"
                ),
                "`daypass renew`; then everything goes on; more: `daypass explain renew-first`",
            ),
        },
        Err(error) => Check::failed("standing", &Failure::from(error)),
    }
}

/// The broker told its time somewhere between the two instants.
fn clock(pong: &Pong, begun: Timestamp, ended: Timestamp) -> Check {
    let Some(time) = pong.time else {
        return Check::skipped("clock", "not looked at: the broker does not tell its time");
    };
    let (ahead, behind) = (
        begun.as_millis().saturating_sub(time.as_millis()) / 1_000,
        time.as_millis().saturating_sub(ended.as_millis()) / 1_000,
    );
    if ahead.max(behind) <= LIMIT {
        return Check::well("clock", "this machine and the broker agree on the time");
    }
    let words = if ahead > behind {
        format!("this machine's clock is {} ahead of the broker's", home::duration(ahead))
    } else {
        format!("this machine's clock is {} behind the broker's", home::duration(behind))
    };
    let next = "set the clock of the one that is wrong (by NTP); certificates and tokens look over, or not yet begun, \
                to whoever has another time";
    Check::doubtful("clock", words, next)
}

fn version(pong: &Pong) -> Check {
    let ours = env!("CARGO_PKG_VERSION");
    match pong.version.as_str() {
        "" => Check::skipped("version", "not looked at: the broker does not tell its version"),
        theirs if theirs == ours => Check::well("version", format!("both are {ours}")),
        theirs => Check::doubtful(
            "version",
            format!("the broker is {theirs}, this command line is {ours}"),
            "update the older one: newer verbs and reasons may be unknown to it",
        ),
    }
}

/// In seconds; beyond it short-lived credentials begin to suffer.
const LIMIT: u64 = 30;

#[cfg(test)]
mod tests {
    use daypass_credential::Revision;

    use super::*;

    fn pong(time: Option<u64>, version: &str) -> Pong {
        Pong {
            subject: "application:sync".parse().unwrap(),
            identity: "i1".parse().unwrap(),
            revision: Revision::new(7),
            time: time.map(Timestamp::from_secs),
            version: version.into(),
        }
    }

    #[test]
    fn clocks_that_differ_by_more_than_half_a_minute_are_told() {
        let (begun, ended) = (Timestamp::from_secs(1_000), Timestamp::from_secs(1_010));
        let words = |time| {
            let check = clock(&pong(Some(time), ""), begun, ended);
            (check.next.is_some(), check.message)
        };
        for time in [970, 1_000, 1_005, 1_010, 1_040] {
            assert!(!words(time).0, "{time}");
        }
        assert_eq!(words(969), (true, "this machine's clock is 31 s ahead of the broker's".into()));
        assert_eq!(words(1_041), (true, "this machine's clock is 31 s behind the broker's".into()));
        assert!(!clock(&pong(None, ""), begun, ended).is_wrong());
    }

    #[test]
    fn another_version_is_told_and_is_no_fault() {
        let other = version(&pong(None, "99.0.0"));
        assert!(other.next.is_some() && !other.is_wrong());
        assert!(version(&pong(None, env!("CARGO_PKG_VERSION"))).next.is_none());
    }
}
