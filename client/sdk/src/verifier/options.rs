//! How a verifier goes about it.

use std::fmt;

use daypass_credential::{Name, Ttl};

use super::Watch;
use crate::Error;

/// How a verifier goes about it: for which audiences, above all.
#[derive(Clone)]
pub struct Options {
    /// The audiences that credentials are accepted for. They are always named here: what the directory adds to a verifier
    /// widens no service that runs. With several, [`Verifier::only`](super::Verifier::only) says which one a request is for.
    pub audiences: Vec<Name>,
    /// A staleness limit of its own. It only ever makes the audience's stricter.
    pub staleness: Option<Ttl>,
    /// How many tokens, and how many certificates, are remembered as read. Verdicts never are.
    pub remembered: usize,
    /// Says to the broker that nothing is checked by what it sends: no acknowledgement follows, no receipt waits for one,
    /// and nothing is accepted.
    pub observing: bool,
    /// Who is told of what happens.
    pub watch: Watch,
}

impl Options {
    /// The usual ones for these audiences.
    #[must_use]
    pub fn of(audiences: impl IntoIterator<Item = Name>) -> Self {
        let daypass_verifier::Options { remembered, staleness } = daypass_verifier::Options::default();
        let (audiences, watch) = (audiences.into_iter().collect(), Watch::default());
        Self { audiences, staleness, remembered, observing: false, watch }
    }

    /// The usual ones for whoever watches the feed and checks nothing.
    #[must_use]
    pub fn observing() -> Self {
        Self { observing: true, ..Self::of([]) }
    }

    /// Are audiences named, as whoever checks has to?
    pub(super) fn sound(&self) -> Result<(), Error> {
        match (self.observing, self.audiences.is_empty()) {
            (false, true) => Err(Error::BadInput("name the audience that is checked for".to_owned())),
            (true, false) => {
                Err(Error::BadInput("whoever observes checks for no audience: name none".to_owned()))
            }
            (false, false) | (true, true) => Ok(()),
        }
    }

    /// The one audience, if there is one alone.
    pub(super) fn only(&self) -> Option<&Name> {
        let [only] = self.audiences.as_slice() else { return None };
        Some(only)
    }

    pub(super) fn check(&self) -> daypass_verifier::Verifier {
        let options = daypass_verifier::Options { remembered: self.remembered, staleness: self.staleness };
        // Whoever observes is as fresh as the strictest of all wants it.
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
