//! How far something that ends has come: when it is due to be replaced, and when it is over.
//!
//! What the broker says is in the broker's time. Whoever has just been given something need not compare clocks: how
//! long it lives is known, and how long ago it was asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use daypass_credential::Timestamp;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{Error, entropy::Part};

/// An instant, by two clocks: one that nobody sets, and one that goes on while the machine sleeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// How long ago it was, by the clock that says longer.
    pub(crate) fn elapsed(self) -> Duration {
        self.steady.elapsed().max(self.wall.elapsed().unwrap_or_default())
    }
}

/// The time by this machine's clock.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The life of a certificate or a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    /// An instant by our clocks, and what the broker's said then.
    seen: Moment,
    then: Timestamp,
    due: Timestamp,
    over: Timestamp,
}

impl Life {
    /// Of something issued and over at these instants, when the broker's clock said `then` at the moment `seen`. It is
    /// due at two thirds of its life, give or take a twentieth of it by chance.
    pub(crate) fn new(
        (issued, over): (Timestamp, Timestamp),
        (seen, then): (Moment, Timestamp),
        part: Part,
    ) -> Self {
        Self { seen, then, due: due(issued, over, part), over }
    }

    /// What the broker's clock should say.
    pub(crate) fn now(&self) -> Timestamp {
        later(self.then, self.seen.elapsed())
    }

    /// How long until it should be replaced.
    pub(crate) fn due_in(&self) -> Duration {
        between(self.now(), self.due)
    }

    /// How long until it is over.
    pub(crate) fn left(&self) -> Duration {
        between(self.now(), self.over)
    }

    /// How long it lives altogether, by what is known here: from `then` on.
    pub(crate) fn whole(&self) -> Duration {
        between(self.then, self.over)
    }
}

/// Two thirds, give or take a twentieth of the whole.
fn due(issued: Timestamp, over: Timestamp, part: Part) -> Timestamp {
    let share = 2.0 / 3.0 + (part.fraction() - 0.5) * 0.1;
    later(issued, between(issued, over).mul_f64(share))
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_add(by))
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::from_millis(to.as_millis().saturating_sub(from.as_millis()))
}

/// When a certificate begins.
pub(crate) fn issued_at(certificate: &CertificateDer<'_>) -> Result<Timestamp, Error> {
    let unusable = Error::BadAnswer("the certificate does not say from when it is good");
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Err(unusable);
    };
    let seconds = certificate.validity().not_before.timestamp();
    u64::try_from(seconds).map(Timestamp::from_secs).map_err(|_| unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Part = Part(0);
    const ALL: Part = Part(u32::MAX);

    #[test]
    fn it_is_due_around_two_thirds() {
        let at = |part| due(Timestamp::from_secs(1000), Timestamp::from_secs(1600), part).as_secs();
        assert_eq!((at(NOTHING), at(Part(u32::MAX / 2)), at(ALL)), (1370, 1399, 1430));
    }

    #[test]
    fn what_is_over_before_it_began_is_due_at_once() {
        let (one, two) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        assert_eq!(due(two, one, ALL), two);
        assert_eq!(due(Timestamp::ZERO, Timestamp::from_millis(u64::MAX), ALL).as_millis() >> 62, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_life_is_followed_without_comparing_clocks() {
        let (issued, over) = (Timestamp::from_secs(5_000_000), Timestamp::from_secs(5_000_300));
        let life = Life::new((issued, over), (Moment::now(), issued), Part(u32::MAX / 2));
        assert_eq!(life.due_in().as_secs(), 199);
        tokio::time::advance(Duration::from_secs(201)).await;
        assert_eq!(life.due_in(), Duration::ZERO);
        assert!(life.left() > Duration::from_secs(98) && life.left() < Duration::from_secs(100));
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!(life.left(), Duration::ZERO);
    }

    #[test]
    fn a_certificate_says_when_it_begins() {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2026, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        assert_eq!(issued_at(made.der()).unwrap(), Timestamp::from_secs(1_767_312_000));
        assert!(issued_at(&CertificateDer::from(vec![1; 40])).is_err());
    }
}
