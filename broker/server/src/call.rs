//! One call, as the use cases see it: who calls what, and which of its repeats count as one.

use std::sync::Arc;

use daypass_core::{Actor, ChangeId, Facts, Shown, event::Method};
use daypass_credential::Digest;
use daypass_issuer::KeyEncryptionKey;

use crate::{entropy::Entropy, refusal::Refusal};

/// A call by a known caller, judged to be in force by the facts it carries.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Which method.
    pub(crate) method: Method,
    /// Who calls.
    pub(crate) caller: Arc<Shown>,
    /// What was read to judge the caller.
    pub(crate) facts: Facts,
}

impl Call {
    /// The caller, as events name them.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Caller {
            subject: self.caller.subject.clone(),
            identity: self.caller.identity.clone(),
            credential: self.caller.rev,
        }
    }
}

/// What makes two requests the same change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestMark {
    /// Of the caller, the method and the caller's own id for the request; drawn at random if there was none.
    pub(crate) id: ChangeId,
    /// Of what was asked, where the request may be repeated.
    pub(crate) digest: Option<Digest>,
}

/// The longest request id, in bytes.
const MAX_REQUEST_ID: usize = 64;

impl RequestMark {
    /// For a request that is never the repeat of another.
    pub(crate) fn single(entropy: &dyn Entropy) -> Result<Self, Refusal> {
        Ok(Self { id: ChangeId::new(entropy.bytes()?), digest: None })
    }

    /// For a request with an id of the caller's; `content` is all that was asked. The id counts for this caller and
    /// method alone, so that nobody can claim or guess another's.
    ///
    /// INVARIANT (nothing to guess from): both stand in the log for ever, and what was asked may hold personal data and
    /// free text, so that both are digests under a secret key.
    pub(crate) fn of(
        call: &Call,
        request_id: &str,
        content: impl FnOnce() -> Vec<u8>,
        entropy: &dyn Entropy,
        kek: &KeyEncryptionKey,
    ) -> Result<Self, Refusal> {
        if request_id.is_empty() {
            return Self::single(entropy);
        }
        if request_id.len() > MAX_REQUEST_ID {
            return Err(Refusal::bad("request_id", format!("at most {MAX_REQUEST_ID} bytes")));
        }
        let parts = [call.caller.identity.as_str(), call.method.as_str(), request_id];
        let whose = kek.digest("request id", &parts.map(str::as_bytes));
        let mut id = [0; 16];
        id.iter_mut().zip(whose.as_bytes()).for_each(|(to, from)| *to = *from);
        let content = kek.digest("request", &[&content()]);
        Ok(Self { id: ChangeId::new(id), digest: Some(content) })
    }
}
