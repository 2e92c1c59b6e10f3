//! The ledger against plain memory of everything, over random logs made by the real rules: whatever happened, it knows
//! what each cut kills, what is alive, and what verifiers have to hear; they never take back a refusal; and it can be
//! written down and taken up at any time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "support/history.rs"]
mod history;
mod support;

use std::collections::BTreeSet;

use daypass_core::{
    Action, Body, Event, Shown,
    ledger::{Fallen, Kind, Ledger, Live, Reach, When},
    replay::Replay,
};
use daypass_credential::{CutSet, Lineage, NodeId, NodeKind, Rests, Revision, Timestamp, Ttl};
use history::History;
use proptest::{prelude::*, sample::Index};
use support::{ERA, application, audience, id};

/// One thing that somebody tries; what the rules refuse is not recorded. Where it is not said by whom or with what, it is
/// the application, with its newest.
#[derive(Debug, Clone)]
enum Try {
    Pass(u64),
    Open(&'static str),
    Enroll(Option<Index>, u8),
    Renew(Option<Index>, u8),
    Certificate(Option<Index>),
    Token(Option<Index>, Option<Option<Index>>, &'static str),
    End(&'static str),
    EndIdentity(Index),
    EndCredential(Index),
    Narrow(&'static str, u16),
    Resume(&'static str),
    Clock(i64),
    /// The ledger forgets, as of so much before.
    Forget(u64),
    /// One ledger is written down, and taken up again.
    Reload,
    /// A verifier begins anew, with a snapshot, or goes on from where it was.
    Snapshot,
    GoOn,
}

fn attempt() -> impl Strategy<Value = Try> {
    use proptest::sample::select;
    let any = any::<Index>;
    // Mostly what a history survives.
    let who = || proptest::option::weighted(0.15, any());
    let ends =
        ["vendor:acme", "application:sync", "audience:billing", "vendor:reseller", "contract:acme-2026"];
    let end = prop_oneof![4 => Just("person:tina"), 1 => select(ends.to_vec())];
    let subjects = ["application:sync", "application:sync", "person:tina"];
    prop_oneof![
        5 => prop_oneof![2 => 0u64..2_000, 1 => 60_000u64..900_000].prop_map(Try::Pass),
        3 => select(subjects.to_vec()).prop_map(Try::Open),
        4 => (who(), 30u8..60).prop_map(|(code, key)| Try::Enroll(code, key)),
        5 => (who(), 60u8..90).prop_map(|(caller, key)| Try::Renew(caller, key)),
        8 => who().prop_map(Try::Certificate),
        16 => (who(), proptest::option::weighted(0.9, who()), select(vec!["read", "read write", "write"]))
            .prop_map(|(caller, bound, scopes)| Try::Token(caller, bound, scopes)),
        1 => end.prop_map(Try::End),
        1 => any().prop_map(Try::EndIdentity),
        5 => any().prop_map(Try::EndCredential),
        2 => (select(vec!["application", "audience"]), 1u16..60)
            .prop_map(|(what, minutes)| Try::Narrow(what, minutes)),
        1 => select(vec!["vendor:old", "vendor:older"]).prop_map(Try::Resume),
        1 => (-400_000i64..400_000).prop_map(Try::Clock),
        3 => (0u64..100_000).prop_map(Try::Forget),
        2 => Just(Try::Reload),
        2 => Just(Try::Snapshot),
        2 => Just(Try::GoOn),
    ]
}

/// A credential, as plain memory has it.
#[derive(Debug)]
struct Plain {
    live: Live,
    lineage: Lineage,
}

impl Plain {
    fn of(rev: Revision, event: &Event) -> Option<Self> {
        let record = event.record();
        let (subject, kind) = match &event.action {
            Action::Enrolled(record) | Action::Renewed(record) => {
                (record.subject.clone(), Kind::IdentityCertificate)
            }
            Action::CertificateMinted(record) => (record.subject.clone(), Kind::ClientCertificate),
            Action::TokenMinted(record) => (id(&format!("application:{}", record.application)), Kind::Token),
            _ => return None,
        };
        let audience = record.subject.filter(|subject| subject.kind == NodeKind::Audience);
        let live = Live { revision: rev, kind, subject, audience, expires: record.expires_at.unwrap() };
        Some(Self { live, lineage: record.lineage.unwrap() })
    }

    fn under(&self, node: &NodeId) -> bool {
        self.lineage.contains(node) || NodeId::credential(self.live.revision) == *node
    }

    fn rests(&self) -> Rests<'_> {
        Rests { era: ERA, rev: self.live.revision, exp: self.live.expires, lineage: &self.lineage }
    }
}

/// Everything that ever happened, and those that follow it.
struct Everything {
    history: History,
    issued: Vec<Plain>,
    cuts: Vec<(NodeId, Revision)>,
    followed: usize,
    ledger: Ledger,
    /// The same, but written down and taken up again now and then.
    reloaded: Ledger,
    /// A verifier that hears every cut as it falls; one that has a snapshot; and when that went on last.
    live: CutSet,
    late: CutSet,
    late_at: Revision,
    refused: BTreeSet<Revision>,
}

impl Everything {
    fn new() -> Self {
        Self {
            history: History::good(),
            issued: Vec::new(),
            cuts: Vec::new(),
            followed: 0,
            ledger: Ledger::default(),
            reloaded: Ledger::default(),
            live: CutSet::new(ERA),
            late: CutSet::new(ERA),
            late_at: Revision::ZERO,
            refused: BTreeSet::new(),
        }
    }

    fn dead(&self, plain: &Plain, up_to: Revision) -> bool {
        let kills =
            |(node, at): &(NodeId, Revision)| *at > plain.live.revision && *at <= up_to && plain.under(node);
        self.cuts.iter().any(kills)
    }

    fn follow(&mut self) -> Result<(), TestCaseError> {
        while let Some(event) = self.history.events.get(self.followed).cloned() {
            self.followed += 1;
            let revision = Revision::new(self.followed as u64);
            let fallen = self.ledger.take(revision, &event).unwrap();
            prop_assert_eq!(&self.reloaded.take(revision, &event).unwrap(), &fallen);
            let cut: Vec<NodeId> = event.puts.iter().filter(|put| put.cut).map(|put| put.node.id()).collect();
            prop_assert_eq!(
                fallen.iter().map(|fallen| &fallen.cut.node).collect::<Vec<_>>(),
                cut.iter().collect::<Vec<_>>()
            );
            for one in fallen {
                self.judge_fallen(revision, &one)?;
                self.cuts.push((one.cut.node.clone(), revision));
                if one.reach == Reach::Relied {
                    self.live.apply(one.cut);
                }
            }
            self.issued.extend(Plain::of(revision, &event));
        }
        Ok(())
    }

    /// The latest expiry, and whether something died that was alive.
    fn judge_fallen(&self, at: Revision, fallen: &Fallen) -> Result<(), TestCaseError> {
        let horizon = self.ledger.horizon();
        let under = self.issued.iter().filter(|plain| plain.under(&fallen.cut.node));
        let under: Vec<_> = under.filter(|plain| plain.live.expires > horizon).collect();
        let until = under.iter().map(|plain| plain.live.expires).max();
        prop_assert_eq!(fallen.cut.until, until.unwrap_or(Timestamp::ZERO));
        prop_assert_eq!(fallen.cut.at, at);
        let alive = under.iter().filter(|plain| !self.dead(plain, at));
        let reach = alive.map(|plain| match plain.live.kind {
            Kind::IdentityCertificate => Reach::Identities,
            Kind::ClientCertificate | Kind::Token => Reach::Relied,
        });
        prop_assert_eq!(fallen.reach, reach.max().unwrap_or(Reach::Nothing));
        Ok(())
    }

    fn forget(&mut self, now: Timestamp) -> Result<(), TestCaseError> {
        let before = self.ledger.snapshot();
        let left = self.ledger.forget(now);
        prop_assert_eq!(&self.reloaded.forget(now), &left);
        let horizon = self.ledger.horizon();
        self.live.raise_horizon(horizon);
        prop_assert!(before.as_ref().is_none_or(|before| before.horizon.max(now) == horizon));
        prop_assert!(left.iter().all(|cut| cut.until <= horizon));
        let mut kept = before.map(|before| before.cuts).unwrap_or_default();
        kept.retain(|cut| !left.contains(cut));
        let after = self.ledger.snapshot().map(|after| after.cuts).unwrap_or_default();
        prop_assert!(after.iter().all(|cut| cut.until > horizon));
        prop_assert_eq!(kept, after);
        prop_assert_eq!(self.live.len(), self.ledger.snapshot().map_or(0, |after| after.cuts.len()));
        Ok(())
    }

    /// Every verifier judges as plain memory does, and none takes back a refusal.
    fn judge_verifiers(&mut self) -> Result<(), TestCaseError> {
        self.go_on();
        let horizon = self.ledger.horizon();
        for plain in self.issued.iter().filter(|plain| plain.live.kind != Kind::IdentityCertificate) {
            let revision = plain.live.revision;
            let alive = plain.live.expires > horizon && !self.dead(plain, self.ledger.head());
            prop_assert_eq!(self.live.judge(&plain.rests()).is_ok(), alive, "revision {}", revision);
            prop_assert_eq!(self.late.judge(&plain.rests()).is_ok(), alive, "revision {}, late", revision);
            prop_assert!(!(alive && self.refused.contains(&revision)), "{} came back to life", revision);
            if !alive {
                self.refused.insert(revision);
            }
        }
        Ok(())
    }

    fn snapshot(&mut self) {
        self.late = CutSet::new(ERA);
        let snapshot = self.ledger.snapshot().unwrap();
        snapshot.cuts.into_iter().for_each(|cut| self.late.apply(cut));
        self.late.raise_horizon(snapshot.horizon);
        self.late_at = snapshot.revision;
    }

    fn go_on(&mut self) {
        let changes = self.ledger.changes(self.late_at).unwrap();
        changes.cuts.into_iter().for_each(|cut| self.late.apply(cut));
        self.late.raise_horizon(changes.horizon);
        self.late_at = changes.revision;
    }

    /// What is alive under a node, counted and listed, is what plain memory says.
    fn judge_alive(&self, node: &NodeId, when: When, page: usize) -> Result<(), TestCaseError> {
        let alive = |plain: &&Plain| {
            plain.live.revision <= when.revision
                && plain.live.expires > when.now
                && plain.under(node)
                && !self.dead(plain, when.revision)
        };
        let expected: Vec<_> = self.issued.iter().filter(alive).map(|plain| plain.live.clone()).collect();
        prop_assert_eq!(self.ledger.count(node, when).unwrap().all(), expected.len() as u64, "{}", node);
        let of_kind = |kind| expected.iter().filter(|live| live.kind == kind).count() as u64;
        prop_assert_eq!(self.ledger.count(node, when).unwrap().tokens, of_kind(Kind::Token));
        let (mut listed, mut after) = (Vec::new(), Some(Revision::ZERO));
        while let Some(from) = after {
            let page = self.ledger.page(node, when, from, page).unwrap();
            listed.extend(page.live);
            after = page.next;
        }
        prop_assert_eq!(listed, expected, "{}", node);
        Ok(())
    }

    /// Every node that anything rests on, and every credential.
    fn nodes(&self) -> BTreeSet<NodeId> {
        let named = self.issued.iter().flat_map(|plain| plain.lineage.nodes().iter().cloned());
        named.chain(self.issued.iter().map(|plain| NodeId::credential(plain.live.revision))).collect()
    }

    fn make(&mut self, attempt: Try) -> Result<(), TestCaseError> {
        let history = &mut self.history;
        let admin = history.admin();
        match attempt {
            Try::Pass(millis) => history.pass(millis),
            Try::Open(subject) => drop(history.open(subject)),
            Try::Enroll(code, key) => {
                let codes = history.codes();
                let code = code.map_or(&codes[codes.len() - 1], |code| code.get(codes)).clone();
                drop(history.enroll(code.as_str(), key));
            }
            Try::Renew(caller, key) => drop(history.renew(&caller_of(history, caller), key)),
            Try::Certificate(caller) => drop(history.certificate(&caller_of(history, caller))),
            Try::Token(caller, bound, scopes) => {
                let clients = &history.clients;
                let newest = |which: Option<Index>| match which {
                    Some(which) if !clients.is_empty() => Some(which.get(clients).clone()),
                    _ => clients.last().cloned(),
                };
                let (caller, bound) = (caller_of(history, caller), bound.and_then(newest));
                drop(history.token(&caller, bound.as_ref(), scopes));
            }
            Try::End(node) => drop(history.end(&admin, node, None)),
            Try::EndIdentity(which) => {
                let identity = which.get(&history.identities()).to_string();
                let own = admin.identity.as_str();
                if !identity.ends_with(&format!(":{own}")) {
                    drop(history.end(&admin, &identity, None));
                }
            }
            Try::EndCredential(which) => {
                let Some(plain) = self.issued.get(which.index(self.issued.len().max(1))) else {
                    return Ok(());
                };
                let subject = plain.live.subject.clone();
                if plain.live.revision != admin.rev {
                    drop(history.end(&admin, &format!("credential:{}", plain.live.revision), Some(&subject)));
                }
            }
            Try::Narrow("application", minutes) => {
                let mut narrower = application("sync");
                narrower.max_ttl = Some(Ttl::minutes(minutes));
                drop(history.write(Body::Application(narrower)));
            }
            Try::Narrow(_, minutes) => {
                let mut narrower = audience("billing", "prod");
                narrower.scopes[1].max_ttl = Ttl::minutes(minutes);
                drop(history.write(Body::Audience(narrower)));
            }
            Try::Resume(vendor) => {
                history.resume(vendor);
            }
            Try::Clock(millis) => {
                let now = Timestamp::from_millis(history.now.as_millis().saturating_add_signed(millis));
                history.accept_clock(now);
            }
            Try::Forget(millis) => {
                let now = Timestamp::from_millis(history.now.as_millis().saturating_sub(millis));
                self.forget(now)?;
            }
            Try::Reload => {
                let written = serde_json::to_string(&self.reloaded).unwrap();
                self.reloaded = serde_json::from_str(&written).unwrap();
            }
            Try::Snapshot => self.snapshot(),
            Try::GoOn => self.go_on(),
        }
        self.follow()?;
        self.judge_verifiers()
    }
}

fn caller_of(history: &History, which: Option<Index>) -> Shown {
    let newest = || history.certificate_of("application:sync").unwrap();
    which.map_or_else(newest, |which| which.get(&history.held).clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_agrees_with_plain_memory(
        attempts in proptest::collection::vec(attempt(), 0..140),
        back in 0u64..40,
        later in 0u64..2_000_000,
        page in 1usize..5,
    ) {
        let mut all = Everything::new();
        all.follow()?;
        for attempt in attempts {
            all.make(attempt)?;
        }
        let now = Timestamp::from_millis(all.history.now.as_millis() + later).max(all.ledger.horizon());
        let head = all.ledger.head();
        for node in all.nodes() {
            all.judge_alive(&node, When { now, revision: head }, page)?;
            let revision = Revision::new(head.get().saturating_sub(back));
            all.judge_alive(&node, When { now: all.ledger.horizon(), revision }, page)?;
        }
        prop_assert_eq!(serde_json::to_value(&all.ledger).unwrap(), serde_json::to_value(&all.reloaded).unwrap());
        let kept = all.issued.iter().filter(|plain| plain.live.expires > all.ledger.horizon()).count();
        prop_assert!(all.ledger.snapshot().unwrap().cuts.len() <= kept, "more cuts than they can have killed");

        // The log is one that means something.
        let mut replay = Replay::default();
        for (number, event) in (1..).zip(&all.history.events) {
            replay.take(Revision::new(number), event).unwrap();
        }
    }
}
