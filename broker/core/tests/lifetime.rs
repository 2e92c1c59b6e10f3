//! Law 5: the smallest of all limits binds, says so, and rounding never outlives it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{Denial, event::Bound};
use daypass_credential::{Timestamp, Ttl};
use support::{Case, NOW, at, secs};

/// The token and the certificate of the same case, with the limits of the good world far away.
fn lifetimes(bend: impl FnOnce(&mut Case)) -> [Result<(Timestamp, Bound), Denial>; 2] {
    let mut case = Case::good();
    case.max_ttl = secs(10_000);
    case.world.audience("billing").scopes.iter_mut().for_each(|rule| rule.max_ttl = secs(20_000));
    case.bound.as_mut().unwrap().expires = at(30_000_000);
    bend(&mut case);
    let token = case.token().map(|r| (r.expires, r.bound_by));
    let certificate = case.certificate().map(|r| (r.expires, r.bound_by));
    [token, certificate]
}

/// `bend` is the limit, `millis` from now, for tokens and certificates alike.
#[track_caller]
fn check(bend: impl FnOnce(&mut Case), millis: i64, bound_by: Bound) {
    for found in lifetimes(bend) {
        assert_eq!(found, Ok((at(millis).floor_secs(), bound_by)));
    }
}

type Limit = fn(&mut Case, u32);

/// Each limit, set to so many seconds from now.
const LIMITS: &[(Bound, Limit)] = &[
    (Bound::Broker, |c, n| c.max_ttl = secs(n)),
    (Bound::Asked, |c, n| c.ttl = Some(secs(n))),
    (Bound::Application, |c, n| {
        c.world.application("sync").max_ttl = Some(secs(n));
    }),
    (Bound::Contract, |c, n| {
        c.world.contract("acme-2026").end = NOW.after(secs(n));
    }),
    (Bound::Contract, |c, n| {
        c.world.contract("reseller-2026").end = NOW.after(secs(n));
    }),
    (Bound::Parent, |c, n| c.caller.expires = NOW.after(secs(n))),
    (Bound::Scope, |c, n| {
        c.world.audience("billing").scopes[0].max_ttl = secs(n);
    }),
    (Bound::Scope, |c, n| {
        c.world.audience("billing").scopes[1].max_ttl = secs(n);
    }),
    (Bound::SigningKey, |c, n| {
        c.world.key("token-1").not_after = NOW.after(secs(n));
        c.world.key("ca-1").not_after = NOW.after(secs(n));
    }),
];

#[test]
fn the_brokers_own_limit_holds_where_nothing_else_does() {
    check(|_| {}, 10_000_000, Bound::Broker);
}

#[test]
fn each_limit_binds_and_says_so() {
    for (bound, limit) in LIMITS {
        check(|c| limit(c, 50), 50_000, *bound);
    }
}

#[test]
fn the_smaller_of_any_two_limits_binds() {
    for (small, (bound, limit)) in LIMITS.iter().enumerate() {
        for (large, (_, other)) in LIMITS.iter().enumerate() {
            if small != large {
                check(
                    |c| {
                        other(c, 51);
                        limit(c, 50);
                    },
                    50_000,
                    *bound,
                );
            }
        }
    }
}

#[test]
fn of_equal_limits_the_first_in_the_order_of_the_rules_is_named() {
    for (first, (bound, limit)) in LIMITS.iter().enumerate() {
        for (_, later) in LIMITS.iter().skip(first + 1) {
            check(
                |c| {
                    later(c, 50);
                    limit(c, 50);
                },
                50_000,
                *bound,
            );
        }
    }
}

#[test]
fn a_token_does_not_outlive_the_certificate_it_is_bound_to() {
    let [token, certificate] = lifetimes(|c| c.bound.as_mut().unwrap().expires = at(70_000));
    assert_eq!(token, Ok((at(70_000).floor_secs(), Bound::Parent)));
    assert_eq!(certificate, Ok((at(10_000_000).floor_secs(), Bound::Broker)));
}

#[test]
fn scopes_that_were_not_asked_for_do_not_bind_a_token() {
    let [token, certificate] = lifetimes(|c| {
        c.scopes = "read".into();
        c.world.audience("billing").scopes[1].max_ttl = secs(60);
    });
    assert_eq!(token, Ok((at(10_000_000).floor_secs(), Bound::Broker)));
    assert_eq!(certificate, Ok((at(60_000).floor_secs(), Bound::Scope)));
}

#[test]
fn an_expiry_is_a_whole_second_at_or_before_its_limit() {
    for millis in [751, 999, 1_000, 1_001, 1_749, 1_750, 1_751, 2_000] {
        for found in lifetimes(|c| c.world.contract("acme-2026").end = at(millis)) {
            let (expires, _) = found.unwrap();
            assert_eq!(expires.as_millis() % 1_000, 0, "{millis}");
            assert!(expires <= at(millis) && NOW < expires, "{millis}");
        }
    }
}

#[test]
fn what_would_end_within_this_second_is_not_minted() {
    for millis in [1, 749] {
        for found in lifetimes(|c| c.world.contract("acme-2026").end = at(millis)) {
            assert_eq!(found, Err(Denial::NothingLeft { bound_by: Bound::Contract }), "{millis}");
        }
    }
    for found in lifetimes(|c| {
        c.now = NOW.floor_secs();
        c.world.contract("acme-2026").end = NOW;
    }) {
        let left = Denial::NothingLeft { bound_by: Bound::Contract };
        assert_eq!(found, Err(left), "rounded down it is this very instant");
    }
    // On a whole second nothing is lost.
    let now = NOW.floor_secs();
    for found in lifetimes(|c| {
        c.now = now;
        c.ttl = Some(secs(1));
    }) {
        assert_eq!(found, Ok((now.after(secs(1)), Bound::Asked)));
    }
}

#[test]
fn no_length_of_time_wraps_around() {
    let longest = Ttl::from_secs(u32::MAX).unwrap();
    let far = Timestamp::from_millis(u64::MAX);
    for found in lifetimes(|c| {
        c.max_ttl = longest;
        c.ttl = Some(longest);
        c.world.application("sync").max_ttl = Some(longest);
        c.world.contract("acme-2026").end = far;
        c.world.contract("reseller-2026").end = far;
        c.world.key("token-1").not_after = far;
        c.world.key("ca-1").not_after = far;
    }) {
        assert_eq!(found, Ok((at(20_000_000).floor_secs(), Bound::Scope)));
    }
}
