//! What our certificates say beyond X.509: the serial number, which holds the revision, and the private extension,
//! which holds era and lineage.
//!
//! The extension's OID is `2.25.8897038663214691331`, from the UUID `00000000-0000-0000-7b78-a18691d3f403`: the arc 2.25
//! is open to whoever draws a UUID (X.667, section 7). Its upper half is zero because most ASN.1 code keeps an
//! arc in 63 or 64 bits. It is not critical, so that whoever does not know it accepts the certificate all the same.
//! Its content is a DER `UTF8String`: `1 ERA LINEAGE`, each as everywhere else, one space between, `1` the form.

use daypass_core::event::Nonce;
use daypass_credential::{Era, Lineage, Revision};

use crate::der;

/// The OID of the private extension.
pub const LINEAGE_OID: &[u64] = &[2, 25, 8_897_038_663_214_691_331];

/// A serial number: `01`, eight random bytes, the revision. RFC 5280, section 4.1.2.2 asks for at most 20 bytes, positive.
pub(crate) fn serial(nonce: Nonce, revision: Revision) -> [u8; 17] {
    let mut serial = [0; 17];
    let bytes = [1].into_iter().chain(nonce.0).chain(revision.get().to_be_bytes());
    serial.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    serial
}

/// The parts of a serial number of ours.
pub(crate) fn read_serial(serial: &[u8]) -> Option<(Nonce, Revision)> {
    let (nonce, rest) = serial.strip_prefix(&[1])?.split_first_chunk::<8>()?;
    let revision = u64::from_be_bytes(rest.try_into().ok()?);
    Some((Nonce(*nonce), Revision::new(revision)))
}

/// The text of the extension.
pub(crate) fn text(era: Era, lineage: &Lineage) -> String {
    format!("1 {era} {lineage}")
}

/// Era and lineage from the text of the extension; only what [`text`] writes reads back.
pub(crate) fn read_text(text: &str) -> Option<(Era, Lineage)> {
    let (era, lineage) = text.strip_prefix("1 ")?.split_once(' ')?;
    Some((era.parse().ok()?, lineage.parse().ok()?))
}

/// The content of the extension.
pub(crate) fn content(text: &str) -> Vec<u8> {
    der::write(der::UTF8_STRING, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_reads_back_and_is_positive_and_short() {
        for (nonce, revision) in [([0; 8], 1), ([0xff; 8], u64::MAX), ([7; 8], 0)] {
            let serial = serial(Nonce(nonce), Revision::new(revision));
            let (read, rev) = read_serial(&serial).unwrap();
            assert_eq!((read.0, rev.get()), (nonce, revision));
        }
        for bad in [&[][..], &[1; 16], &[1; 18], &[2; 17]] {
            assert!(read_serial(bad).is_none());
        }
    }

    #[test]
    fn era_and_lineage_have_one_spelling() {
        let (era, lineage) = (Era::new(9), "vendor:acme application:sync".parse().unwrap());
        let written = text(era, &lineage);
        assert_eq!(written, "1 0000000000000009 vendor:acme application:sync");
        assert_eq!(read_text(&written), Some((era, lineage)));
        for bad in [
            "",
            "1",
            "1 0000000000000009",
            "1 0000000000000009 ",
            "2 0000000000000009 vendor:acme",
            "1  0000000000000009 vendor:acme",
            "1 0000000000000009 vendor:acme ",
            "1 000000000000000A vendor:acme",
            "1 0000000000000009 vendor:acme\0",
        ] {
            assert_eq!(read_text(bad), None, "`{bad}`");
        }
    }
}
