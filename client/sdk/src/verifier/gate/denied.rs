//! Why a request is refused or ended at a gate, for the service's own records.

use super::super::Refused;

/// Why. What the caller hears of it is less.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The service is not set up right: nothing in the request says which connection it came over.
    #[error("nothing says which connection the request came over")]
    NoConnection,
    /// Nothing says what this request has to show.
    #[error("nothing says what this request has to show")]
    NoRule,
    /// A certificate is needed, and none was shown.
    #[error("no client certificate was shown")]
    NoCertificate,
    /// A token is needed, and there is none in the `Authorization` header.
    #[error("no bearer token was shown")]
    NoToken,
    /// Several `Authorization` headers, or one that is no bearer token of RFC 6750.
    #[error("the `Authorization` header cannot be read")]
    Unreadable,
    /// The certificate is not good.
    #[error("the certificate of the connection is refused")]
    Certificate(#[source] Refused),
    /// The token is not good, or not for this.
    #[error("the token is refused")]
    Token(#[source] Refused),
    /// It was good, and is so no more: a request under way, or one of its bodies, was ended.
    #[error("what it rests on is good no more")]
    Over(#[source] Refused),
}

impl Denied {
    /// One word for counting and for logs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NoConnection => "no-connection",
            Self::NoRule => "no-rule",
            Self::NoCertificate => "no-certificate",
            Self::NoToken => "no-token",
            Self::Unreadable => "unreadable",
            Self::Certificate(_) => "certificate",
            Self::Token(_) => "token",
            Self::Over(_) => "over",
        }
    }

    /// What the verifier says, if it was asked.
    #[must_use]
    pub const fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Certificate(refused) | Self::Token(refused) | Self::Over(refused) => Some(refused),
            Self::NoConnection | Self::NoRule | Self::NoCertificate | Self::NoToken | Self::Unreadable => {
                None
            }
        }
    }
}
