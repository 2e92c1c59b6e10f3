//! Why a receipt does not count.

use daypass_credential::{NodeId, Revision};

use crate::{CheckpointError, NoteError, proof::ProofError};

/// Why a statement does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// More than the one signature that a broker makes, or in another spelling.
    #[error("the statement is not signed once, as a broker does it")]
    Signature,
    /// Not as a statement is written.
    #[error("this is not the statement of a receipt as a broker writes it")]
    Form,
    /// Another version of the form.
    #[error("version {0} of the form of receipts is not known: take a newer program")]
    Version(u16),
    /// Signed, but not by the log that it speaks of.
    #[error("the statement speaks of the log `{0}`, and no key of that name has signed it")]
    Origin(String),
    /// The checkpoint in it.
    #[error("the checkpoint in the statement: {0}")]
    Checkpoint(CheckpointError),
    /// The checkpoint is of another log or era.
    #[error("the checkpoint in the statement is of another log, or of another era of it")]
    Elsewhere,
    /// The log of the checkpoint does not hold the event.
    #[error("the log does not hold the end at that place: {0}")]
    NotIncluded(ProofError),
    /// The event is another one.
    #[error("the event at revision {0} is not the end of that vendor")]
    NotTheEnd(Revision),
    /// An acknowledgement that nobody signed, or for less than the end.
    #[error("what `identity:{0}` is said to have confirmed is not signed so, or comes before the end")]
    Acknowledgement(String),
    /// What is said of verifiers and audiences does not fit together.
    #[error("{0}")]
    Disagrees(&'static str),
}

/// Why a list is not the one of a statement.
#[derive(Debug, thiserror::Error)]
pub enum ListFault {
    /// It cannot be read.
    #[error("the list cannot be read")]
    Read(#[source] std::io::Error),
    /// A line that a broker does not write.
    #[error("line {0} of the list is not as a broker writes it")]
    Line(u64),
    /// A line in the wrong place.
    #[error(
        "line {line} of the list: credential {revision} does not come after the one before it, or is no older than the end"
    )]
    Order {
        /// Which line.
        line: u64,
        /// Its number.
        revision: Revision,
    },
    /// A credential that had expired.
    #[error("line {line} of the list: credential {revision} had expired by the end")]
    Expired {
        /// Which line.
        line: u64,
        /// Its number.
        revision: Revision,
    },
    /// Whole and in order, but another list.
    #[error("this is not the list of that statement: its digest or size is another")]
    Other,
    /// The statement counts something else.
    #[error("the statement does not count what is in the list, for {}", of.as_ref().map_or_else(|| "all of it".to_owned(), |of| format!("`{of}`")))]
    Counts {
        /// For which audience; none for all together.
        of: Option<NodeId>,
    },
}
