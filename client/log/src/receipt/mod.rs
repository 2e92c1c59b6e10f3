//! Receipts: what the end of a vendor killed, who refuses it since when, and the proof that it stands in the log. A small
//! statement, signed with the log's own key, and beside it the list of every credential that died. Whoever holds both and the
//! public key checks them without anybody else. Pure; made by the broker, checked by the command line.
//!
//! It proves what verifiers said that they refuse, not that an application obeyed.

mod check;
mod fault;
mod list;
mod spelled;
mod statement;

pub use check::Receipt;
pub use fault::{ListFault, ReceiptError};
pub use list::{Kind, Line, MAX_LINE, Tally, Totals};
pub use statement::{Audience, Count, End, Listed, MAX_STATEMENT, Said, State, Statement, VERSION, Verifier};
