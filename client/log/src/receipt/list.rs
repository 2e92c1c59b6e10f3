//! The list: one line a credential, in the order of the revisions. One spelling only, so that the same log gives the same
//! bytes.

use std::{collections::BTreeMap, fmt, str::FromStr};

use daypass_credential::{Digest, Name, NodeId, Revision, Timestamp};
use ring::digest::{Context, SHA256};

use super::{
    fault::ListFault,
    statement::{Count, Listed},
};

/// The longest line with its end, in bytes: two names of the longest, and three numbers and words.
pub const MAX_LINE: usize = 256;

/// What stands where a credential is for no audience.
const NONE: &str = "-";

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For the broker alone.
    IdentityCertificate,
    /// For one audience, by mTLS.
    ClientCertificate,
    /// For one audience, to bear.
    Token,
}

impl Kind {
    const ALL: [Self; 3] = [Self::IdentityCertificate, Self::ClientCertificate, Self::Token];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdentityCertificate => "identity-certificate",
            Self::ClientCertificate => "client-certificate",
            Self::Token => "token",
        }
    }
}

/// One credential that died: `REVISION KIND SUBJECT AUDIENCE EXPIRY`, the last in milliseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub revision: Revision,
    /// What it is.
    pub kind: Kind,
    /// Whose it was.
    pub subject: NodeId,
    /// For which audience; none for an identity certificate, and only for that.
    pub audience: Option<Name>,
    /// When it would have expired by itself.
    pub expires: Timestamp,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { revision, kind, subject, audience, expires } = self;
        let audience = audience.as_ref().map_or(NONE, Name::as_str);
        write!(f, "{revision} {} {subject} {audience} {}", kind.as_str(), expires.as_millis())
    }
}

/// A line that is none.
#[derive(Debug)]
pub struct NoLine;

impl FromStr for Line {
    type Err = NoLine;

    fn from_str(text: &str) -> Result<Self, NoLine> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NoLine);
        let revision = word()?.parse().map(Revision::new).map_err(|_| NoLine)?;
        let kind = word()?;
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or(NoLine)?;
        let subject = word()?.parse().map_err(|_| NoLine)?;
        let audience = match word()? {
            NONE => None,
            name => Some(name.parse().map_err(|_| NoLine)?),
        };
        let expires = word()?.parse().map(Timestamp::from_millis).map_err(|_| NoLine)?;
        let line = Self { revision, kind, subject, audience, expires };
        let fits = line.audience.is_none() == (kind == Kind::IdentityCertificate);
        // One spelling: numbers have others, as `007`.
        if fits && line.to_string() == text { Ok(line) } else { Err(NoLine) }
    }
}

/// What is in a list: its bytes and its counts, line by line.
pub struct Tally {
    ended: Revision,
    at: Timestamp,
    context: Context,
    bytes: u64,
    lines: u64,
    last: Revision,
    credentials: Count,
    audiences: BTreeMap<Name, (Count, Timestamp)>,
}

/// What came of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// The whole of it.
    pub list: Listed,
    /// For each audience how many, and when the last of them expires; by name.
    pub audiences: Vec<(Name, Count, Timestamp)>,
}

impl Tally {
    /// An empty list of what died with an end at this revision and instant.
    #[must_use]
    pub fn new(ended: Revision, at: Timestamp) -> Self {
        Self {
            ended,
            at,
            context: Context::new(&SHA256),
            bytes: 0,
            lines: 0,
            last: Revision::ZERO,
            credentials: Count::default(),
            audiences: BTreeMap::new(),
        }
    }

    /// Takes the next credential; the text is its line with the line's end.
    ///
    /// # Errors
    /// [`ListFault`] if it does not belong there.
    pub fn take(&mut self, line: &Line) -> Result<String, ListFault> {
        let (number, revision) = (self.lines + 1, line.revision);
        if revision <= self.last || revision >= self.ended {
            return Err(ListFault::Order { line: number, revision });
        }
        if line.expires <= self.at {
            return Err(ListFault::Expired { line: number, revision });
        }
        if line.audience.is_none() != (line.kind == Kind::IdentityCertificate) {
            return Err(ListFault::Line(number));
        }
        let text = format!("{line}\n");
        self.context.update(text.as_bytes());
        (self.lines, self.last, self.bytes) = (number, revision, self.bytes + text.len() as u64);
        add(&mut self.credentials, line.kind);
        if let Some(audience) = &line.audience {
            let entry = self.audiences.entry(audience.clone());
            let (count, latest) = entry.or_insert((Count::default(), Timestamp::ZERO));
            add(count, line.kind);
            *latest = (*latest).max(line.expires);
        }
        Ok(text)
    }

    /// How many lines there are.
    #[must_use]
    pub const fn lines(&self) -> u64 {
        self.lines
    }

    /// What came of it.
    #[must_use]
    pub fn finish(self) -> Totals {
        // SHA-256 has 32 bytes, always.
        let sha256 = Digest::new(self.context.finish().as_ref().try_into().unwrap_or_default());
        let list = Listed { sha256, bytes: self.bytes, credentials: self.credentials };
        let audiences = self.audiences.into_iter();
        Totals { list, audiences: audiences.map(|(name, (count, latest))| (name, count, latest)).collect() }
    }
}

const fn add(count: &mut Count, kind: Kind) {
    match kind {
        Kind::IdentityCertificate => count.identity_certificates += 1,
        Kind::ClientCertificate => count.client_certificates += 1,
        Kind::Token => count.tokens += 1,
    }
}
