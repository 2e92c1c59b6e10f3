//! What is known of the log beside the store: the newest checkpoint in the anchor file, read without trusting it.

use std::{
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
};

use daypass_core::node::{Key, KeyPurpose};
use daypass_log::{Checkpoint, MAX_NOTE, VerifierKey};

use super::command::Failure;
use crate::config::Config;

/// Where the anchor lies.
pub(super) fn path(config: &Config) -> PathBuf {
    config.data_dir.join("anchor")
}

/// A checkpoint as it was found; nobody has looked at its signature.
pub(super) struct Known {
    note: Vec<u8>,
    /// What it says.
    pub(super) says: Checkpoint,
}

impl Known {
    /// Did this audit key sign it, for the log of this issuer?
    pub(super) fn is_signed_by(&self, issuer: &str, key: &Key) -> bool {
        log_key(issuer, key).is_some_and(|key| Checkpoint::open(&self.note, &[key]).is_ok())
    }
}

/// The anchor, if there is one that can be read.
pub(super) fn anchor(config: &Config) -> Result<Option<Known>, Failure> {
    let path = path(config);
    let failed = |error| Failure::work(format!("cannot read the anchor `{}`", path.display()), error);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut note = Vec::new();
    file.take(u64::try_from(MAX_NOTE).unwrap_or(u64::MAX)).read_to_end(&mut note).map_err(failed)?;
    match unsigned(&note) {
        Some(says) => Ok(Some(Known { note, says })),
        None => {
            let text =
                format!("the anchor `{}` holds no checkpoint: move it away and keep it", path.display());
            Err(Failure::Use(text, None))
        }
    }
}

/// What a note says, whoever signed it.
fn unsigned(note: &[u8]) -> Option<Checkpoint> {
    let (text, _) = str::from_utf8(note).ok()?.rsplit_once("\n\n")?;
    format!("{text}\n").parse().ok()
}

/// The DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410).
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

fn log_key(issuer: &str, key: &Key) -> Option<VerifierKey> {
    let address = issuer.strip_prefix("https://").unwrap_or(issuer).trim_end_matches('/');
    let public = key.public.0.strip_prefix(&PREFIX)?.try_into().ok()?;
    let audit = matches!(key.purpose, KeyPurpose::Audit);
    VerifierKey::new(&format!("{address}/log"), public).ok().filter(|_| audit)
}
