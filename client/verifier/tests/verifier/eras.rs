//! Another era: keys, cuts and proofs change in one step, and the one before never returns.

use daypass_credential::Era;
use daypass_verifier::{Echo, Event, FeedError, KeyChange, Published, Refused};

use crate::{
    feeds::known,
    forge::{Authority, published},
    rig::{ERA, at, place, published as real},
};

#[test]
fn another_era_changes_keys_and_cuts_in_one_step_and_the_one_before_never_returns() {
    let (broker, mut rig, der) = known();
    rig.cut("vendor:acme", 150).unwrap();
    rig.feed.connected();
    let (next, ca) = (Era::new(8), Authority::new("billing"));
    let published = || Published { era: next, ..published(&[], &[("billing", &ca)]) };
    // The new log is shorter, and knows nothing of the old one's cuts.
    rig.snapshot(published(), 5, Vec::new(), 0).unwrap();
    assert_eq!(rig.show_certificate(&der, at(1)).map(drop), Err(Refused::UnknownKey));
    let new = ca.leaf(|leaf| {
        let text = format!("1 {next} vendor:acme application:sync identity:i1 audience:billing");
        leaf.custom_extensions = vec![crate::forge::stamp(&text)];
    });
    assert_eq!(rig.show_certificate(&new, at(1)).map(drop), Err(Refused::Stale), "proven of another era");
    rig.refresh(5, at(1)).unwrap();
    rig.show_certificate(&new, at(1)).unwrap();
    assert_eq!(rig.show_certificate(&ca.leaf(|_| {}), at(1)).map(drop), Err(Refused::OtherEra));
    rig.feed.connected();
    let back = rig.snapshot(real(&broker), 999, Vec::new(), 0);
    assert_eq!(back, Err(FeedError::Superseded(ERA)));
    rig.show_certificate(&new, at(1)).unwrap();
}

#[test]
fn a_counter_on_its_way_when_the_era_changes_counts_for_the_new_one() {
    let (_, mut rig, _) = known();
    rig.feed.connected();
    let counter = rig.feed.ask(at(2)).unwrap();
    let ca = Authority::new("billing");
    rig.snapshot(Published { era: Era::new(8), ..published(&[], &[("billing", &ca)]) }, 5, Vec::new(), 0)
        .unwrap();
    assert_eq!(rig.verifier.view().unwrap().age(at(3)), None);
    rig.take(Event::Echo(Echo { counter, head: place(5) })).unwrap();
    assert_eq!(rig.verifier.view().unwrap().age(at(3)), Some(1));
}

#[test]
fn a_new_era_with_a_key_of_the_old_one_is_refused() {
    let (broker, mut rig, der) = known();
    rig.feed.connected();
    let taken = rig.snapshot(Published { era: Era::new(8), ..real(&broker) }, 5, Vec::new(), 0);
    assert!(matches!(taken, Err(FeedError::Keys(KeyChange::Kept(_)))), "{taken:?}");
    rig.show_certificate(&der, at(1)).unwrap();
}
