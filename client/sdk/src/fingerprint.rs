//! What the broker of an identity is known by.

use daypass_credential::Digest;

use crate::{Identity, tls};

impl Identity {
    /// SHA-256 of the broker's root certificate.
    #[must_use]
    pub fn root_fingerprint(&self) -> Digest {
        tls::fingerprint(self.root())
    }
}
