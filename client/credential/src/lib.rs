//! What a Daypass credential is, and the rule that says whether it is alive. The broker and every verifier share
//! this crate, so that they cannot disagree. No I/O, no clock, no cryptography.

mod claims;
mod code;
mod cuts;
mod digest;
mod id;
mod lineage;
mod revision;
mod scope;
pub mod stamp;
mod time;
mod trust_domain;

pub use claims::{Claims, Confirmation, TOKEN_TYPE};
pub use code::{CodeError, EnrollmentCode};
pub use cuts::{Cut, CutSet, Dead, Rests, standing};
pub use digest::{Digest, DigestError};
pub use id::{Name, NameError, NodeId, NodeIdError, NodeKind};
pub use lineage::{Lineage, LineageError};
pub use revision::{Era, EraError, Revision};
pub use scope::{Scope, ScopeError, ScopeSet};
pub use time::{Timestamp, Ttl, TtlError};
pub use trust_domain::{TrustDomain, TrustDomainError};
