//! Credentials for applications: client certificates first, then tokens bound to them; and a look at any of them.

mod certificate;
mod mint;
mod show;
mod token;

pub(crate) use certificate::{CertificateWish, MintedCertificate, sign};
pub(crate) use show::{CredentialRecord, Death, Shown as ShownCredential};
pub(crate) use token::TokenWish;
