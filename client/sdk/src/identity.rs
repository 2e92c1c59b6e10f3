//! An identity: who one is to one broker, with the key that proves it and the root that proves the broker.

use std::sync::Arc;

use daypass_credential::{NodeId, Revision, Timestamp};
use rustls_pki_types::CertificateDer;

use crate::{Address, Error, PrivateKey, Proof, Trust, life, log::Memory};

/// Who one is to one broker. Kept in a [`crate::Home`].
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) subject: NodeId,
    pub(crate) broker: Address,
    pub(crate) root: CertificateDer<'static>,
    pub(crate) key: PrivateKey,
    pub(crate) held: Held,
    /// Where the newest checkpoint of the broker's log is kept.
    pub(crate) memory: Memory,
}

/// An identity certificate as the broker gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) leaf: CertificateDer<'static>,
    /// What lies between it and the root: nothing, as a rule.
    pub(crate) above: Vec<CertificateDer<'static>>,
    pub(crate) revision: Revision,
    pub(crate) expires_at: Timestamp,
}

impl Held {
    /// The certificate first, then what lies between it and the root.
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        std::iter::once(&self.leaf).chain(&self.above).cloned().collect()
    }
}

impl Identity {
    /// The application, person or verifier.
    #[must_use]
    pub const fn subject(&self) -> &NodeId {
        &self.subject
    }

    /// Where its broker is.
    #[must_use]
    pub const fn broker(&self) -> &Address {
        &self.broker
    }

    /// The broker's root certificate: the only one that is trusted for it.
    #[must_use]
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.held.leaf
    }

    /// Its number in the log.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.held.revision
    }

    /// When the certificate began.
    ///
    /// # Errors
    /// [`Error::BadAnswer`] if it cannot be read.
    pub fn issued_at(&self) -> Result<Timestamp, Error> {
        life::issued_at(&self.held.leaf)
    }

    /// When the certificate ends.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.held.expires_at
    }

    /// What to show to the broker.
    #[must_use]
    pub fn proof(&self) -> Proof {
        Proof { chain: self.held.chain(), key: self.key.clone() }
    }

    /// Whom to take for the broker.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::Root(self.root.clone())
    }
    /// The same, whose connections keep the newest checkpoint of the broker's log in memory alone: for a home that cannot
    /// be written. Each run of the program then trusts the first contact.
    #[must_use]
    pub fn keeping_nothing(self) -> Self {
        Self { memory: Memory::Here(Arc::default()), ..self }
    }
}
