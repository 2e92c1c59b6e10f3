//! Recovering: a new era in place of a log that cannot be trusted to be the newest, whose keys are lost, or that has no
//! admin left. What was given out in the old era is void; the directory comes along, with every vendor suspended.
//!
//! The old log is read, not changed, and kept. Nothing is needed of its keys.

mod new;
mod old;
mod said;
mod swap;

use std::{os::unix::net::UnixStream, sync::Arc};

use daypass_core::{Body, Life, node::Person, node::Role};
use daypass_credential::{Name, NodeId, NodeKind};
use daypass_store::{OpenError, Store};

pub(crate) use self::said::Recovered;
use self::{
    old::Old,
    said::{confirm, question},
    swap::Places,
};
use super::{
    command::Failure,
    init::{First, admin_key, fitting, seal_key},
    operator, restore,
    start::{begun, notary_place, open_store},
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    entropy::SystemEntropy,
    notary,
    refusal::Refusal,
    text,
};

/// Who is to be the new era's first admin.
pub(crate) struct Wish {
    pub(crate) admin: Name,
    pub(crate) admin_key: std::path::PathBuf,
    /// How to reach them; whoever is in the directory already keeps what stands there, if this is not said.
    pub(crate) admin_contact: Option<String>,
    /// Go on without asking.
    pub(crate) yes: bool,
}

/// How far the machine's clock may be behind the log.
const BEHIND: daypass_credential::Ttl = daypass_credential::Ttl::seconds(1);

/// Begins a new era. Broken off at any point, there is the old store in its place or the new one, each whole; run again,
/// it begins again from what is there.
pub(crate) async fn recover(config: &Config, wish: Wish) -> Result<Recovered, Failure> {
    fitting(&wish.admin)?;
    let key = admin_key(&wish.admin_key)?;
    if !wish.yes {
        said::must_ask()?;
    }
    if UnixStream::connect(operator::path(config)).is_ok() {
        return Err(Failure::Use("a broker is running on this store: stop it first".to_owned(), None));
    }
    let store = open_old(config)?;
    let begun = begun(&*store, config).await?;
    let places = Places::of(config);
    places.tidy(config, &begun).await?;
    let mut old = Old::read(&*store, config, &begun).await?;
    clock_agrees(&*store)?;
    let (admin, contact) = admin(&*store, &old, &wish).await?;
    if !wish.yes {
        confirm(&question(&old, &places, &admin.name))?;
    }
    let kek = seal_key(config)?;
    let first = First { admin, contact, admin_key: key, previous: Some(old.previous.clone()) };
    let made = new::make(config, &places.building, &kek, first, &old, &*store).await?;
    drop(store);
    let kept = places.exchange(&old.previous)?;
    // From here on nothing may fail: the code that was made is nowhere else.
    let place = notary_place(config);
    old.remarks.extend(notary::put_aside(&place, &config.issuer(), old.previous.era, made.era));
    old.remarks.extend(restore::unmark(config).err().map(|failure| failure.to_string()));
    Ok(Recovered { made, old, kept })
}

/// The store of the old era. One that is damaged has nothing to give but its backups.
fn open_old(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    open_store(config).map_err(|failure| {
        let Failure::Work(what, Some(source)) = failure else { return failure };
        let damaged = matches!(source.downcast_ref(), Some(OpenError::Damaged(_)));
        let what = if damaged { format!("nothing was changed: {REMAINS}") } else { what };
        Failure::Work(what, Some(source))
    })
}

/// What an operator can still do where the store itself is damaged.
const REMAINS: &str = "what remains of a damaged store is its newest backup: move the store away, `daypassd restore` that, and \
                       recover from there";

/// A new log must not begin before the old one ended: contracts that are over would run again.
fn clock_agrees(store: &dyn Store) -> Result<(), Failure> {
    if SystemClock.wall().after(BEHIND) >= store.head().borrow().at {
        return Ok(());
    }
    let text = "the machine's clock is behind the newest event of the log: mend it first, or vouch for it with \
                `daypassd clock accept`";
    Err(Failure::Work(text.to_owned(), None))
}

type Contact = Option<(daypass_core::PrivateId, zeroize::Zeroizing<Vec<u8>>)>;

/// The admin: the person of that name, who keeps what they are, or a new one.
async fn admin(store: &dyn Store, old: &Old, wish: &Wish) -> Result<(Person, Contact), Failure> {
    let failed = |error: Refusal| Failure::work("cannot begin", error);
    let id = NodeId::new(NodeKind::Person, wish.admin.clone());
    let there = old.nodes.iter().find(|node| node.id() == id);
    let mut person = match there.map(|node| (node.life, &node.body)) {
        Some((Life::Open, Body::Person(person))) => Some(person.clone()),
        Some((life, _)) => {
            let text = format!("`{id}` is {life} in this log, and its name is spent: name another admin");
            return Err(Failure::Use(text, None));
        }
        None => None,
    };
    let contact = match (&wish.admin_contact, &person) {
        (None, Some(person)) => {
            return Ok((promoted(person.clone()), old::private(store, person.contact).await?));
        }
        (None, None) => "the admin, named at recovery",
        (Some(said), _) => said.as_str(),
    };
    text::checked("admin-contact", contact, 1000).map_err(failed)?;
    let kept = text::keep(store, &SystemEntropy::new(), contact, None).await.map_err(failed)?;
    let name = wish.admin.clone();
    let person = person.take().map_or_else(
        || Person { name, roles: [Role::Admin].into(), contact: kept.reference, forgotten: false },
        |person| Person { contact: kept.reference, ..promoted(person) },
    );
    Ok((person, kept.write))
}

fn promoted(mut person: Person) -> Person {
    person.roles.insert(Role::Admin);
    person
}
