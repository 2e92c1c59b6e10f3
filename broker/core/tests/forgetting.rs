//! Forgetting a person: only who was ended, once, and a bounded number of texts at a time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Life, Node, PrivateId,
    forgetting::{Forget, MAX_ERASED, decide_forget},
    node::Person,
};
use daypass_credential::Revision;
use support::{World, id, name, person};

fn world(life: Life) -> World {
    let mut world = World::good();
    world.set_life("person:tina", life);
    world
}

fn texts(count: u8) -> Vec<PrivateId> {
    (0..count).map(|n| PrivateId::new([n; 16])).collect()
}

fn forget(world: &World, who: &str, count: u8) -> Result<Forget, Denial> {
    world.decide(|facts| decide_forget(facts, &name(who), &texts(count)))
}

fn gone() -> Box<Node> {
    let body = Body::Person(Person { forgotten: true, ..person("tina", &[]) });
    Box::new(Node { life: Life::Ended, body })
}

#[test]
fn who_is_in_the_directory_is_not_forgotten() {
    for life in [Life::Open, Life::Suspended] {
        assert_eq!(forget(&world(life), "tina", 1), Err(Denial::NotEnded { node: id("person:tina") }));
    }
    assert_eq!(
        forget(&World::good(), "stranger", 1),
        Err(Denial::UnknownNode { node: id("person:stranger") })
    );
}

#[test]
fn who_was_ended_is_forgotten_and_stays_ended() {
    let world = world(Life::Ended);
    assert_eq!(forget(&world, "tina", 2), Ok(Forget::Erase { node: gone(), texts: texts(2) }));
    assert_eq!(forget(&world, "tina", 0), Ok(Forget::Erase { node: gone(), texts: vec![] }));
}

#[test]
fn who_was_forgotten_is_so_already_unless_a_text_is_left() {
    let mut world = world(Life::Ended);
    world.put(*gone());
    let at = world.at("person:tina").revision;
    assert!(at > Revision::ZERO);
    assert_eq!(forget(&world, "tina", 0), Ok(Forget::Already(at)));
    assert_eq!(forget(&world, "tina", 1), Ok(Forget::Erase { node: gone(), texts: texts(1) }));
}

#[test]
fn one_event_erases_so_many_and_the_next_the_rest() {
    let Ok(Forget::Erase { texts: erased, .. }) = forget(&world(Life::Ended), "tina", 200) else {
        panic!("not forgotten")
    };
    assert_eq!(erased, texts(200)[..MAX_ERASED]);
}
