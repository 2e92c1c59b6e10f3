//! Credentials for applications: client certificates first, then tokens bound to them.

mod certificate;
mod mint;
mod token;

pub(crate) use certificate::{CertificateWish, MintedCertificate, sign};
pub(crate) use token::TokenWish;
