//! What went wrong, in words for the user of a broker.

use std::error::Error;

/// The causes beside the message, where the message does not say them.
pub(crate) fn with_cause(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        let words = in_plain_words(&words).map_or(words, str::to_owned);
        // The transport's own word for it says nothing.
        if words != "transport error" && !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    text
}

/// What libraries say in words of their own, in words for the user of a broker.
fn in_plain_words(words: &str) -> Option<&'static str> {
    let says = |part: &str| words.contains(part);
    Some(match words {
        _ if says("corrupt message") => "something else listens there, which does not speak TLS",
        _ if says("UnknownIssuer") => "its certificate is not from the root that is known",
        _ if says("NotValidForName") || says("not valid for name") => "its certificate is for another name",
        _ if says("lookup address") => "there is no such host, or the name service does not answer",
        _ => return None,
    })
}
