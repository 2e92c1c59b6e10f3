//! The check that a relying party makes by itself, against what the broker pushes to it. Pure: no network, no runtime
//! and no clock; events of the feed and moments of the clocks are handed in, verdicts and views come out.
//!
//! - [`Verifier`] (`check.rs`, `judge.rs`): is this token, this certificate good, here and now; [`Refused`] says why not.
//! - `token.rs`, `certificate.rs`, `x509.rs`: what signed bytes say, strictly, once their signature is checked.
//!   `seen.rs` remembers that, and never a verdict.
//! - [`Bundle`] (`bundle.rs`, `anchor.rs`): the keys of one era. [`View`]: keys, cuts, horizon, revision and the last proof
//!   of freshness as one immutable value.
//! - [`Feed`] (`feed.rs` and below): from events to views, or to a [`FeedError`]. [`Freshness`]: counters sent and echoed.

mod anchor;
mod bundle;
mod certificate;
mod check;
mod feed;
mod freshness;
mod judge;
mod moment;
mod refused;
mod seen;
mod token;
mod view;
mod x509;

use daypass_credential::Digest;

pub use anchor::AnchorError;
pub use bundle::{
    Algorithm, Bundle, BundleError, MAX_STALENESS, MIN_STALENESS, Published, PublishedAudience, PublishedKey,
};
pub use certificate::Certificate;
pub use check::{Options, Verifier, VerifierError};
pub use feed::{Echo, Event, Feed, FeedError, Hello, KeyChange, Memory, Part, Position};
pub use freshness::{Counter, Freshness, UnknownCounter};
pub use judge::SKEW;
pub use moment::Moment;
pub use refused::Refused;
pub use token::{MAX_TOKEN, Token};
pub use view::View;

/// SHA-256, as thumbprints and the memory of what was seen have it.
fn digest(bytes: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    // SHA-256 has 32 bytes, always.
    Digest::new(hash.as_ref().try_into().unwrap_or_default())
}
