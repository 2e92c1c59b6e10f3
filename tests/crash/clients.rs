//! Clients of a broker that may go at any instant: what each was told, and whether the log holds it.

use std::{collections::HashMap, path::Path};

use daypass_core::{Action, Event};
use daypass_credential::{Name, NodeId, NodeKind, Revision};
use daypass_sdk::{Application, Connection, Directory, Error, Identity};
use daypass_store::{Check, Options, Sled, Store};
use tokio::task::JoinSet;

use crate::support::{self, World, id, name};

/// How many mint at once.
const MINTING: usize = 12;
/// How many write and end at once.
const WRITING: usize = 2;

/// What a client was told is recorded.
#[derive(Debug)]
pub(crate) enum Told {
    Certificate { expires: u64 },
    Token { certificate: Revision, expires: u64 },
    Written(NodeId),
    Ended(NodeId),
}

/// All of it, by revision.
pub(crate) type Receipts = Vec<(Revision, Told)>;

/// Clients at work, until the broker goes.
pub(crate) struct Clients(JoinSet<Receipts>);

impl Clients {
    /// The world has to have an application enrolled as `sync`, and its admin.
    pub(crate) fn start(world: &World, round: usize) -> Self {
        let mut clients = JoinSet::new();
        let (sync, admin) = (world.broker.home("sync"), world.broker.home("dana"));
        for _ in 0..MINTING {
            let identity = sync.identity().unwrap();
            clients.spawn(until_it_goes(async move |receipts| mint(&identity, receipts).await));
        }
        for writer in 0..WRITING {
            let identity = admin.identity().unwrap();
            clients.spawn(until_it_goes(async move |receipts| {
                write(&identity, &format!("r{round}-{writer}"), receipts).await
            }));
        }
        Self(clients)
    }

    /// What they were told, now that the broker is gone.
    pub(crate) async fn receipts(self) -> Receipts {
        self.0.join_all().await.into_iter().flatten().collect()
    }
}

async fn until_it_goes(work: impl AsyncFnOnce(&mut Receipts) -> Result<(), Error>) -> Receipts {
    let mut receipts = Receipts::new();
    let gone = work(&mut receipts).await;
    assert!(gone.as_ref().is_err_and(|error| !refused(error)), "{gone:?}");
    receipts
}

/// A broker that goes away says nothing, or that its store failed; nobody is refused for a reason of their own.
fn refused(error: &Error) -> bool {
    error.reason().is_some_and(|reason| reason != "store-unavailable")
}

async fn mint(identity: &Identity, receipts: &mut Receipts) -> Result<(), Error> {
    let sync = Application::over(Connection::open(identity).await?)?;
    let certificate = sync.certificate(&name("billing"), None).await?;
    let expires = certificate.expires_at.as_secs();
    receipts.push((certificate.revision, Told::Certificate { expires }));
    loop {
        let token = support::token(&sync, &certificate, "invoices.read").await?;
        let expires = token.expires_at.as_secs();
        receipts.push((token.revision, Told::Token { certificate: certificate.revision, expires }));
    }
}

/// Makes vendors, and ends every second.
async fn write(identity: &Identity, called: &str, receipts: &mut Receipts) -> Result<(), Error> {
    let admin = Connection::open(identity).await?;
    let directory = Directory::over(admin.clone());
    for number in 0.. {
        let vendor = format!("{called}-{number}");
        let node = id(&format!("vendor:{vendor}"));
        let written = directory.put(support::vendor(&vendor, ""), None).await?;
        receipts.push((written.revision, Told::Written(node.clone())));
        if number % 2 == 1 {
            let revision = admin.end(&node, "over").await?;
            receipts.push((revision, Told::Ended(node)));
        }
    }
    Ok(())
}

/// How many of them a store does not hold. It is read and checked whole.
pub(crate) async fn missing(store: &Path, receipts: &Receipts) -> Result<usize, String> {
    let options = Options { check: Check::Whole, ..Options::default() };
    let store = Sled::open(store, options).map_err(|refused| refused.to_string())?;
    let log = actions(&store).await;
    let sync = name("sync");
    let held = |(revision, told): &&(Revision, Told)| {
        !log.get(revision).is_some_and(|action| holds(action, told, &sync))
    };
    Ok(receipts.iter().filter(held).count())
}

async fn actions(store: &Sled) -> HashMap<Revision, Action> {
    let (mut found, mut after) = (HashMap::new(), Revision::ZERO);
    loop {
        let entries = store.log(after, 4096).await.unwrap();
        let Some(last) = entries.last() else { return found };
        after = last.revision;
        found.extend(entries.iter().map(|e| (e.revision, Event::from_bytes(&e.event).unwrap().action)));
    }
}

/// Is this what the client was told? A token names the certificate that it is bound to: one that got the revision of
/// a lost one is another's.
fn holds(action: &Action, told: &Told, sync: &Name) -> bool {
    match (action, told) {
        (Action::CertificateMinted(record), Told::Certificate { expires }) => {
            record.subject.name == *sync && record.expires.as_secs() == *expires
        }
        (Action::TokenMinted(record), Told::Token { certificate, expires }) => {
            let bound = NodeId::new(NodeKind::Credential, name(&certificate.to_string()));
            record.application == *sync
                && record.expires.as_secs() == *expires
                && record.lineage.contains(&bound)
        }
        (Action::Written { node }, Told::Written(told)) => node == told,
        (Action::Ended { node, .. }, Told::Ended(told)) => node == told,
        _ => false,
    }
}
