//! Why a credential is not accepted. The variants stand in the order in which they are looked for: whoever shows
//! something forged hears nothing of what it says, and whoever shows something stolen hears nothing of whether it is alive.

use daypass_credential::{Dead, NodeId, Revision, Scope};

/// Why not. What of it is told to whom is the relying party's to decide; [`Refused::word`] is for its own records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing came from the broker yet.
    #[error("nothing is known of the broker yet")]
    NotReady,
    /// Longer than any of ours.
    #[error("longer than any credential of the broker")]
    TooLong,
    /// Not of the form that the broker issues: a claim missing, twice or unknown; a certificate with a part too many.
    #[error("not of the form that the broker issues")]
    Malformed,
    /// Signed by no key that is in use here, or not any more.
    #[error("signed by a key that is not in use here")]
    UnknownKey,
    /// Another `typ`: some other kind of JWT.
    #[error("not an access token: its `typ` is not `at+jwt`")]
    WrongType,
    /// Not the algorithm of the key that it names; `none` is no algorithm of any key.
    #[error("signed in another way than its key signs")]
    WrongAlgorithm,
    /// A header that says the same in another spelling, or more.
    #[error("a header that the broker does not write")]
    StrangeHeader,
    /// The signature is not by the key.
    #[error("bad signature")]
    BadSignature,
    /// Another broker's.
    #[error("from another issuer")]
    OtherIssuer,
    /// Its parts contradict each other, or its lineage does not name what it is for.
    #[error("its parts contradict each other")]
    Inconsistent,
    /// From another life of the log.
    #[error("from another era of the broker")]
    OtherEra,
    /// It says that it lives beyond what its key vouches for.
    #[error("it outlives the key that signed it")]
    OutlivesKey,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// Its time has not begun, by more than [`crate::SKEW`].
    #[error("from the future")]
    NotYet,
    /// It expired so long ago that its cuts may be forgotten, whatever the clock here says.
    #[error("it expired at or before the horizon")]
    BelowHorizon,
    /// The service is not set up right: several audiences are checked here, and nothing says which of them this is.
    #[error("nothing says for which of several audiences this is checked")]
    NoAudience,
    /// For an audience that is not checked here.
    #[error("for another audience")]
    OtherAudience,
    /// It is bound to a certificate, and none was shown.
    #[error("bound to a certificate, and none was shown")]
    CertificateMissing,
    /// It is bound to another certificate than was shown, or to one of another application or audience.
    #[error("bound to another certificate than was shown")]
    OtherCertificate,
    /// It is bound to the certificate shown, and that one is not good.
    #[error("the certificate that it is bound to is refused")]
    Certificate(#[source] Box<Self>),
    /// It does not have a scope that is asked for.
    #[error("without scope `{0}`")]
    Scope(Scope),
    /// Something that it rests on was ended, suspended or narrowed after it was minted.
    #[error("`{node}` was cut at revision {cut}")]
    Cut {
        /// What was cut.
        node: NodeId,
        /// At which revision.
        cut: Revision,
    },
    /// Too long since the broker last proved that nothing is missing here.
    #[error("what is known of the broker is older than the audience allows")]
    Stale,
}

impl Refused {
    /// One word for it, that stays the same for ever.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotReady => "not-ready",
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown-key",
            Self::WrongType => "wrong-type",
            Self::WrongAlgorithm => "wrong-algorithm",
            Self::StrangeHeader => "strange-header",
            Self::BadSignature => "bad-signature",
            Self::OtherIssuer => "other-issuer",
            Self::Inconsistent => "inconsistent",
            Self::OtherEra => "other-era",
            Self::OutlivesKey => "outlives-key",
            Self::Expired => "expired",
            Self::NotYet => "not-yet",
            Self::BelowHorizon => "below-horizon",
            Self::NoAudience => "no-audience",
            Self::OtherAudience => "other-audience",
            Self::CertificateMissing => "certificate-missing",
            Self::OtherCertificate => "other-certificate",
            Self::Certificate(_) => "certificate-refused",
            Self::Scope(_) => "scope",
            Self::Cut { .. } => "cut",
            Self::Stale => "stale",
        }
    }

    /// Is it the verifier that cannot tell, whatever is shown? Trying again later may help then.
    #[must_use]
    pub fn is_own_state(&self) -> bool {
        matches!(self, Self::NotReady | Self::Stale)
    }
}

impl From<Dead> for Refused {
    fn from(dead: Dead) -> Self {
        match dead {
            Dead::OtherEra => Self::OtherEra,
            Dead::BelowHorizon => Self::BelowHorizon,
            Dead::Cut { node, cut } => Self::Cut { node, cut },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// One of each, in the order of the enum.
    fn all() -> Vec<Refused> {
        use Refused as R;
        vec![
            R::NotReady,
            R::TooLong,
            R::Malformed,
            R::UnknownKey,
            R::WrongType,
            R::WrongAlgorithm,
            R::StrangeHeader,
            R::BadSignature,
            R::OtherIssuer,
            R::Inconsistent,
            R::OtherEra,
            R::OutlivesKey,
            R::Expired,
            R::NotYet,
            R::BelowHorizon,
            R::NoAudience,
            R::OtherAudience,
            R::CertificateMissing,
            R::OtherCertificate,
            R::Certificate(Box::new(R::Expired)),
            R::Scope("a".parse().unwrap()),
            R::Cut { node: "vendor:a".parse().unwrap(), cut: Revision::new(1) },
            R::Stale,
        ]
    }

    #[test]
    fn each_reason_has_a_word_of_its_own() {
        let words: BTreeSet<_> = all().iter().map(Refused::word).collect();
        assert_eq!(words.len(), all().len());
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }

    #[test]
    fn the_text_has_no_capital_and_no_full_stop() {
        for refused in all() {
            let text = refused.to_string();
            assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
        }
    }
}
