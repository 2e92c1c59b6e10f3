//! How far each verifier is: for admins and auditors, who want to know where an end is in force.

use daypass_credential::{Name, Revision, Timestamp};
use daypass_proto::v1::{self, verification_service_client::VerificationServiceClient};

use crate::{Connection, Error, retry::Repeat, wire};

/// How far the verifiers are, as one broker process has heard from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standings {
    /// The newest revision.
    pub head: Revision,
    /// Every open verifier with each of its instances.
    pub verifiers: Vec<VerifierStanding>,
}

/// How far one instance of a verifier is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierStanding {
    /// Which verifier.
    pub verifier: Name,
    /// Which instance of it; none if none is enrolled.
    pub identity: Option<Name>,
    /// What it is registered for.
    pub audiences: Vec<Name>,
    /// Is its stream open?
    pub following: bool,
    /// Does it check nothing by what it is sent?
    pub observing: bool,
    /// Up to where it said that every cut is in force; none if it never did to this process of the broker.
    pub acknowledged: Option<Revision>,
    /// How many cuts were sent to it that it has not acknowledged.
    pub behind: u64,
    /// When it was last heard of, of what it got an answer to.
    pub heard_at: Option<Timestamp>,
    /// From when on it refuses by itself, if nothing more is sent; none if it is not known to follow.
    pub refuses_at: Option<Timestamp>,
}

impl Connection {
    /// How far each verifier is. For admins and auditors.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn standings(&self) -> Result<Standings, Error> {
        let send = |channel| async move {
            VerificationServiceClient::new(channel).list_verifiers(v1::ListVerifiersRequest {}).await
        };
        let answer = self.call(Repeat::Harmless, send).await?;
        let verifiers = answer.verifiers.into_iter().map(standing).collect::<Result<_, _>>()?;
        Ok(Standings { head: Revision::new(answer.head), verifiers })
    }
}

fn standing(wire: v1::VerifierStanding) -> Result<VerifierStanding, Error> {
    let instant = |at: Option<_>| at.map(|at| wire::instant(Some(at))).transpose();
    Ok(VerifierStanding {
        verifier: name(&wire.verifier)?,
        identity: (!wire.identity.is_empty()).then(|| name(&wire.identity)).transpose()?,
        audiences: wire.audiences.iter().map(|text| name(text)).collect::<Result<_, _>>()?,
        following: wire.following,
        observing: wire.observing,
        acknowledged: (wire.acknowledged > 0).then(|| Revision::new(wire.acknowledged)),
        behind: wire.behind,
        heard_at: instant(wire.heard_at)?,
        refuses_at: instant(wire.refuses_at)?,
    })
}

fn name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|_| Error::BadAnswer("a name cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_told_apart_from_nothing() {
        let silent = v1::VerifierStanding { verifier: "api".into(), ..v1::VerifierStanding::default() };
        let standing = standing(silent).unwrap();
        assert_eq!((standing.identity, standing.acknowledged, standing.heard_at), (None, None, None));
        assert!(super::standing(v1::VerifierStanding::default()).is_err(), "without a name");
        let at = Some(prost_types::Timestamp { seconds: -1, nanos: 0 });
        let bad = v1::VerifierStanding { verifier: "api".into(), refuses_at: at, ..Default::default() };
        assert!(super::standing(bad).is_err());
    }
}
