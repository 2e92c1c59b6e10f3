//! What each kind of object has, once: by this table files are checked, references are found, exports are laid out, and
//! the schema for editors is made.

use daypass_credential::NodeKind;

use super::words::{Classification, Role, Tier};

/// One kind of object.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) kind: NodeKind,
    pub(super) about: &'static str,
    pub(super) fields: &'static [Field],
}

/// One field of an object, or of a table within one.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) required: bool,
    pub(super) what: What,
}

/// What a field takes.
#[derive(Debug)]
pub(super) enum What {
    /// The object's own name.
    Name,
    /// The name of an object of this kind.
    Named(NodeKind),
    /// An object that this one rests on: what ends it ends this.
    RestsOn(NodeKind),
    /// A name of nothing that the directory holds, as an environment's.
    Label,
    Text,
    Scope,
    Duration,
    Instant,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from 1.
    Count,
    Flag,
    List(&'static What),
    Table(&'static [Field]),
}

const fn must(name: &'static str, what: What, about: &'static str) -> Field {
    Field { name, about, required: true, what }
}

const fn may(name: &'static str, what: What, about: &'static str) -> Field {
    Field { name, about, required: false, what }
}

/// The field that says at which state of the broker an object was exported.
pub(super) const REVISION: &str = "revision";

/// Every kind that a file can hold, in the order in which an export lists them.
pub(super) const SHAPES: &[Shape] = &[
    Shape { kind: NodeKind::Person, about: "A human.", fields: PERSON },
    Shape { kind: NodeKind::Audience, about: "Something protected: an API, a service.", fields: AUDIENCE },
    Shape { kind: NodeKind::Vendor, about: "An outside organisation.", fields: VENDOR },
    Shape { kind: NodeKind::Contract, about: "A vendor's term.", fields: CONTRACT },
    Shape { kind: NodeKind::Application, about: "One partner application.", fields: APPLICATION },
    Shape { kind: NodeKind::Verifier, about: "A relying party's process.", fields: VERIFIER },
];

/// The shape of a kind, if files hold it.
pub(super) fn shape(kind: NodeKind) -> Option<&'static Shape> {
    SHAPES.iter().find(|shape| shape.kind == kind)
}

const NAME: Field = must("name", What::Name, "What it is called; spent for ever once it is ended.");

const PERSON: &[Field] = &[
    NAME,
    may("roles", What::List(&What::Word(Role::WORDS)), "What they may do overall; none if left out."),
    must("contact", What::Text, "How to reach them; kept beside the log."),
];

const AUDIENCE: &[Field] = &[
    NAME,
    must("environment", What::Label, "As `production`; applications of the same one alone reach it."),
    may("staleness", What::Duration, "How long a verifier may go without news: 5s to 15m, 30s if left out."),
    must("scopes", What::List(&What::Table(SCOPE)), "The scopes that it declares."),
];

const SCOPE: &[Field] = &[
    must("scope", What::Scope, "As `invoices.read`."),
    must("classification", What::Word(Classification::WORDS), "How sensitive what it opens is."),
    must("tier", What::Word(Tier::WORDS), "What it takes to get it."),
    must("max_ttl", What::Duration, "The longest life of a credential with it, as `15m`."),
    may("unbound", What::Flag, "May a token with it do without a client certificate?"),
];

const VENDOR: &[Field] = &[
    NAME,
    may("parent", What::RestsOn(NodeKind::Vendor), "The vendor that it sits under; cannot change."),
    must("owner", What::Named(NodeKind::Person), "The person who answers for the relationship."),
];

const CONTRACT: &[Field] = &[
    NAME,
    must("vendor", What::RestsOn(NodeKind::Vendor), "Whose; cannot change."),
    may("parent", What::RestsOn(NodeKind::Contract), "The contract of the vendor above, where there is one."),
    must("reference", What::Text, "What it is called on paper."),
    must("start", What::Instant, "As `2026-01-01T00:00:00Z`."),
    must("end", What::Instant, "The first instant after it."),
    must("classifications", What::List(&What::Word(Classification::WORDS)), "What data it allows."),
];

const APPLICATION: &[Field] = &[
    NAME,
    must("vendor", What::RestsOn(NodeKind::Vendor), "Whose; cannot change."),
    must("contract", What::RestsOn(NodeKind::Contract), "Under which contract of that vendor."),
    must("environment", What::Label, "As `production`; cannot change."),
    must("purpose", What::Text, "What it is for; kept beside the log."),
    must("classification", What::Word(Classification::WORDS), "The most sensitive data that it may reach."),
    must("instances", What::Count, "How many instances may be enrolled at once: 1 to 32."),
    may(
        "max_ttl",
        What::Duration,
        "The longest life of its credentials; the scopes alone decide if left out.",
    ),
    must("owners", What::Table(OWNERS), "The persons who answer for it."),
    must("entitlements", What::List(&What::Table(ENTITLEMENT)), "What it may ask for."),
];

const OWNERS: &[Field] = &[
    must("business", What::Named(NodeKind::Person), "Who wants it."),
    must("technical", What::Named(NodeKind::Person), "Who knows how it works."),
    must("relationship", What::Named(NodeKind::Person), "Who knows the vendor."),
];

const ENTITLEMENT: &[Field] = &[
    must("audience", What::Named(NodeKind::Audience), "Where."),
    must("scopes", What::List(&What::Scope), "Which of the scopes that it declares."),
];

const VERIFIER: &[Field] = &[
    NAME,
    must(
        "audiences",
        What::List(&What::Named(NodeKind::Audience)),
        "The audiences whose credentials it may ask about.",
    ),
];
