//! What lies under an error of the transport: which TLS fault, whether the request had left by then, and plain words
//! for it. What the layers above say of it is how they are made, and helps nobody.

use std::{error::Error as StdError, fmt, io};

/// Why nothing answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    words: String,
    /// Certainly nothing was sent: there was no connection to send it over.
    unsent: bool,
}

impl Cause {
    /// Of a connection that failed; `connecting` if that is all that was tried.
    pub(crate) fn of(error: &(dyn StdError + 'static), connecting: bool) -> Self {
        let unsent = connecting || chain(error).any(|error| error.is::<tonic::ConnectError>());
        Self { words: underlying(error), unsent }
    }

    /// As the other side said it.
    pub(crate) const fn said(words: String) -> Self {
        Self { words, unsent: false }
    }

    /// The same, of something that was not sent.
    pub(crate) const fn unsent(words: String) -> Self {
        Self { words, unsent: true }
    }

    /// Is it certain that nothing was sent?
    pub(crate) const fn is_unsent(&self) -> bool {
        self.unsent
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl StdError for Cause {}

/// An error, what caused it, and so on.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The rustls error at the bottom of a chain, if one is there.
pub(crate) fn tls_fault<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    chain(error).find_map(|error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()))
    })
}

/// What lies under a chain of errors, in plain words.
fn underlying(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    for error in chain(error) {
        if error.is::<tonic::TimeoutExpired>() {
            return NO_ANSWER.to_owned();
        }
        if let Some(words) = error.downcast_ref::<io::Error>().and_then(io_words) {
            return words.to_owned();
        }
        last = error;
    }
    let words = clean(&last.to_string());
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    if says(&["timed out"]) {
        NO_ANSWER.to_owned()
    } else if says(&["closed", "canceled", "broken pipe", "connection reset", "connection error"]) {
        CLOSED.to_owned()
    } else {
        // The system's number for it is for nobody.
        words.split(" (os error").next().unwrap_or_default().to_owned()
    }
}

fn io_words(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
        NetworkUnreachable, NotConnected, TimedOut, UnexpectedEof,
    };
    Some(match error.kind() {
        ConnectionRefused => "connection refused",
        ConnectionReset | ConnectionAborted | BrokenPipe | NotConnected | UnexpectedEof => CLOSED,
        TimedOut => NO_ANSWER,
        HostUnreachable | NetworkUnreachable => "there is no way to it through the network",
        _ => return None,
    })
}

/// A text from the wire, without what could steer a terminal or turn a line around.
pub(crate) fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut clean = String::with_capacity(text.len());
    for c in text.chars().take(2000) {
        if steers(c) {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

pub(crate) const CLOSED: &str = "the connection was closed";
pub(crate) const NO_ANSWER: &str = "no answer in time";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_connect_is_certain_to_have_sent_nothing() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(Cause::of(&tonic::ConnectError(refused().into()), false).is_unsent());
        assert!(Cause::of(&refused(), true).is_unsent());
        assert!(!Cause::of(&refused(), false).is_unsent());
        assert!(!Cause::said("going away".into()).is_unsent());
    }
}
