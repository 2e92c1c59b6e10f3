//! The statement: its fields, and the text that is signed. The text is the statement's own: whoever reads one back makes it
//! again and takes no other spelling.

use daypass_credential::{Digest, Era, Name, NodeId, Revision, Timestamp, Ttl};
use serde::{Deserialize, Serialize};

use super::{fault::ReceiptError, spelled};
use crate::{Hash, SignError, VerifierKey, note};

/// The version of this form.
pub const VERSION: u16 = 1;
/// The longest statement, in bytes: some 16,000 acknowledgements.
pub const MAX_STATEMENT: usize = 8 * 1024 * 1024;

/// How the name of a log ends, which is its origin and that of its key.
const LOG: &str = "/log";
/// How the first line of a statement ends instead: no checkpoint begins so, and no statement as a checkpoint does.
const RECEIPT: &str = "/receipt";

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// [`VERSION`].
    pub v: u16,
    /// The log's origin, as its checkpoints have it.
    pub log: String,
    /// The life of the log.
    pub era: Era,
    /// Which vendor was ended.
    pub vendor: NodeId,
    /// The end, as the log has it.
    pub end: End,
    /// What was alive under the vendor just before that, in the list beside this.
    pub list: Listed,
    /// Every audience that something in the list was for, by name.
    pub audiences: Vec<Audience>,
    /// What verifiers signed, one each, by verifier and instance.
    pub acknowledgements: Vec<Said>,
    /// When this was made, by the broker's clock.
    pub closed_at: Timestamp,
}

/// The event of the end, with the proof that the log holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Its revision: what was minted under the vendor before is dead.
    pub revision: Revision,
    /// Its instant.
    pub at: Timestamp,
    /// Its exact bytes.
    #[serde(with = "spelled")]
    pub event: Vec<u8>,
    /// A checkpoint of a log that holds it, as a note.
    pub checkpoint: String,
    /// The proof of that (RFC 6962, section 2.1.1).
    pub inclusion: Vec<Hash>,
}

/// The list, by what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// SHA-256 of its bytes.
    pub sha256: Digest,
    /// How many bytes it has.
    pub bytes: u64,
    /// How many credentials are in it.
    pub credentials: Count,
}

/// How many credentials, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// For the broker.
    pub identity_certificates: u64,
    /// For relying parties, by mTLS.
    pub client_certificates: u64,
    /// For relying parties, to bear.
    pub tokens: u64,
}

impl Count {
    /// All of them.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.identity_certificates.saturating_add(self.client_certificates).saturating_add(self.tokens)
    }
}

/// What died at one audience, and who refuses it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    /// Its name.
    pub audience: Name,
    /// How many of the list were for it.
    pub credentials: Count,
    /// The last instant at which one of them expires by itself: whoever refuses nothing else refuses them from then on.
    pub last_expiry: Timestamp,
    /// How long, in seconds, a verifier may go without proof that nothing is missing.
    pub staleness: Ttl,
    /// Who checks for it, by verifier and instance. Nobody, and everything of it is dead by its expiry alone.
    pub verifiers: Vec<Verifier>,
}

/// One who checks for an audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// Which verifier.
    pub verifier: Name,
    /// Which of its instances; none if none was ever enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Name>,
    /// What is known of it.
    pub state: State,
}

/// What is known of one who checks for an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum State {
    /// It signed that the end is in force there: see the acknowledgements.
    Confirmed,
    /// It did not say so. It was last told that nothing is missing so long ago that it refuses everything by itself, unless it
    /// applied the end before.
    RefusesFrom(Timestamp),
    /// It does not follow the feed: the broker knows nothing of it.
    NotFollowing,
}

/// What one verifier signed: see [`crate::Acknowledgement`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Who.
    pub verifier: Name,
    /// Which instance.
    pub identity: Name,
    /// Up to which revision every cut is in force.
    pub revision: Revision,
    /// The hash of its leaf.
    pub leaf: Hash,
    /// Since when, by the verifier's clock.
    pub applied_at: Timestamp,
    /// When it came, by the broker's clock.
    pub came_at: Timestamp,
    /// The public key of the instance: an uncompressed point on P-256.
    #[serde(with = "spelled")]
    pub key: Vec<u8>,
    /// Its signature.
    #[serde(with = "spelled")]
    pub signature: Vec<u8>,
}

impl Statement {
    /// The statement as a signed note. The key is that of the log. Nothing is checked but the form: see
    /// [`Receipt::open`](super::Receipt::open).
    ///
    /// # Errors
    /// [`SignError`]; a key of another name is [`SignError::Foreign`].
    pub fn sign<E>(
        &self,
        key: &VerifierKey,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64], E>,
    ) -> Result<String, SignError<E>> {
        let foreign = || SignError::Foreign(key.name().to_owned());
        let text = self.text().filter(|_| key.name() == self.log).ok_or_else(foreign)?;
        note::sign_within(&text, key, sign, MAX_STATEMENT)
    }

    /// The text that is signed; none for a log that is not called as one, or if a field cannot be written.
    fn text(&self) -> Option<String> {
        let origin = self.log.strip_suffix(LOG)?;
        let json = serde_json::to_string(self).ok()?;
        let Self { vendor, end, list, .. } = self;
        Some(format!(
            "{origin}{RECEIPT}\n{vendor} was ended at revision {}\n{} credentials died with it\n{json}\n",
            end.revision,
            list.credentials.all(),
        ))
    }

    /// Reads a text back.
    pub(super) fn parse(text: &str) -> Result<Self, ReceiptError> {
        let json = text.lines().nth(3).ok_or(ReceiptError::Form)?;
        let statement: Self = serde_json::from_str(json).map_err(|_| ReceiptError::Form)?;
        if statement.v != VERSION {
            return Err(ReceiptError::Version(statement.v));
        }
        if statement.text().as_deref() == Some(text) { Ok(statement) } else { Err(ReceiptError::Form) }
    }
}
