//! The keys that sign checkpoints: the ring's audit keys, under the name of the log.

use daypass_core::node::{Key, KeyPurpose};
use daypass_credential::Timestamp;
use daypass_issuer::KeyRing;
use daypass_log::VerifierKey;

/// The DER of an Ed25519 SubjectPublicKeyInfo up to the key itself (RFC 8410).
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The log's origin, which is also the name of its keys: the issuer's address without its scheme, and `/log`.
pub(crate) fn origin(issuer: &str) -> String {
    let address = issuer.strip_prefix("https://").unwrap_or(issuer);
    format!("{}/log", address.trim_end_matches('/'))
}

/// An audit key as the readers of checkpoints know it; nothing for another kind of key.
pub(crate) fn log_key(issuer: &str, key: &Key) -> Option<VerifierKey> {
    let public = key.public.0.strip_prefix(&PREFIX)?.try_into().ok()?;
    let audit = matches!(key.purpose, KeyPurpose::Audit);
    VerifierKey::new(&origin(issuer), public).ok().filter(|_| audit)
}

/// Every key of the ring that ever signed a checkpoint of this log.
pub(crate) fn all(ring: &KeyRing) -> Vec<VerifierKey> {
    ring.keys().filter_map(|key| log_key(&ring.realm().issuer, key)).collect()
}

/// Those that still vouch for something: for who checks checkpoints.
pub(crate) fn published(ring: &KeyRing, now: Timestamp) -> Vec<VerifierKey> {
    let alive = ring.keys().filter(|key| now < key.not_after);
    alive.filter_map(|key| log_key(&ring.realm().issuer, key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_called_by_its_issuers_address() {
        for (issuer, called) in [
            ("https://t.example", "t.example/log"),
            ("https://t.example/", "t.example/log"),
            ("https://t.example:7443/daypass", "t.example:7443/daypass/log"),
        ] {
            assert_eq!(origin(issuer), called);
        }
    }
}
