//! Reading the log: a search in it, or following it, event by event with their exact bytes. For admins and auditors.

use std::time::Duration;

use bytes::Bytes;
use daypass_credential::{Name, Revision, Timestamp};
use daypass_proto::v1::{self, audit_service_client::AuditServiceClient};
use tokio::time::{Instant, sleep, timeout};
use tonic::Streaming;

use crate::{Connection, Error, retry::Repeat, wire};

/// What is looked for in the log. All that is said has to fit; at first everything does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventFilter(v1::EventFilter);

impl EventFilter {
    /// Everything fits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What concerns this vendor.
    #[must_use]
    pub fn vendor(mut self, name: &Name) -> Self {
        self.0.vendor = name.to_string();
        self
    }

    /// What concerns this application.
    #[must_use]
    pub fn application(mut self, name: &Name) -> Self {
        self.0.application = name.to_string();
        self
    }

    /// What somebody caused: `person:dana`, `identity:…`, `broker`, `stranger`.
    #[must_use]
    pub fn actor(mut self, who: impl Into<String>) -> Self {
        self.0.actor = who.into();
        self
    }

    /// What happened, as `token-minted`. Said more than once: any of these.
    #[must_use]
    pub fn action(mut self, action: impl Into<String>) -> Self {
        self.0.actions.push(action.into());
        self
    }

    /// What came of it: `done` or `refused`.
    #[must_use]
    pub fn outcome(mut self, outcome: impl Into<String>) -> Self {
        self.0.outcome = outcome.into();
        self
    }

    /// From this instant on.
    #[must_use]
    pub fn since(mut self, at: Timestamp) -> Self {
        self.0.since = Some(wire::timestamp(at));
        self
    }

    /// Up to, and not including, this instant.
    #[must_use]
    pub fn until(mut self, at: Timestamp) -> Self {
        self.0.until = Some(wire::timestamp(at));
        self
    }
}

/// One reading of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventQuery {
    /// What is looked for.
    pub filter: EventFilter,
    /// Begins after this revision; for the newest first, before it. None begins at the end that the order begins with.
    pub after: Option<Revision>,
    /// How many at most.
    pub limit: Option<u32>,
    /// Newest first. Not together with `follow`.
    pub newest_first: bool,
    /// Goes on with what is recorded from then on.
    pub follow: bool,
}

/// An event as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its number.
    pub revision: Revision,
    /// Its exact bytes: JSON, as `broker/docs/events.md` describes it.
    pub bytes: Bytes,
}

/// What was found, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// What fits; it may be nothing.
    pub events: Vec<LoggedEvent>,
    /// Everything up to this revision (down to it, for the newest first) was looked at.
    pub reached: Revision,
    /// The newest revision; of a search that does not follow, as of its beginning.
    pub head: Revision,
}

/// The log as it is read. A break is mended as patiently as the connection's options say: reading goes on where it was,
/// without gaps and without repeats.
#[derive(Debug)]
pub struct Events {
    connection: Connection,
    request: v1::ReadEventsRequest,
    stream: Option<Streaming<v1::ReadEventsResponse>>,
    limited: bool,
    over: bool,
    breaks: Breaks,
}

impl Connection {
    /// Reads the log.
    ///
    /// # Errors
    /// See [`Error`]; `wrong-caller` and `not-allowed` for whoever is neither admin nor auditor.
    pub async fn events(&self, query: &EventQuery) -> Result<Events, Error> {
        let mut events = Events::new(self.clone(), query);
        events.stream = Some(events.open().await?);
        Ok(events)
    }
}

impl Events {
    fn new(connection: Connection, query: &EventQuery) -> Self {
        let request = v1::ReadEventsRequest {
            filter: Some(query.filter.0.clone()),
            after: query.after.map_or(0, Revision::get),
            limit: query.limit.unwrap_or_default(),
            newest_first: query.newest_first,
            follow: query.follow,
        };
        let (limited, over) = (query.limit.is_some(), query.limit == Some(0));
        Self { connection, request, stream: None, limited, over, breaks: Breaks::default() }
    }

    /// The next page, with which the broker also says how far it is; none at the end. One that follows has no end, but
    /// what its limit gives it.
    ///
    /// # Errors
    /// See [`Error`]; after one there is nothing more.
    pub async fn page(&mut self) -> Result<Option<EventPage>, Error> {
        while !self.over {
            let error = match self.attempt().await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let pause =
                error.may_retry().then(|| self.breaks.pause(self.connection.options().retry)).flatten();
            let Some(pause) = pause else {
                self.over = true;
                return Err(error);
            };
            sleep(pause).await;
        }
        Ok(None)
    }

    async fn attempt(&mut self) -> Result<Option<EventPage>, Error> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open().await?,
        };
        let Ok(answer) = timeout(SILENCE, stream.message()).await else {
            return Err(self.broken("nothing is heard of it"));
        };
        match answer.map_err(|status| self.connection.fault(status))? {
            Some(page) => {
                let page = self.take_in(page)?;
                self.stream = Some(stream);
                Ok(Some(page))
            }
            // The broker stops: another one goes on.
            None if self.request.follow => Err(self.broken("the broker is stopping")),
            None => {
                self.over = true;
                Ok(None)
            }
        }
    }

    /// Checks a page, and keeps where reading would have to go on.
    fn take_in(&mut self, page: v1::ReadEventsResponse) -> Result<EventPage, Error> {
        let mut at = self.request.after;
        for event in &page.events {
            if !self.is_on(at, event.revision) {
                return Err(Error::BadAnswer("the events are out of order"));
            }
            at = event.revision;
        }
        if at != page.reached && !self.is_on(at, page.reached) {
            return Err(Error::BadAnswer("the reading went back"));
        }
        let count = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
        if self.limited {
            self.request.limit = self
                .request
                .limit
                .checked_sub(count)
                .ok_or(Error::BadAnswer("more events than asked for"))?;
            // A limit of nothing would mean none.
            self.over = self.request.limit == 0;
        }
        self.breaks.came_to(page.reached != self.request.after);
        self.request.after = page.reached;
        let event =
            |event: v1::LogEvent| LoggedEvent { revision: Revision::new(event.revision), bytes: event.event };
        Ok(EventPage {
            events: page.events.into_iter().map(event).collect(),
            reached: Revision::new(page.reached),
            head: Revision::new(page.head),
        })
    }

    /// Does this revision lie ahead in the order of the reading? Zero is where no order has begun.
    const fn is_on(&self, at: u64, next: u64) -> bool {
        if self.request.newest_first { at == 0 || next < at } else { next > at }
    }

    async fn open(&self) -> Result<Streaming<v1::ReadEventsResponse>, Error> {
        let send = |channel| {
            let request = self.request.clone();
            async move { AuditServiceClient::new(channel).read_events(request).await }
        };
        self.connection.call(Repeat::Harmless, send).await
    }

    fn broken(&self, words: &str) -> Error {
        self.connection.fault(tonic::Status::unavailable(words))
    }
}

/// How often reading broke off without having come on.
#[derive(Debug, Default)]
struct Breaks {
    tries: u32,
    since: Option<Instant>,
}

impl Breaks {
    /// Something came; was it something new?
    fn came_to(&mut self, new: bool) {
        let long = self.since.is_some_and(|since| since.elapsed() > SILENCE);
        if new || long {
            *self = Self::default();
        }
    }

    /// How long to wait before the next attempt; none if patience is over.
    fn pause(&mut self, policy: crate::RetryPolicy) -> Option<Duration> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let pause = policy.first.saturating_mul(1 << self.tries.min(10)).min(policy.most);
        self.tries = self.tries.saturating_add(1);
        (since.elapsed() + pause < policy.patience).then_some(pause)
    }
}

/// The broker says every five seconds how far it is.
const SILENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_is_mended_for_as_long_as_patience_lasts() {
        let policy = crate::RetryPolicy::BRIEF;
        let mut breaks = Breaks::default();
        let pauses: Vec<_> = std::iter::from_fn(|| breaks.pause(policy)).take(4).collect();
        assert_eq!(pauses.iter().map(Duration::as_millis).collect::<Vec<_>>(), [50, 100, 200, 400]);
        assert_eq!(Breaks::default().pause(crate::RetryPolicy::ONCE), None);
        breaks.came_to(false);
        assert_eq!(breaks.tries, 4, "where it began is nothing new");
        breaks.came_to(true);
        assert_eq!(breaks.tries, 0);
    }
}
