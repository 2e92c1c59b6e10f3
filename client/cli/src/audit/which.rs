//! Which events are meant: the arguments that all who look into the log share.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use daypass_core::{ActionKind, Outcome, Who};
use daypass_credential::{Name, Timestamp, Ttl};
use daypass_sdk::EventFilter;

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only what concerns this vendor: it, what is under it, and what was minted for that.
    #[arg(long, value_name = "NAME")]
    vendor: Option<Name>,
    /// Only what concerns this application.
    #[arg(long, value_name = "NAME")]
    application: Option<Name>,
    /// Only what this one caused: `person:dana`, `application:sync`, `identity:…`, `broker` or `stranger`.
    #[arg(long, value_name = "WHO")]
    actor: Option<Who>,
    /// Only this action; any of several, with commas between them or said again.
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = words(ActionKind::ALL, ActionKind::as_str))]
    action: Vec<ActionKind>,
    /// Only what came to this.
    #[arg(long, value_name = "OUTCOME", value_parser = words(Outcome::ALL, Outcome::as_str))]
    outcome: Option<Outcome>,
    /// Only from then on: RFC 3339, a day (UTC), or how long ago, as `90s`, `15m`, `2h`, `7d`.
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<Timestamp>,
}

impl Which {
    pub(super) fn filter(&self) -> EventFilter {
        let mut filter = EventFilter::new();
        if let Some(name) = &self.vendor {
            filter = filter.vendor(name);
        }
        if let Some(name) = &self.application {
            filter = filter.application(name);
        }
        if let Some(who) = &self.actor {
            filter = filter.actor(who.to_string());
        }
        for action in &self.action {
            filter = filter.action(action.as_str());
        }
        if let Some(outcome) = self.outcome {
            filter = filter.outcome(outcome.as_str());
        }
        if let Some(at) = self.since {
            filter = filter.since(at);
        }
        filter
    }
}

/// One of these words, which completions and help know.
fn words<T: Copy + Send + Sync + std::str::FromStr<Err: std::fmt::Display> + 'static>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl clap::builder::TypedValueParser<Value = T> {
    let parser = PossibleValuesParser::new(all.iter().map(|each| word(*each)));
    parser.try_map(|text| text.parse::<T>().map_err(|error| error.to_string()))
}

/// An instant as it is written, or so long ago.
pub(super) fn when(text: &str) -> Result<Timestamp, String> {
    instant(text, jiff::Timestamp::now())
}

fn instant(text: &str, now: jiff::Timestamp) -> Result<Timestamp, String> {
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let millis = if let Ok(ago) = text.parse::<Ttl>() {
        now.as_millisecond() - i64::from(ago.as_secs()) * 1000
    } else if let Ok(at) = text.parse::<jiff::Timestamp>() {
        at.as_millisecond()
    } else if let Some(day) = day() {
        day.timestamp().as_millisecond()
    } else {
        return Err(
            "write it as `2026-11-22T16:00:00Z`, `2026-11-22`, or how long ago, as `2h` or `7d`".into()
        );
    };
    u64::try_from(millis).map(Timestamp::from_millis).map_err(|_| "that is before 1970".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_out_or_so_long_ago() {
        let now = jiff::Timestamp::from_second(1_000_000).unwrap();
        let of = |text: &str| instant(text, now).map(Timestamp::as_millis);
        assert_eq!(of("1970-01-02T00:00:00.5Z"), Ok(86_400_500));
        assert_eq!(of("1970-01-02T01:00:00+01:00"), Ok(86_400_000));
        assert_eq!(of("1970-01-02"), Ok(86_400_000));
        assert_eq!(of("90s"), Ok(999_910_000));
        assert_eq!(of("2h"), Ok(992_800_000));
        assert_eq!(of("7d"), Ok(395_200_000));
        for bad in ["", "yesterday", "2h ago", "1969-12-31", "7", "30d"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
