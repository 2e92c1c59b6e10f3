//! Where other code set up the token cryptography of the process first, the keys are not opened: they would not sign.
#![allow(clippy::unwrap_used, reason = "tests")]

use daypass_core::node::Key;
use daypass_credential::Era;
use daypass_issuer::{KeyEncryptionKey, KeyRing, OpenError, Realm};
use jsonwebtoken::{
    crypto::{CryptoProvider, KeyUtils},
    errors::{ErrorKind, new_error},
};

static OTHER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    verifier_factory: |_, _| Err(new_error(ErrorKind::UnsupportedAlgorithm)),
    key_utils: KeyUtils::new_unimplemented(),
};

#[test]
fn no_ring_opens_where_its_tokens_would_not_be_signed() {
    OTHER.install_default().unwrap();
    let realm = Realm {
        issuer: "https://broker.example".to_owned(),
        domain: "daypass.example".parse().unwrap(),
        era: Era::new(7),
    };
    let kek = KeyEncryptionKey::generate().unwrap();
    let opened = KeyRing::open(realm, &kek, Vec::<(Key, Vec<u8>)>::new());
    assert_eq!(opened.err(), Some(OpenError::OtherProvider));
}
