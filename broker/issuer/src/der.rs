//! The little DER (X.690) that is written by hand: where a library would read what it wrote itself.

pub(crate) const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
pub(crate) const SEQUENCE: u8 = 0x30;

/// `ecdsa-with-SHA256` as an AlgorithmIdentifier, without parameters (RFC 5758, section 3.2).
pub(crate) const ECDSA_WITH_SHA256: [u8; 12] =
    [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

/// A value: tag, length in the shortest form (section 10.1), content.
pub(crate) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let short = length.get(zeros..).unwrap_or_default();
    let head = match short {
        [] => vec![tag, 0],
        [one] if *one < 0x80 => vec![tag, *one],
        // At most eight bytes of length, so that the count fits.
        more => [&[tag, 0x80 | u8::try_from(more.len()).unwrap_or_default()], more].concat(),
    };
    [head.as_slice(), content].concat()
}

/// A `UTF8String`, which is the content of the private extension.
pub(crate) fn utf8_string(text: &str) -> Vec<u8> {
    write(UTF8_STRING, text.as_bytes())
}

/// A signed thing of X.509 (RFC 5280, section 4.1), with an ECDSA signature.
pub(crate) fn signed(tbs: &[u8], signature: &[u8]) -> Vec<u8> {
    let bits = write(BIT_STRING, &[&[0], signature].concat());
    write(SEQUENCE, &[tbs, &ECDSA_WITH_SHA256, &bits].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::der_parser::asn1_rs::{FromDer as _, Utf8String};

    #[test]
    fn what_is_written_reads_back_at_every_length() {
        for length in [0, 1, 127, 128, 255, 256, 65_535, 65_536] {
            let text = "x".repeat(length);
            let der = write(UTF8_STRING, text.as_bytes());
            let (rest, read) = Utf8String::from_der(&der).unwrap();
            assert!(rest.is_empty());
            assert_eq!(read.as_ref(), text);
        }
    }
}
