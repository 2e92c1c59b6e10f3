//! Who may do what: each role and ownership on each kind of thing. What may not be known of looks like nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use daypass_core::{
    Body, Denial, Facts, Life, Shown, Stop,
    authority::{
        Right, effective_life, has_role, may_be_told_of, may_end, may_list, may_open_enrollment, may_read,
        may_write,
    },
    event::Rule,
    node::{EndedCredential, KeyPurpose, Role, Roster},
};
use daypass_credential::NodeId;
use support::{
    CALLER_REV, World, caller, caller_person, code, contract, id, identity, key, name, shown, vendor,
};

/// The good world with one node of each kind that somebody might ask for.
fn world() -> World {
    let mut world = World::with([
        Body::Vendor(vendor("elsewhere", None, "nobody")),
        Body::Contract(contract("elsewhere-2026", "elsewhere", None)),
        Body::Enrollment(code("c0de", "application:sync")),
        Body::Enrollment(code("ada-code", "person:ada")),
        Body::Key(key("k", KeyPurpose::Audit)),
        Body::Roster(Roster { name: name("a.sync"), subject: id("application:sync"), identities: vec![] }),
        Body::Identity(identity("sync-2", "application:sync", 13)),
        Body::Credential(EndedCredential { name: name("7") }),
    ]);
    // Each ownership in a hand of its own: `rel` answers for the application's relationship, not for the vendor.
    world.open(Body::Person(support::person("rel", &[])));
    world.application("sync").owners.relationship = name("rel");
    world
}

/// Who asks: admin, auditor, the vendor's owner, its reseller's owner, the application's three owners, a bystander,
/// the application itself, a verifier.
const CALLERS: &[&str] = &["ada", "aldo", "olga", "rolf", "bert", "tina", "rel", "nobody", "sync", "gate"];

fn the(caller_: &str) -> Shown {
    match caller_ {
        "sync" => caller(),
        "gate" => shown(CALLER_REV, "verifier:gate identity:gate-1", 30),
        person => caller_person(person),
    }
}

/// Of all callers exactly these are allowed; the others hear this.
#[track_caller]
fn check<T>(rule: impl Fn(&Facts, &Shown) -> Result<T, Stop>, allowed: &str, denial: &Denial, what: &str) {
    let world = world();
    let mut found = Vec::new();
    for caller in CALLERS {
        match world.decide(|facts| rule(facts, &the(caller))) {
            Ok(_) => found.push(*caller),
            Err(no) => assert_eq!(&no, denial, "{caller} on {what}"),
        }
    }
    assert_eq!(found.join(" "), allowed, "{what}");
}

fn unknown(node: &str) -> Denial {
    Denial::UnknownNode { node: id(node) }
}

#[test]
fn admins_alone_write_and_admins_and_auditors_list() {
    check(may_write, "ada", &Denial::NotAllowed, "write");
    check(may_list, "ada aldo", &Denial::NotAllowed, "list");
    check(|f, c| has_role(f, c, Role::Admin), "ada", &Denial::NotAllowed, "admin");
    check(|f, c| has_role(f, c, Role::Auditor), "aldo", &Denial::NotAllowed, "auditor");
}

#[test]
fn a_role_ends_with_the_person_and_with_the_role() {
    let check = |bend: &dyn Fn(&mut World), expected: Result<Rule, Denial>| {
        let mut world = world();
        bend(&mut world);
        assert_eq!(world.decide(|facts| may_write(facts, &the("ada"))), expected);
    };
    check(&|_| {}, Ok(Rule::ADMIN));
    check(&|w| w.person("ada").roles.clear(), Err(Denial::NotAllowed));
    check(&|w| w.person("ada").roles = [Role::Auditor].into(), Err(Denial::NotAllowed));
    check(&|w| w.set_life("person:ada", Life::Suspended), Err(Denial::NotAllowed));
    check(&|w| w.set_life("person:ada", Life::Ended), Err(Denial::NotAllowed));
    check(&|w| w.remove("person:ada"), Err(Denial::NotAllowed));
    check(&|w| w.cut("person:ada", CALLER_REV), Ok(Rule::ADMIN));
    let renew = |node| Err(Denial::RenewFirst { node: id(node) });
    check(&|w| w.cut("person:ada", CALLER_REV + 1), renew("person:ada"));
    check(&|w| w.cut("identity:ada-1", CALLER_REV + 1), renew("identity:ada-1"));
}

/// The words are in the log for ever: none changes, and a new one is added here.
#[test]
fn the_rules_have_these_words() {
    let words: Vec<&str> = Rule::ALL.iter().map(Rule::as_str).collect();
    assert_eq!(
        words,
        [
            "admin",
            "technical-owner",
            "business-owner",
            "relationship-owner",
            "itself",
            "own-credential",
            "code"
        ]
    );
}

#[test]
fn who_opens_an_enrolment_does_so_by_a_rule() {
    let world = world();
    let subject = id("application:sync");
    let rule = |who: &str| world.decide(|facts| may_open_enrollment(facts, &the(who), &subject));
    assert_eq!((rule("ada"), rule("tina")), (Ok(Rule::ADMIN), Ok(Rule::TECHNICAL_OWNER)));
}

/// What a record of somebody's own call may name: nothing that does not exist or that they cannot know.
#[test]
fn a_record_names_only_what_the_caller_may_know_of() {
    for (node, allowed) in [
        ("vendor:acme", "ada aldo olga rolf sync"),
        ("vendor:elsewhere", "ada aldo nobody"),
        ("contract:acme-2026", "ada aldo olga rolf sync"),
        ("application:sync", "ada aldo olga rolf bert tina rel sync"),
        ("identity:sync-1", "ada aldo sync"),
        ("audience:billing", "ada aldo sync"),
        ("audience:lab", "ada aldo"),
        ("person:tina", "ada aldo tina"),
        ("key:k", "ada aldo"),
        ("credential:7", "ada aldo"),
        ("vendor:none", ""),
        ("audience:none", ""),
        ("credential:500", ""),
    ] {
        let told = |facts: &Facts, caller: &Shown| match may_be_told_of(facts, caller, &id(node))? {
            true => Ok(()),
            false => Err(Stop::from(unknown(node))),
        };
        check(told, allowed, &unknown(node), node);
    }
    let mut world = world();
    world.end_credential(CALLER_REV);
    assert_eq!(world.decide(|facts| may_be_told_of(facts, &the("sync"), &id("credential:500"))), Ok(true));
}

#[test]
fn an_application_named_like_an_admin_is_none() {
    let mut world = world();
    world.open(Body::Application(support::application("ada")));
    let caller = shown(CALLER_REV, "application:ada identity:sync-1", 10);
    assert_eq!(world.decide(|facts| may_write(facts, &caller)), Err(Denial::NotAllowed));
    world.application("sync").owners.business = name("sync");
    let itself = shown(CALLER_REV, "application:sync identity:sync-1", 10);
    let end = |facts: &Facts| may_end(facts, &itself, &id("application:sync"), None);
    assert_eq!(world.decide(end), Err(unknown("application:sync")));
}

#[test]
fn enrolments_are_opened_by_admins_and_by_the_technical_owner() {
    for (subject, allowed) in [
        ("application:sync", "ada tina"),
        ("application:none", "ada"),
        ("person:tina", "ada"),
        ("verifier:gate", "ada"),
        ("vendor:acme", "ada"),
    ] {
        check(|f, c| may_open_enrollment(f, c, &id(subject)), allowed, &Denial::NotAllowed, subject);
    }
}

#[test]
fn everyone_reads_what_they_own_or_are_and_the_rest_does_not_exist() {
    for (node, allowed) in [
        ("vendor:acme", "ada aldo olga rolf"),
        ("vendor:reseller", "ada aldo rolf"),
        ("vendor:elsewhere", "ada aldo nobody"),
        ("contract:acme-2026", "ada aldo olga rolf"),
        ("contract:reseller-2026", "ada aldo rolf"),
        ("contract:elsewhere-2026", "ada aldo nobody"),
        ("application:sync", "ada aldo olga rolf bert tina rel sync"),
        ("person:tina", "ada aldo tina"),
        ("audience:billing", "ada aldo"),
        ("verifier:gate", "ada aldo gate"),
        ("identity:sync-1", "ada aldo sync"),
        ("identity:sync-2", "ada aldo"),
        ("identity:tina-1", "ada aldo tina"),
        ("credential:7", "ada aldo"),
        ("key:k", "ada aldo"),
        ("enrollment:c0de", "ada aldo"),
        ("roster:a.sync", "ada aldo"),
        // And what there is none of.
        ("vendor:none", "ada aldo"),
        ("contract:none", "ada aldo"),
        ("application:none", "ada aldo"),
        ("identity:none", "ada aldo"),
    ] {
        check(|f, c| may_read(f, c, &id(node)), allowed, &unknown(node), node);
    }
}

#[test]
fn everyone_ends_what_they_own_and_the_rest_does_not_exist() {
    for (node, allowed) in [
        ("vendor:acme", "ada olga rolf"),
        ("vendor:reseller", "ada rolf"),
        ("vendor:elsewhere", "ada nobody"),
        ("contract:acme-2026", "ada olga rolf"),
        ("contract:reseller-2026", "ada rolf"),
        ("application:sync", "ada olga rolf bert tina rel"),
        ("person:tina", "ada"),
        ("audience:billing", "ada"),
        ("verifier:gate", "ada"),
        ("identity:sync-1", "ada olga rolf bert tina rel sync"),
        ("identity:sync-2", "ada olga rolf bert tina rel sync"),
        ("identity:tina-1", "ada tina"),
        ("identity:gate-1", "ada gate"),
        ("enrollment:c0de", "ada olga rolf bert tina rel"),
        ("enrollment:ada-code", "ada"),
        ("key:k", "ada"),
        ("roster:a.sync", "ada"),
        ("vendor:none", "ada"),
        ("contract:none", "ada"),
        ("application:none", "ada"),
        ("identity:none", "ada"),
        ("enrollment:none", "ada"),
    ] {
        check(|f, c| may_end(f, c, &id(node), None), allowed, &unknown(node), node);
    }
}

#[test]
fn a_credential_is_ended_by_whose_it_is_and_by_who_owns_that() {
    let node = "credential:41";
    for (subject, allowed) in [
        (Some("application:sync"), "ada olga rolf bert tina rel sync"),
        (Some("application:none"), "ada"),
        (Some("person:tina"), "ada tina"),
        (Some("verifier:gate"), "ada gate"),
        (None, "ada"),
    ] {
        let subject: Option<NodeId> = subject.map(id);
        check(|f, c| may_end(f, c, &id(node), subject.as_ref()), allowed, &unknown(node), node);
    }
}

#[test]
fn partners_end_their_own_by_their_own_right_and_the_company_by_its() {
    let world = world();
    let right = |caller: &str, node: &str| {
        let subject = node.starts_with("credential").then(|| id("application:sync"));
        world.decide(|facts| may_end(facts, &the(caller), &id(node), subject.as_ref()))
    };
    for (node, own) in [
        ("credential:41", Rule::OWN_CREDENTIAL),
        ("identity:sync-1", Rule::ITSELF),
        ("identity:sync-2", Rule::ITSELF),
    ] {
        assert_eq!(right("sync", node), Ok(Right::Own(own)));
        for (caller, rule) in [
            ("ada", Rule::ADMIN),
            ("rolf", Rule::RELATIONSHIP_OWNER),
            ("olga", Rule::RELATIONSHIP_OWNER),
            ("bert", Rule::BUSINESS_OWNER),
            ("tina", Rule::TECHNICAL_OWNER),
            ("rel", Rule::RELATIONSHIP_OWNER),
        ] {
            assert_eq!(right(caller, node), Ok(Right::Company(rule)), "{caller}");
        }
    }
    assert_eq!(right("tina", "identity:tina-1"), Ok(Right::Company(Rule::ITSELF)));
}

#[test]
fn what_is_closed_can_still_be_ended_by_its_owners() {
    for life in [Life::Suspended, Life::Ended] {
        let mut world = world();
        for node in ["vendor:reseller", "vendor:acme", "contract:acme-2026", "application:sync"] {
            world.set_life(node, life);
        }
        for node in ["vendor:acme", "contract:acme-2026", "application:sync", "identity:sync-1"] {
            for caller in ["ada", "olga", "rolf"] {
                let right = world.decide(|facts| may_end(facts, &the(caller), &id(node), None));
                let rule = if caller == "ada" { Rule::ADMIN } else { Rule::RELATIONSHIP_OWNER };
                assert_eq!(right, Ok(Right::Company(rule)), "{caller} on {node}");
            }
        }
    }
}

#[test]
fn an_owner_with_a_certificate_from_before_a_cut_renews_before_opening_codes_but_ends_at_once() {
    let mut world = world();
    world.cut("person:olga", CALLER_REV + 1);
    let renew = Denial::RenewFirst { node: id("person:olga") };
    let (olga, acme) = (the("olga"), id("vendor:acme"));
    let owner = Right::Company(Rule::RELATIONSHIP_OWNER);
    assert_eq!(world.decide(|f| may_end(f, &olga, &acme, None)), Ok(owner));
    assert_eq!(world.decide(|f| may_read(f, &olga, &acme)), Ok(()));
    assert_eq!(world.decide(|f| may_open_enrollment(f, &olga, &id("application:sync"))), Err(renew));
}

#[test]
fn ownership_reaches_four_vendors_up_and_no_further() {
    let mut world = world();
    for (name, parent) in [("v2", "acme"), ("v3", "v2"), ("v4", "v3")] {
        world.open(Body::Vendor(vendor(name, Some(parent), "nobody")));
    }
    let may = |node: &str| world.decide(|facts| may_end(facts, &the("rolf"), &id(node), None));
    let owner = Right::Company(Rule::RELATIONSHIP_OWNER);
    assert_eq!(may("vendor:v3"), Ok(owner), "the reseller is the fourth");
    assert_eq!(may("vendor:v4"), Err(unknown("vendor:v4")));
}

#[test]
fn a_node_is_as_alive_as_the_least_alive_above_it() {
    let below: &[(&str, &[&str])] = &[
        (
            "vendor:reseller",
            &[
                "vendor:reseller",
                "vendor:acme",
                "contract:reseller-2026",
                "contract:acme-2026",
                "application:sync",
                "identity:sync-1",
            ],
        ),
        ("vendor:acme", &["vendor:acme", "contract:acme-2026", "application:sync", "identity:sync-1"]),
        (
            "contract:reseller-2026",
            &["contract:reseller-2026", "contract:acme-2026", "application:sync", "identity:sync-1"],
        ),
        ("contract:acme-2026", &["contract:acme-2026", "application:sync", "identity:sync-1"]),
        ("application:sync", &["application:sync", "identity:sync-1"]),
        ("person:tina", &["person:tina", "identity:tina-1"]),
        ("audience:billing", &["audience:billing"]),
        ("identity:sync-1", &["identity:sync-1"]),
    ];
    for (closed, dead) in below {
        for life in [Life::Suspended, Life::Ended] {
            let mut world = World::good();
            world.set_life(closed, life);
            for (node, _) in below {
                let expected = if dead.contains(node) { life } else { Life::Open };
                let found = world.decide(|facts| effective_life(facts, &id(node)));
                assert_eq!(found, Ok(expected), "{node} under {closed}");
            }
        }
    }
    let none = World::good().decide(|facts| effective_life(facts, &id("vendor:none")));
    assert_eq!(none, Ok(Life::Ended));
}

#[test]
fn ended_above_weighs_more_than_suspended_below() {
    let mut world = World::good();
    world.set_life("vendor:reseller", Life::Ended);
    world.set_life("application:sync", Life::Suspended);
    assert_eq!(world.decide(|facts| effective_life(facts, &id("application:sync"))), Ok(Life::Ended));
}
