//! What the SDK does by itself, told to whoever wants to log or count it. Nothing in here is secret.

use std::{fmt, sync::Arc, time::Duration};

use crate::{Credential, Error, Identity};

/// Something that the SDK did, or failed at, without having been told to.
#[derive(Debug)]
pub enum Event<'a> {
    /// A call failed, and is tried again after a pause.
    Retrying {
        /// How it failed.
        error: &'a Error,
        /// How long the pause is.
        pause: Duration,
    },
    /// The identity has its next certificate; new calls are made with it.
    Renewed {
        /// With the new certificate.
        identity: &'a Identity,
    },
    /// The identity could not be renewed.
    RenewalFailed {
        /// Why not.
        error: &'a Error,
        /// When it is tried again; not any more if there is nothing to hope for.
        pause: Option<Duration>,
    },
    /// The broker does not show the log that is known here: no call goes to it.
    LogRefused {
        /// What it shows instead.
        error: &'a Error,
    },
    /// The log could not be looked at, and what was to be ended is ended all the same.
    LogNotSeen {
        /// Why not.
        error: &'a Error,
    },
    /// An application's program holds a new certificate and token.
    Minted {
        /// Both.
        credential: &'a Credential,
    },
    /// A certificate or token could not be had. What was held before is handed out for as long as it lives.
    MintFailed {
        /// Why not.
        error: &'a Error,
    },
}

type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// Who is told of [`Event`]s. It is called where things happen, and must not wait.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<Listener>>);

impl Observer {
    /// Tells this function.
    pub fn new(tell: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(tell) = &self.0 {
            tell(event);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(…)" } else { "Observer(nobody)" })
    }
}
