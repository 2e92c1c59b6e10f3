//! Signed notes: a text, an empty line, and a line for each signature (C2SP signed-note). Reading is strict, and gives
//! the text only once a key that counts has signed it.

use std::convert::Infallible;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{VerifierKey, key::is_name};

/// The longest note, in bytes: room for the signatures of [`MAX_SIGNATURES`] keys, long ones included.
pub const MAX_NOTE: usize = 128 * 1024;
/// The most signatures on a note: as many as every reader has to accept.
pub const MAX_SIGNATURES: usize = 16;

/// How a line with a signature begins.
const DASH: &str = "\u{2014} ";

/// Why a note does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`].
    #[error("a note of {0} bytes is longer than any that is signed")]
    TooLong(usize),
    /// Not UTF-8, or with characters that a note does not have.
    #[error("a note is UTF-8 without control characters")]
    Characters,
    /// The text does not end with a line's end, or holds nothing.
    #[error("the text of a note is not empty and ends with a line's end")]
    Text,
    /// No empty line with signatures below it.
    #[error("the note is not signed")]
    Unsigned,
    /// A line among the signatures that is none.
    #[error("line {0} of the note's signatures is none")]
    Line(usize),
    /// More than [`MAX_SIGNATURES`].
    #[error("more than 16 signatures on a note")]
    TooMany,
    /// A key that counts is there with a signature that is not its own.
    #[error("the signature of `{0}` does not fit the note")]
    Wrong(String),
    /// A key that counts is there twice.
    #[error("`{0}` has signed the note twice")]
    Twice(String),
    /// None of the keys that count.
    #[error("none of the keys that are trusted has signed the note")]
    Untrusted,
}

/// Why a note cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError<E = Infallible> {
    /// The text cannot be that of a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The key did not sign.
    #[error("the note's key did not sign")]
    Signer(#[source] E),
    /// What came back is not the signature of that key, so nobody would accept it.
    #[error("the signature that was made is not one of the key `{0}`")]
    Foreign(String),
}

/// The signed note with this text. `sign` makes the Ed25519 signature; it is checked before it is handed out.
///
/// # Errors
/// See [`SignError`].
pub fn sign<E>(
    text: &str,
    key: &VerifierKey,
    sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
) -> Result<String, SignError<E>> {
    sign_within(text, key, sign, MAX_NOTE)
}

/// The same for a text of another length at the most.
pub(crate) fn sign_within<E>(
    text: &str,
    key: &VerifierKey,
    sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    longest: usize,
) -> Result<String, SignError<E>> {
    check_text(text, longest)?;
    let signature = sign(text.as_bytes()).map_err(SignError::Signer)?;
    if !key.verifies(text.as_bytes(), &signature) {
        return Err(SignError::Foreign(key.name().to_owned()));
    }
    let named = [&key.id(), signature.as_slice()].concat();
    Ok(format!("{text}\n{DASH}{} {}\n", key.name(), STANDARD.encode(named)))
}

/// The text of the note, and which of the keys signed it: at least one. Signatures of other keys say nothing; a wrong
/// one of these keys spoils the note.
///
/// # Errors
/// See [`NoteError`].
pub fn open<'n, 'k>(
    note: &'n [u8],
    keys: &'k [VerifierKey],
) -> Result<(&'n str, Vec<&'k VerifierKey>), NoteError> {
    open_within(note, keys, MAX_NOTE)
}

/// The same for a note of another length at the most.
pub(crate) fn open_within<'n, 'k>(
    note: &'n [u8],
    keys: &'k [VerifierKey],
    longest: usize,
) -> Result<(&'n str, Vec<&'k VerifierKey>), NoteError> {
    let (text, lines) = split(note, longest)?;
    let mut signed: Vec<&VerifierKey> = Vec::new();
    for (number, line) in (1..).zip(lines) {
        let (name, id, signature) = read_line(line).ok_or(NoteError::Line(number))?;
        if number > MAX_SIGNATURES {
            return Err(NoteError::TooMany);
        }
        // Name and id together are the key's identity; one of them alone is somebody else.
        let mut known = keys.iter().filter(|key| key.name() == name && key.id() == id).peekable();
        if known.peek().is_none() {
            continue;
        }
        let wrong = || NoteError::Wrong(name.to_owned());
        let key = known.find(|key| key.verifies(text.as_bytes(), &signature)).ok_or_else(wrong)?;
        if signed.contains(&key) {
            return Err(NoteError::Twice(name.to_owned()));
        }
        signed.push(key);
    }
    if signed.is_empty() { Err(NoteError::Untrusted) } else { Ok((text, signed)) }
}

/// The text with its last line's end, and the lines of signatures below the last empty line.
fn split(note: &[u8], longest: usize) -> Result<(&str, std::str::Split<'_, char>), NoteError> {
    if note.len() > longest {
        return Err(NoteError::TooLong(note.len()));
    }
    let note = str::from_utf8(note).map_err(|_| NoteError::Characters)?;
    if note.bytes().any(is_forbidden) {
        return Err(NoteError::Characters);
    }
    let (head, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
    let text = note.get(..=head.len()).ok_or(NoteError::Text)?;
    check_text(text, longest)?;
    let lines = signatures.strip_suffix('\n').filter(|lines| !lines.is_empty()).ok_or(NoteError::Unsigned)?;
    Ok((text, lines.split('\n')))
}

/// Name, id and signature of `— NAME BASE64`.
fn read_line(line: &str) -> Option<(&str, [u8; 4], Vec<u8>)> {
    let (name, coded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(coded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    (is_name(name) && !signature.is_empty()).then(|| (name, *id, signature.to_vec()))
}

fn check_text(text: &str, longest: usize) -> Result<(), NoteError> {
    if text.len() > longest {
        return Err(NoteError::TooLong(text.len()));
    }
    if text.bytes().any(is_forbidden) {
        return Err(NoteError::Characters);
    }
    if text.len() > 1 && text.ends_with('\n') { Ok(()) } else { Err(NoteError::Text) }
}

const fn is_forbidden(byte: u8) -> bool {
    byte < 0x20 && byte != b'\n'
}
