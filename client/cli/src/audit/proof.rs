//! A proof as a file that other programs read as well (C2SP tlog-proof): the index of an entry, its path to the root, the
//! checkpoint, and the entry itself as the extra data.

use std::io::Read;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use daypass_credential::Revision;
use daypass_log::{
    Checkpoint, Hash, MAX_ENTRY, MAX_NOTE, SignedCheckpoint, VerifierKey, export::Fault,
    proof::check_inclusion,
};
use daypass_sdk::Proven;

use crate::{failure::Failure, shapes};

/// How such a file begins.
pub(super) const HEAD: &[u8] = b"c2sp.org/tlog-proof@v1\n";
pub(super) const HEAD_LEN: u64 = HEAD.len() as u64;

/// A proof, of which nothing is known yet.
pub(super) struct Proof {
    index: u64,
    event: Vec<u8>,
    path: Vec<Hash>,
    note: String,
}

/// The text of a proof.
pub(super) fn text(proven: &Proven) -> String {
    let path: String = proven.path.iter().map(|hash| format!("{hash}\n")).collect();
    format!(
        "{}extra {}\nindex {}\n{path}\n{}",
        String::from_utf8_lossy(HEAD),
        STANDARD.encode(&proven.event),
        proven.revision.get().saturating_sub(1),
        proven.checkpoint.note()
    )
}

impl Proof {
    pub(super) fn read(input: impl Read, from: &str) -> Result<Self, Failure> {
        let no =
            || Failure::bad(format!("`{from}` is no proof of `daypass audit prove --out`, or was changed"));
        let mut text = String::new();
        input.take(LIMIT).read_to_string(&mut text).map_err(|_| no())?;
        Self::parse(&text).ok_or_else(no)
    }

    fn parse(text: &str) -> Option<Self> {
        let (proof, note) = text.split_once("\n\n")?;
        let mut lines = proof.lines().skip(1);
        let event = STANDARD.decode(lines.next()?.strip_prefix("extra ")?).ok()?;
        let number = lines.next()?.strip_prefix("index ")?;
        let index = number.parse::<u64>().ok().filter(|index| index.to_string() == number)?;
        let path = lines.map(str::parse).collect::<Result<Vec<Hash>, _>>().ok()?;
        Some(Self { index, event, path, note: note.to_owned() })
    }

    /// The checkpoint, if the entry is in its log.
    pub(super) fn check(&self, key: &VerifierKey) -> Result<SignedCheckpoint, Fault> {
        let checkpoint = Checkpoint::open(self.note.as_bytes(), std::slice::from_ref(key))?;
        let root = checkpoint.checkpoint().root();
        check_inclusion(Hash::leaf(&self.event), self.index, &self.path, &root)
            .map_err(|_| Fault::Entry { revision: self.revision(), stands: None })?;
        Ok(checkpoint)
    }

    fn revision(&self) -> Revision {
        Revision::new(self.index).next()
    }

    pub(super) fn shape(&self) -> shapes::ProvenEvent {
        shapes::ProvenEvent {
            revision: self.revision().get(),
            event: String::from_utf8_lossy(&self.event).into_owned(),
        }
    }
}

/// A note and an entry in base64, and more hashes than any path has.
const LIMIT: u64 = (MAX_NOTE + 2 * MAX_ENTRY + 64 * 64) as u64;
