//! What a certificate of ours says beyond X.509, and who it can be for: the serial number, which holds the revision, the
//! private extension, which holds era and lineage, and what a lineage has to name. The broker writes it, broker and
//! verifiers read it, and neither can read what the other would not.
//!
//! The extension's OID is `2.25.8897038663214691331`, from the UUID `00000000-0000-0000-7b78-a18691d3f403`: the arc 2.25
//! is open to whoever draws a UUID (X.667, section 7). Its upper half is zero because most ASN.1 code keeps an
//! arc in 63 or 64 bits. It is not critical, so that whoever does not know it accepts the certificate all the same.
//! Its content is a DER `UTF8String`: `1 ERA LINEAGE`, each as everywhere else, one space between, `1` the form.

use crate::{Era, Lineage, Name, NodeId, NodeKind, Revision};

/// The OID of the private extension.
pub const LINEAGE_OID: &[u64] = &[2, 25, 8_897_038_663_214_691_331];

/// A serial number: `01`, eight random bytes, the revision. RFC 5280, section 4.1.2.2 asks for at most 20 bytes, positive.
#[must_use]
pub fn serial(nonce: [u8; 8], revision: Revision) -> [u8; 17] {
    let mut serial = [0; 17];
    let bytes = [1].into_iter().chain(nonce).chain(revision.get().to_be_bytes());
    serial.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    serial
}

/// The random bytes and the revision of a serial number of ours.
#[must_use]
pub fn read_serial(serial: &[u8]) -> Option<([u8; 8], Revision)> {
    let (nonce, rest) = serial.strip_prefix(&[1])?.split_first_chunk::<8>()?;
    let revision = u64::from_be_bytes(rest.try_into().ok()?);
    Some((*nonce, Revision::new(revision)))
}

/// The text of the extension.
#[must_use]
pub fn text(era: Era, lineage: &Lineage) -> String {
    format!("1 {era} {lineage}")
}

/// Era and lineage from the text of the extension; only what [`text`] writes reads back.
#[must_use]
pub fn read_text(text: &str) -> Option<(Era, Lineage)> {
    let (era, lineage) = text.strip_prefix("1 ")?.split_once(' ')?;
    Some((era.parse().ok()?, lineage.parse().ok()?))
}

/// Can this kind of node hold certificates?
#[must_use]
pub const fn is_subject(kind: NodeKind) -> bool {
    match kind {
        NodeKind::Application | NodeKind::Person | NodeKind::Verifier => true,
        NodeKind::Vendor
        | NodeKind::Contract
        | NodeKind::Audience
        | NodeKind::Identity
        | NodeKind::Credential
        | NodeKind::Key
        | NodeKind::Enrollment
        | NodeKind::Roster => false,
    }
}

/// The identity that a certificate's lineage names, if it is one for this subject and audience: it holds the subject,
/// exactly one identity, and the audience, or no audience at all.
#[must_use]
pub fn identity_of<'a>(lineage: &'a Lineage, subject: &NodeId, audience: Option<&Name>) -> Option<&'a Name> {
    let of = |kind| lineage.nodes().iter().filter(move |node| node.kind == kind);
    let (mut identities, mut audiences) = (of(NodeKind::Identity), of(NodeKind::Audience));
    let (identity, None) = (&identities.next()?.name, identities.next()) else {
        return None;
    };
    let named = audiences.next().map(|node| &node.name);
    let agrees = named == audience
        && audiences.next().is_none()
        && is_subject(subject.kind)
        && lineage.contains(subject);
    agrees.then_some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_reads_back_and_is_positive_and_short() {
        for (nonce, revision) in [([0; 8], 1), ([0xff; 8], u64::MAX), ([7; 8], 0)] {
            let serial = serial(nonce, Revision::new(revision));
            assert_eq!(read_serial(&serial), Some((nonce, Revision::new(revision))));
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

    #[test]
    fn a_lineage_names_the_subject_one_identity_and_the_audience() {
        let billing: Name = "billing".parse().unwrap();
        let check = |lineage: &str, subject: &str, audience: Option<&Name>, identity: Option<&str>| {
            let lineage: Lineage = lineage.parse().unwrap();
            let found = identity_of(&lineage, &subject.parse().unwrap(), audience).map(Name::as_str);
            assert_eq!(found, identity, "`{lineage}` for {subject}");
        };
        let sync = "application:sync";
        check("vendor:a application:sync identity:i audience:billing", sync, Some(&billing), Some("i"));
        check("vendor:a application:sync identity:i", sync, None, Some("i"));
        check("vendor:a application:sync identity:i", sync, Some(&billing), None);
        check("vendor:a application:sync identity:i audience:billing", sync, None, None);
        check("vendor:a application:sync identity:i audience:payroll", sync, Some(&billing), None);
        check("application:sync identity:i identity:j", sync, None, None);
        check("application:sync identity:i audience:billing audience:b", sync, Some(&billing), None);
        check("application:other identity:i", sync, None, None);
        check("vendor:a identity:i", "vendor:a", None, None);
    }
}
