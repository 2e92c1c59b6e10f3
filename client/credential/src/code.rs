//! The one-time enrolment code: a secret, and the fingerprint of the root of the broker that made it, so that whoever
//! holds the code knows the broker before trusting it with anything.

use std::{fmt, str::FromStr};

use crate::Digest;

/// A one-time enrolment code, written `dpe1-<32 hexadecimal digits>-<64 hexadecimal digits>`: secret, root.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrollmentCode {
    secret: [u8; 16],
    root: Digest,
}

/// A text that is no enrolment code. What it was is not repeated: it may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an enrolment code: it begins with `dpe1-` and has 102 characters; copy the whole of it")]
pub struct CodeError;

impl EnrollmentCode {
    /// The code with this secret, for the broker whose root certificate has this SHA-256.
    #[must_use]
    pub const fn new(secret: [u8; 16], root: Digest) -> Self {
        Self { secret, root }
    }

    /// The secret half. The broker keeps only its digest.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 16] {
        &self.secret
    }

    /// SHA-256 of the broker's root certificate in DER.
    #[must_use]
    pub const fn root(&self) -> Digest {
        self.root
    }

    /// The whole code, to be handed over once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("dpe1-{}-{}", hex(&self.secret), hex(self.root.as_bytes()))
    }
}

impl fmt::Debug for EnrollmentCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrollmentCode(…)")
    }
}

impl FromStr for EnrollmentCode {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let rest = text.trim().strip_prefix("dpe1-").ok_or(CodeError)?;
        let (secret, root) = rest.split_once('-').ok_or(CodeError)?;
        Ok(Self { secret: unhex(secret)?, root: Digest::new(unhex(root)?) })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N], CodeError> {
    let digit = |b: u8| char::from(b).to_digit(16).filter(|_| !b.is_ascii_uppercase());
    if text.len() != N * 2 {
        return Err(CodeError);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let [high, low] = pair else { return Err(CodeError) };
        let value = digit(*high).zip(digit(*low)).map(|(high, low)| high * 16 + low);
        *byte = value.and_then(|v| u8::try_from(v).ok()).ok_or(CodeError)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_back_and_is_not_printed() {
        let code = EnrollmentCode::new([0xab; 16], Digest::new([0x0f; 32]));
        let text = code.reveal();
        assert_eq!(text.len(), 102);
        assert_eq!(text.parse::<EnrollmentCode>().unwrap(), code);
        assert!(!format!("{code:?}").contains("ab"));
    }

    #[test]
    fn what_is_no_code_is_refused_without_repeating_it() {
        let good = EnrollmentCode::new([1; 16], Digest::new([2; 32])).reveal();
        for bad in [
            "",
            "dpe1-",
            "dpe1-ab-cd",
            &good.replacen("dpe1", "dpe", 1),
            &good.to_uppercase(),
            &good.replace('0', "g"),
            "dpe1-é",
        ] {
            assert_eq!(bad.parse::<EnrollmentCode>(), Err(CodeError), "`{bad}`");
        }
    }
}
