//! Where random bytes come from: a parameter, so that a simulation can repeat a run.

use ring::rand::{SecureRandom, SystemRandom};

use crate::refusal::Refusal;

/// A source of random bytes.
pub(crate) trait Entropy: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Refusal>;
}

impl dyn Entropy {
    /// So many random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> Result<[u8; N], Refusal> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }
}

/// The operating system's.
pub(crate) struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    pub(crate) fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), Refusal> {
        self.0.fill(buffer).map_err(|_| Refusal::internal("no random bytes"))
    }
}
