//! The new era: its store, made whole beside the old one.

use std::path::Path;

use daypass_core::{
    Action, Actor, Body, ChangeId, Event, Life, PrivateId, Put, carrying::carried, event::MAX_EVENT,
    node::KeyPurpose,
};
use daypass_credential::{NodeId, NodeKind, Timestamp};
use daypass_issuer::{KeyEncryptionKey, TrustDomain, generate};
use daypass_store::{Change, Lane, MAX_PRIVATE, Sled, Store};
use zeroize::Zeroizing;

use super::{
    super::{
        command::Failure,
        init::{Begun, First, first_event, open_put},
        progress::Progress,
        restore::sound,
        start::options,
    },
    old::{Old, private},
};
use crate::{
    clock::{Clock, SystemClock},
    config::Config,
    directory::ca_plan,
    entropy::{Entropy, SystemEntropy},
    keys::Cabinet,
};

type Private = (PrivateId, Zeroizing<Vec<u8>>);

/// What comes over together: an object, with the new CA of an audience.
struct Piece {
    puts: Vec<Put>,
    private: Vec<Private>,
    bytes: usize,
}

/// Makes the store of the new era in this directory, and looks at it as a broker does at its start.
pub(super) async fn make(
    config: &Config,
    path: &Path,
    kek: &KeyEncryptionKey,
    first: First,
    old: &Old,
    texts: &dyn Store,
) -> Result<Begun, Failure> {
    let admin = NodeId::new(NodeKind::Person, first.admin.name.clone());
    let store = Sled::create(path, options(config))
        .map_err(|error| Failure::work("cannot make the store of the new era", error))?;
    let begun = first_event(&store, config, kek, first).await?;
    carry_over(&store, config, kek, old, texts, &admin).await?;
    drop(store);
    let (store, found) = sound(config, path).await?;
    let kek = super::super::start::key_encryption_key(&config.key_file)?;
    let opened = Cabinet::open(&store, kek, found.realm).await;
    opened.map_err(|error| Failure::work("the keys of the new era do not open", error))?;
    Ok(begun)
}

/// Writes all that comes over, as many nodes as fit into an event; the admin is there already.
async fn carry_over(
    store: &dyn Store,
    config: &Config,
    kek: &KeyEncryptionKey,
    old: &Old,
    texts: &dyn Store,
    admin: &NodeId,
) -> Result<(), Failure> {
    let (domain, now) = (config.trust_domain()?, SystemClock.wall());
    let puts: Vec<Put> = carried(&old.nodes).into_iter().filter(|put| put.node.id() != *admin).collect();
    let mut progress = Progress::new("carried over", u64::try_from(puts.len()).unwrap_or_default(), "nodes");
    let empty = event(now)?;
    let frame = length(&empty)? + PUTS;
    let (mut batch, mut bytes, mut beside, mut done) = (Vec::<Piece>::new(), frame, 0, 0);
    for put in puts {
        let piece = piece(put, texts, &domain, kek, now).await?;
        let more: usize = piece.private.iter().map(|(_, value)| value.len()).sum();
        if bytes + piece.bytes > MAX_EVENT || beside + more > MAX_PRIVATE {
            write(store, std::mem::take(&mut batch), now).await?;
            (bytes, beside) = (frame, 0);
            progress.at(done);
        }
        (bytes, beside, done) = (bytes + piece.bytes, beside + more, done + 1);
        batch.push(piece);
    }
    write(store, batch, now).await
}

/// What the list of nodes adds to an event beside the nodes: `,"puts":[]`.
const PUTS: usize = 10;

fn event(now: Timestamp) -> Result<Event, Failure> {
    let entropy = SystemEntropy::new();
    let id = <dyn Entropy>::bytes(&entropy).map_err(|error| Failure::work("no random bytes", error))?;
    Ok(Event::new(now, ChangeId::new(id), Actor::Broker, Action::CarriedOver))
}

fn length(value: &impl serde::Serialize) -> Result<usize, Failure> {
    let json = serde_json::to_vec(value).map_err(|error| Failure::work("cannot write an event", error))?;
    Ok(json.len())
}

async fn piece(
    put: Put,
    texts: &dyn Store,
    domain: &TrustDomain,
    kek: &KeyEncryptionKey,
    now: Timestamp,
) -> Result<Piece, Failure> {
    let mut beside = match put.node.body.free_text() {
        Some(text) => private(texts, text).await?.into_iter().collect(),
        None => Vec::new(),
    };
    let mut puts = Vec::new();
    if let (Body::Audience(audience), Life::Open) = (&put.node.body, put.node.life) {
        let plan = ca_plan(KeyPurpose::Audience { audience: audience.name.clone() }, now.floor_secs());
        let made = generate(plan, domain, kek).map_err(|error| Failure::work("cannot make a key", error))?;
        beside.push((made.key.sealed, Zeroizing::new(made.sealed)));
        puts.push(open_put(Body::Key(made.key)));
    }
    puts.insert(0, put);
    // Each with the comma after it.
    let bytes = puts.iter().map(|put| length(put).map(|bytes| bytes + 1)).sum::<Result<usize, _>>()?;
    Ok(Piece { puts, private: beside, bytes })
}

async fn write(store: &dyn Store, pieces: Vec<Piece>, now: Timestamp) -> Result<(), Failure> {
    if pieces.is_empty() {
        return Ok(());
    }
    let mut event = event(now)?;
    let mut beside = Vec::new();
    for piece in pieces {
        event.puts.extend(piece.puts);
        beside.extend(piece.private);
    }
    let change = Change { event, expect: Vec::new(), private: beside };
    let written = store.commit(change, Lane::Normal).await;
    written.map(drop).map_err(|error| Failure::work("cannot carry the directory over", error))
}
