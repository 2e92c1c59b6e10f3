//! Daypass for Rust programs: enrol once, keep the identity on disk, and then mint, ask, write and end over one
//! connection. What a credential is lies in `daypass-credential`; what goes over the wire in `daypass-proto`.
//!
//! A program that runs by itself enrols once, keeps its identity fresh, and asks for credentials whenever it needs them:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use daypass_sdk::{Application, Credentials, Home, Keeper, Options};
//!
//! let (home, options) = (Home::at("/var/lib/sync/daypass"), Options::default());
//! if !home.is_taken()? {
//!     let (broker, code) = ("broker.example:7443".parse()?, "dpe1-…".parse()?);
//!     daypass_sdk::enroll_with(&home, &broker, &code, None, &options).await?;
//! }
//! let keeper = Keeper::start(home, &options).await?;
//! let credentials = Credentials::of(Application::over(keeper.connection())?);
//!
//! // Each time before it is used: what comes is good, and the certificate fits the token.
//! let credential = credentials.credential(&"billing".parse()?, &"invoices.read".parse()?).await?;
//! let (proof, token) = (credential.proof(), credential.token().reveal());
//! # drop((proof, token.len()));
//! # Ok(())
//! # }
//! ```
//!
//! Below that lie the single calls: [`Application`] mints, [`Introspector`] asks, [`Directory`] reads and writes, and a
//! [`Connection`] ends things.
//!
//! - **What is tried again**: with [`RetryPolicy::PATIENT`], the default of [`Options`], calls outlast a restart of the
//!   broker. A call that changes something goes with an id (or a key) by which the broker knows a repeat, so that
//!   nothing is done twice; what has none is repeated only if nothing was done. [`Connection::open`], [`enroll`] and
//!   [`renew`] try once. [`Error::may_retry`] says of an error whether waiting helps.
//! - **What a no means**: every refusal has a stable reason ([`Error::reason`]), which the broker's documentation
//!   explains one by one.
//! - **What a broker has to show**: each new connection, before any call goes over it, is shown the broker's log, and that
//!   it continues the newest checkpoint that the [`Home`] has kept. A broker that was put back from an older backup, or
//!   replaced, cannot show that, and gets no call ([`Error::Log`]); where the log cannot be looked at, only ends go out.
//!   The first contact is trusted, unless [`Options::log_key`] says whose it has to be; a broker from before there were
//!   checkpoints is served until one was seen.
//! - **What happens by itself** is told to an [`Observer`].
//! - **Relying parties** that are written in Rust accept connections with `listen` (the feature of that name), and check
//!   credentials by themselves with `verifier` (the feature `verify`).

mod address;
mod cause;
mod connection;
mod credential;
mod credentials;
mod diagnostics;
mod directory;
mod enrollment;
mod entropy;
mod error;
mod event;
mod events;
mod files;
mod fingerprint;
mod home;
mod identity;
mod keeper;
mod key;
mod life;
mod link;
#[cfg(feature = "listen")]
pub mod listen;
mod log;
mod offboarding;
mod past_refusal;
mod pem;
mod record;
mod retry;
#[cfg(any(feature = "listen", feature = "verify"))]
mod server_tls;
mod standings;
mod tls;
mod verification;
#[cfg(feature = "verify")]
pub mod verifier;
mod way;
mod wire;

pub use address::Address;
pub use connection::{Connection, KeepAlive, Options, connect};
pub use credential::{Application, ClientCertificate, Token, TokenRequest};
pub use credentials::{Credential, Credentials};
pub use diagnostics::Pong;
pub use directory::{Directory, Written};
pub use enrollment::{Opened, enroll, enroll_with, renew};
pub use error::{Error, Refusal, RefusalClass};
pub use event::{Event, Observer};
pub use events::{EventFilter, EventPage, EventQuery, Events, LoggedEvent};
pub use files::{make_private_folder, write_private, write_public};
pub use home::Home;
pub use identity::Identity;
pub use keeper::{Keeper, Standing};
pub use key::PrivateKey;
pub use log::{Export, KnownLog, LogFault, Proven};
pub use offboarding::{Offboarded, ReceiptPart, ReceiptParts};
pub use past_refusal::PastRefusal;
pub use pem::{certificates_from_pem, certificates_to_pem};
pub use record::{Death, Record, RecordKind};
pub use retry::RetryPolicy;
pub use standings::{Standings, VerifierStanding};
pub use tls::{Proof, Trust};
pub use verification::{AudienceRoots, Introspector, Live, TrustBundle};
