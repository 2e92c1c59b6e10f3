//! Looking at a single credential: what the log recorded of it, and whether it is alive.

use daypass_credential::{Name, NodeId, Revision, Timestamp};
use daypass_proto::v1::{self, credential_service_client::CredentialServiceClient};

use crate::{Connection, Error, retry::Repeat, wire};

/// A credential as the log recorded it, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the log.
    pub revision: Revision,
    /// What it is.
    pub kind: RecordKind,
    /// For whom it was minted.
    pub subject: NodeId,
    /// Which of the subject's instances asked; none if that is not recorded.
    pub identity: Option<Name>,
    /// For which audience; none for an identity certificate.
    pub audience: Option<Name>,
    /// What it may be used for; empty for certificates.
    pub scopes: Vec<String>,
    /// From when on it counts.
    pub not_before: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// What bound its lifetime.
    pub bound_by: String,
    /// What it rests on, root first.
    pub lineage: Vec<NodeId>,
    /// What it died of; none while it is alive.
    pub death: Option<Death>,
}

/// What a credential is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// An identity certificate: for the broker alone.
    Identity,
    /// A client certificate for an audience.
    Certificate,
    /// An access token.
    Token,
}

/// What a credential died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// Its time was up.
    Expiry,
    /// Something that it rests on, or it itself, was ended, suspended or narrowed.
    Cut {
        /// What.
        node: NodeId,
        /// The revision of that.
        at: Revision,
    },
}

impl Connection {
    /// A credential, by its number. For whom it was minted, its owners, admins and auditors.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn credential(&self, revision: Revision) -> Result<Record, Error> {
        let request = v1::GetCredentialRequest { revision: revision.get() };
        let send =
            |channel| async move { CredentialServiceClient::new(channel).get_credential(request).await };
        let answer = self.call(Repeat::Harmless, send).await?;
        record(answer.credential.ok_or(Error::BadAnswer("the credential is missing"))?)
    }
}

fn record(credential: v1::Credential) -> Result<Record, Error> {
    let kind = match credential.kind() {
        v1::CredentialKind::Identity => RecordKind::Identity,
        v1::CredentialKind::Certificate => RecordKind::Certificate,
        v1::CredentialKind::Token => RecordKind::Token,
        v1::CredentialKind::Unspecified => {
            return Err(Error::BadAnswer("the credential is of a kind that is not known here"));
        }
    };
    Ok(Record {
        revision: Revision::new(credential.revision),
        kind,
        subject: wire::node(&credential.subject)?,
        identity: name(&credential.identity)?,
        audience: name(&credential.audience)?,
        death: death(&credential)?,
        not_before: wire::instant(credential.not_before)?,
        expires_at: wire::instant(credential.expires_at)?,
        lineage: credential.lineage.iter().map(|text| wire::node(text)).collect::<Result<_, _>>()?,
        scopes: credential.scopes,
        bound_by: credential.bound_by,
    })
}

fn death(credential: &v1::Credential) -> Result<Option<Death>, Error> {
    Ok(match credential.dead_by.as_str() {
        _ if credential.alive => None,
        // Dead is dead, even of something that this version has no word for.
        "" | "expiry" => Some(Death::Expiry),
        node => Some(Death::Cut { node: wire::node(node)?, at: Revision::new(credential.dead_since) }),
    })
}

fn name(text: &str) -> Result<Option<Name>, Error> {
    let name = (!text.is_empty()).then(|| text.parse()).transpose();
    name.map_err(|_| Error::BadAnswer("a name cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential() -> v1::Credential {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        v1::Credential {
            revision: 19,
            kind: v1::CredentialKind::Token.into(),
            subject: "application:sync".into(),
            identity: "i1".into(),
            audience: "billing".into(),
            scopes: vec!["invoices.read".into()],
            not_before: at(100),
            expires_at: at(1_000),
            bound_by: "scope".into(),
            lineage: vec!["vendor:acme".into(), "application:sync".into()],
            alive: true,
            dead_by: String::new(),
            dead_since: 0,
        }
    }

    #[test]
    fn what_killed_it_is_told_apart() {
        assert_eq!(record(credential()).unwrap().death, None);
        let of = |dead_by: &str, dead_since| {
            let dead = v1::Credential { alive: false, dead_by: dead_by.into(), dead_since, ..credential() };
            record(dead).map(|record| record.death)
        };
        assert_eq!(of("expiry", 0).unwrap(), Some(Death::Expiry));
        let cut = Death::Cut { node: "vendor:acme".parse().unwrap(), at: Revision::new(21) };
        assert_eq!(of("vendor:acme", 21).unwrap(), Some(cut));
        assert_eq!(of("", 0).unwrap(), Some(Death::Expiry), "never taken for alive");
        assert!(of("what:is this", 21).is_err());
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_refused() {
        let unknown = v1::Credential { kind: 99, ..credential() };
        assert!(matches!(record(unknown), Err(Error::BadAnswer(_))));
        let nobody = v1::Credential { subject: String::new(), ..credential() };
        assert!(matches!(record(nobody), Err(Error::BadAnswer(_))));
        let identity = v1::Credential {
            kind: v1::CredentialKind::Identity.into(),
            audience: String::new(),
            scopes: vec![],
            ..credential()
        };
        let identity = record(identity).unwrap();
        assert_eq!((identity.kind, identity.audience), (RecordKind::Identity, None));
    }
}
