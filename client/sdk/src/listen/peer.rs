//! Where a gate finds the certificate of a connection that a [`Listener`](super::Listener) accepted.

use axum::extract::ConnectInfo;
use http::Extensions;

use super::Caller;
use crate::verifier::Peer;

/// Who made this request: as tonic says it, or axum with `into_make_service_with_connect_info::<Caller>()`.
#[must_use]
pub fn peer(extensions: &Extensions) -> Peer<'_> {
    let by_axum = || extensions.get::<ConnectInfo<Caller>>().map(|ConnectInfo(caller)| caller);
    match extensions.get::<Caller>().or_else(by_axum) {
        None => Peer::Unknown,
        Some(Caller { certificate: None, .. }) => Peer::Bare,
        Some(Caller { certificate: Some(shown), .. }) => Peer::Shown(shown),
    }
}
