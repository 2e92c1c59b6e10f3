//! Nothing is accepted that the broker did not prove to be current: stalls, delays, suspended machines, and clocks that
//! are set.

use daypass_credential::Ttl;
use daypass_verifier::{
    Counter, Echo, Event, FeedError, Freshness, Moment, Options, Refused, UnknownCounter, Verifier,
};

use crate::{
    common::{Broker, csr, name},
    rig::{Rig, at, place, published},
};

const LIMIT: u64 = 30_000;

struct Known {
    rig: Rig,
    der: Vec<u8>,
}

impl Known {
    /// Fresh at the beginning.
    fn new() -> Self {
        let broker = Broker::new();
        Self { rig: Rig::following(&broker), der: broker.certificate(Some("billing"), &csr()) }
    }

    fn check(&self, now: Moment, fresh: bool) {
        let shown = self.rig.show_certificate(&self.der, now).map(drop);
        assert_eq!(shown, if fresh { Ok(()) } else { Err(Refused::Stale) }, "{now:?}");
    }

    fn echo(&mut self, counter: Counter) -> Result<bool, FeedError> {
        self.rig.take(Event::Echo(Echo { counter, head: place(100) }))
    }
}

#[test]
fn fresh_until_the_limit_and_not_at_it() {
    let known = Known::new();
    known.check(at(0), true);
    known.check(at(LIMIT - 1), true);
    known.check(at(LIMIT), false);
    known.check(at(10 * LIMIT), false);
}

#[test]
fn how_long_it_stays_fresh_is_told_to_the_millisecond() {
    let mut known = Known::new();
    let fresh_for = |known: &Known, millis| known.rig.verifier.fresh_for(&name("billing"), at(millis));
    assert_eq!(fresh_for(&known, 0), LIMIT);
    assert_eq!(fresh_for(&known, LIMIT - 1), 1);
    assert_eq!(fresh_for(&known, LIMIT), 0);
    assert_eq!(known.rig.verifier.fresh_for(&name("unknown"), at(0)), 0);
    let counter = known.rig.feed.ask(at(LIMIT)).unwrap();
    known.echo(counter).unwrap();
    assert_eq!(fresh_for(&known, LIMIT + 1), LIMIT - 1);
}

#[test]
fn freshness_counts_from_when_the_counter_was_sent() {
    let mut known = Known::new();
    let counter = known.rig.feed.ask(at(10_000)).unwrap();
    // However late the echo comes.
    assert!(known.echo(counter).unwrap());
    known.check(at(10_000 + LIMIT - 1), true);
    known.check(at(10_000 + LIMIT), false);
}

#[test]
fn a_stream_late_by_a_constant_minute_is_never_fresh() {
    let mut known = Known::new();
    let mut on_the_way = Vec::new();
    for second in (60..600).step_by(5) {
        on_the_way.push((second, known.rig.feed.ask(at(second * 1_000)).unwrap()));
        while let Some((sent, counter)) = on_the_way.first().copied()
            && sent + 60 <= second
        {
            on_the_way.remove(0);
            assert!(known.echo(counter).unwrap(), "each echo proves more than the one before");
        }
        known.check(at(second * 1_000), false);
    }
    assert!(on_the_way.len() < 20, "echoes did come");
}

#[test]
fn a_machine_that_slept_is_stale_whatever_its_wall_clock_says() {
    let known = Known::new();
    let (awake, day) = (at(5), 86_400_000);
    known.check(awake, true);
    known.check(Moment { boot: awake.boot + day, ..awake }, false);
    known.check(Moment { boot: awake.boot + LIMIT - 6, ..awake }, true);
    known.check(Moment { boot: awake.boot + LIMIT - 5, ..awake }, false);
}

#[test]
fn a_wall_clock_set_back_gains_nothing() {
    let mut known = Known::new();
    let hour = 20_000;
    let back = |millis: u64| Moment { wall: at(0).wall.before(Ttl::seconds(20)), ..at(millis) };
    known.check(back(LIMIT - 1), true);
    known.check(back(LIMIT), false);
    // Asked before the step, answered after it.
    let counter = known.rig.feed.ask(at(hour)).unwrap();
    known.echo(counter).unwrap();
    known.check(back(hour + LIMIT - 1), true);
    known.check(back(hour + LIMIT), false);
}

#[test]
fn a_wall_clock_set_forward_refuses_until_the_next_proof() {
    let mut known = Known::new();
    let forward = |millis: u64| Moment { boot: at(millis).boot, ..at(millis + LIMIT) };
    known.check(forward(1), false);
    let asked_before = known.rig.feed.ask(at(1)).unwrap();
    known.echo(asked_before).unwrap();
    known.check(forward(2), false);
    let asked_after = known.rig.feed.ask(forward(3)).unwrap();
    known.check(forward(4), false);
    known.echo(asked_after).unwrap();
    known.check(forward(4), true);
}

#[test]
fn a_boot_clock_that_ran_back_proves_nothing() {
    let known = Known::new();
    let restored = Moment { boot: at(0).boot - 1_001, ..at(0) };
    known.check(restored, false);
    known.check(Moment { boot: at(0).boot - 1_000, ..at(0) }, true);
}

#[test]
fn echoes_count_in_any_order_and_once() {
    let mut known = Known::new();
    let [first, second, third] = [1_000, 2_000, 3_000].map(|millis| known.rig.feed.ask(at(millis)).unwrap());
    assert!(known.echo(second).unwrap());
    known.check(at(2_000 + LIMIT - 1), true);
    assert!(!known.echo(first).unwrap(), "an older one proves less");
    assert!(!known.echo(second).unwrap(), "a repeated one proves nothing");
    known.check(at(2_000 + LIMIT), false);
    assert!(known.echo(third).unwrap());
    known.check(at(2_000 + LIMIT), true);
}

#[test]
fn an_echo_of_what_was_not_sent_over_this_stream_ends_it() {
    let mut known = Known::new();
    let sent = known.rig.feed.ask(at(1_000)).unwrap();
    let never = Counter(sent.0 + 1);
    assert_eq!(known.echo(never), Err(FeedError::Echo(UnknownCounter(never))));
    assert_eq!(known.echo(sent), Err(FeedError::OutOfPlace("an echo")), "the stream is over");
    assert_eq!(known.rig.feed.ask(at(1_000)), None);

    let mut known = Known::new();
    let before = known.rig.feed.ask(at(1_000)).unwrap();
    known.rig.feed.disconnected();
    known.rig.feed.connected();
    known.rig.take(Event::Resumed { era: crate::rig::ERA, at: place(100) }).unwrap();
    assert_eq!(known.echo(before), Err(FeedError::Echo(UnknownCounter(before))));
}

#[test]
fn no_counter_is_sent_twice() {
    let mut known = Known::new();
    let first = known.rig.feed.ask(at(1)).unwrap();
    known.rig.feed.connected();
    assert!(known.rig.feed.ask(at(2)).unwrap() > first);
}

#[test]
fn freshness_outlives_a_lost_stream_up_to_the_limit() {
    let mut known = Known::new();
    known.rig.feed.disconnected();
    known.check(at(LIMIT - 1), true);
    known.check(at(LIMIT), false);
    known.rig.feed.connected();
    known.rig.take(Event::Resumed { era: crate::rig::ERA, at: place(100) }).unwrap();
    known.check(at(LIMIT), false);
    known.rig.refresh(100, at(LIMIT)).unwrap();
    known.check(at(LIMIT), true);
}

#[test]
fn a_snapshot_alone_proves_nothing() {
    let broker = Broker::new();
    let mut rig = Rig::new(&["billing"]);
    rig.feed.connected();
    let counter = rig.feed.ask(at(0)).unwrap();
    assert!(rig.snapshot(published(&broker), 100, Vec::new(), 0).unwrap());
    let der = broker.certificate(Some("billing"), &csr());
    assert_eq!(rig.show_certificate(&der, at(0)).map(drop), Err(Refused::Stale));
    // The counter was on its way while the snapshot came, and its echo counts.
    assert!(rig.take(Event::Echo(Echo { counter, head: place(100) })).unwrap());
    rig.show_certificate(&der, at(0)).unwrap();
}

#[test]
fn each_audience_has_its_own_limit_and_a_stricter_one_of_the_verifier_counts() {
    let broker = Broker::new();
    let mut published = published(&broker);
    for audience in &mut published.audiences {
        audience.staleness =
            if audience.name == name("payroll") { Ttl::seconds(5) } else { Ttl::seconds(30) };
    }
    let request = csr();
    let certificates = ["billing", "payroll"].map(|audience| broker.certificate(Some(audience), &request));
    for (own, limits) in
        [(None, [30, 5]), (Some(Ttl::seconds(10)), [10, 5]), (Some(Ttl::seconds(600)), [30, 5])]
    {
        let mut rig = Rig::new(&["billing"]);
        let options = Options { staleness: own, ..Options::default() };
        rig.verifier = Verifier::new([name("billing"), name("payroll")], &options).unwrap();
        rig.feed.connected();
        rig.snapshot(published.clone(), 100, Vec::new(), 0).unwrap();
        rig.refresh(100, at(0)).unwrap();
        for (der, limit) in certificates.iter().zip(limits) {
            rig.show_certificate(der, at(limit * 1_000 - 1)).unwrap();
            assert_eq!(rig.show_certificate(der, at(limit * 1_000)).map(drop), Err(Refused::Stale));
        }
    }
}

#[test]
fn counters_without_an_echo_do_not_pile_up() {
    let mut freshness = Freshness::new();
    let first = freshness.send(at(0));
    let all: Vec<_> = (1..=1_000).map(|millis| freshness.send(at(millis))).collect();
    assert_eq!(freshness.echoed(first), Ok(false), "forgotten, but it was sent");
    assert_eq!(freshness.proven(), None);
    assert_eq!(freshness.echoed(all[999]), Ok(true));
    assert_eq!(freshness.proven(), Some(at(1_000)));
    assert_eq!(freshness.echoed(all[500]), Ok(false));
    assert_eq!(freshness.proven(), Some(at(1_000)), "what is proven stays proven");
}
