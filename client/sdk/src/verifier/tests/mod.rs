//! Following a broker, seen from a verifier: what is put in force, and what is not believed.

use std::sync::Arc;

use super::{Refused, Verifier};

#[test]
fn a_verifier_that_nothing_feeds_accepts_nothing() {
    let clock = super::SystemClock;
    let options = daypass_verifier::Options::default();
    let verifier = Verifier::new(["billing".parse().unwrap()], &options, Arc::new(clock)).unwrap();
    assert_eq!(verifier.check_token("a.b.c", None, &[]).err(), Some(Refused::NotReady));
    assert_eq!((verifier.age(), verifier.refuses_in(), verifier.is_fresh()), (None, None, false));
    assert!(verifier.position().is_none());
    assert!(Verifier::new([], &options, Arc::new(super::SystemClock)).is_err());
}
