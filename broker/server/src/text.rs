//! Free text and personal data: kept beside the log, where it can be erased, with a salted hash in the log.

use daypass_core::{PrivateId, TextRef, text::SALT};
use daypass_store::Store;
use zeroize::Zeroizing;

use crate::{entropy::Entropy, refusal::Refusal};

/// A text, and where it is, or will be, kept.
pub(crate) struct Kept {
    pub(crate) reference: TextRef,
    /// The bytes to write, if the text is not there yet.
    pub(crate) write: Option<(PrivateId, Zeroizing<Vec<u8>>)>,
}

/// Checks a text of a caller's: not empty, at most `most` characters, no control characters.
pub(crate) fn checked(field: &'static str, text: &str, most: usize) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::bad(field, "say it in a few words"));
    }
    if text.chars().count() > most {
        return Err(Refusal::bad(field, format!("at most {most} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::bad(field, "no control characters"));
    }
    Ok(())
}

/// The place of a text: the one it has, if `old` holds the same, else a new one.
pub(crate) async fn keep(
    store: &dyn Store,
    entropy: &dyn Entropy,
    text: &str,
    old: Option<TextRef>,
) -> Result<Kept, Refusal> {
    if let Some(old) = old
        && read(store, old).await?.as_deref() == Some(text)
    {
        return Ok(Kept { reference: old, write: None });
    }
    let salt: [u8; SALT] = entropy.bytes()?;
    let id = PrivateId::new(entropy.bytes()?);
    let bytes = Zeroizing::new([&salt, text.as_bytes()].concat());
    let reference = TextRef { id, hash: daypass_issuer::digest(&bytes) };
    Ok(Kept { reference, write: Some((id, bytes)) })
}

/// The text at a place; none if it was erased.
pub(crate) async fn read(store: &dyn Store, reference: TextRef) -> Result<Option<String>, Refusal> {
    let Some(bytes) = store.private(reference.id).await? else {
        return Ok(None);
    };
    if daypass_issuer::digest(&bytes) != reference.hash {
        return Err(Refusal::internal("a private text is not the one that the log speaks of"));
    }
    let text = bytes.get(SALT..).unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(text).into_owned()))
}
