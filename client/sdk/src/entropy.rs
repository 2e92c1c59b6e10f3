//! Randomness from the system: for the ids of requests, and so that many clients do not act at the same instant.

use ring::rand::{SecureRandom as _, SystemRandom};

use crate::Error;

/// Bytes that nobody can guess.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Error::Unable("give any randomness, which a request needs"))?;
    Ok(bytes)
}

/// A part of a whole, for spreading things in time. Where there is no randomness to be had, all of it.
pub(crate) fn part() -> Part {
    bytes().map_or(Part(u32::MAX), |bytes| Part(u32::from_be_bytes(bytes)))
}

/// A part between nothing and all of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part(pub(crate) u32);

impl Part {
    /// As a number from 0 to 1.
    pub(crate) fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(u32::MAX)
    }
}
