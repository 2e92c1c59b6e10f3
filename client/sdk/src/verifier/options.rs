//! How a verifier goes about it.

use std::fmt;

use daypass_credential::{Name, Ttl};

use super::Watch;

/// How a verifier goes about it. By default it checks for every audience that it is registered for.
#[derive(Clone)]
pub struct Options {
    /// The audiences that credentials are accepted for; empty for all that the verifier is registered for, as the broker
    /// says from time to time.
    pub audiences: Vec<Name>,
    /// A staleness limit of its own. It only ever makes the audience's stricter.
    pub staleness: Option<Ttl>,
    /// How many tokens, and how many certificates, are remembered as read. Verdicts never are.
    pub remembered: usize,
    /// Says to the broker that nothing is checked by what it sends: no acknowledgement follows, and no receipt waits for one.
    pub observing: bool,
    /// Who is told of what happens.
    pub watch: Watch,
}

impl Default for Options {
    fn default() -> Self {
        let daypass_verifier::Options { remembered, staleness } = daypass_verifier::Options::default();
        Self { audiences: Vec::new(), staleness, remembered, observing: false, watch: Watch::default() }
    }
}

impl Options {
    /// The usual ones for these audiences.
    #[must_use]
    pub fn of(audiences: impl IntoIterator<Item = Name>) -> Self {
        Self { audiences: audiences.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn check(&self) -> daypass_verifier::Verifier {
        let options = daypass_verifier::Options { remembered: self.remembered, staleness: self.staleness };
        // Without a name it is made for all.
        let named = daypass_verifier::Verifier::new(self.audiences.iter().cloned(), &options);
        named.unwrap_or_else(|_| daypass_verifier::Verifier::of_all(&options))
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { audiences, staleness, remembered, observing, watch } = self;
        write!(f, "Options({audiences:?}, {staleness:?}, {remembered}, observing: {observing}, {watch:?})")
    }
}
