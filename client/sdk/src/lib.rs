//! Daypass for Rust programs: enrol once, keep the identity on disk, and then mint, ask, write and end over one
//! connection. What a credential is lies in `daypass-credential`; what goes over the wire in `daypass-proto`.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use daypass_sdk::{Application, Connection, Home, TokenRequest};
//!
//! let home = Home::at("/var/lib/sync/daypass");
//! daypass_sdk::enroll(&home, &"broker.example:7443".parse()?, &"dpe1-…".parse()?, None).await?;
//!
//! let application = Application::over(Connection::open(&home.identity()?).await?)?;
//! let audience = "billing".parse()?;
//! let certificate = application.certificate(&audience, None).await?;
//! let request = TokenRequest {
//!     audience: &audience,
//!     scopes: &"invoices.read".parse()?,
//!     certificate: Some(certificate.leaf()),
//!     ttl: None,
//! };
//! let token = application.token(&request).await?;
//! # drop(token);
//! # Ok(())
//! # }
//! ```

mod address;
mod connection;
mod credential;
mod diagnostics;
mod directory;
mod enrollment;
mod error;
mod files;
mod home;
mod identity;
mod key;
mod offboarding;
mod pem;
mod tls;
mod verification;
mod wire;

pub use address::Address;
pub use connection::{Connection, connect};
pub use credential::{Application, ClientCertificate, Token, TokenRequest};
pub use diagnostics::Pong;
pub use directory::{Directory, Written};
pub use enrollment::{Opened, enroll, renew};
pub use error::{Error, Refusal, RefusalClass};
pub use files::{make_private_folder, write_private, write_public};
pub use home::Home;
pub use identity::Identity;
pub use key::PrivateKey;
pub use pem::{certificates_from_pem, certificates_to_pem};
pub use tls::{Proof, Trust};
pub use verification::{AudienceRoots, Live, TrustBundle, Verifier};
