//! What was read before and need not be read again.
//!
//! INVARIANT (bytes, never verdicts): what is remembered of a token or certificate is what it says, and which key's
//! signature over it was right. Whether that key is still in use, and whether the credential is good, is asked each time.

use daypass_credential::Digest;
use quick_cache::sync::Cache;

use crate::{Refused, digest};

/// The newest of what was read, by the SHA-256 of all its bytes.
pub(crate) struct Seen<T>(Cache<Digest, T>);

impl<T: Clone> Seen<T> {
    /// Remembers about so many.
    pub(crate) fn new(most: usize) -> Self {
        Self(Cache::new(most))
    }

    /// What these bytes say: remembered, or read now. What is refused is not remembered.
    pub(crate) fn or_read(
        &self,
        bytes: &[u8],
        read: impl FnOnce(Digest) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let digest = digest(bytes);
        if let Some(known) = self.0.get(&digest) {
            return Ok(known);
        }
        let new = read(digest)?;
        self.0.insert(digest, new.clone());
        Ok(new)
    }
}
