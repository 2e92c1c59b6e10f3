//! A receipt as it is handed out: how far it is, or the statement and the list, held against the log's own digests.

use std::{fs::File, io::BufReader, io::Read as _, sync::Arc, time::Duration};

use daypass_core::{Action, Denial, Life, authority::may_read};
use daypass_credential::{NodeId, Revision};
use daypass_log::receipt::Receipt;
use tokio::task::spawn_blocking;

use super::{
    Digests, Progress, State,
    list::{self, Of},
};
use crate::{broker::Broker, call::Call, notary, refusal::Refusal};

/// A receipt that the log knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The event that says so.
    pub(super) event: Revision,
    pub(super) digests: Digests,
}

/// How far a receipt is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Open(Progress),
    Closed(Closed),
}

/// A closed receipt, piece by piece.
pub(crate) enum Piece {
    Statement(Vec<u8>),
    List(Vec<u8>),
}

/// A closed receipt that is read.
pub(crate) struct Pieces {
    statement: std::vec::IntoIter<Vec<u8>>,
    list: Option<File>,
}

/// The largest piece, in bytes.
const PIECE: usize = 64 * 1024;
/// How long somebody waits for the worker to hear of an end.
const PATIENCE: Duration = Duration::from_secs(5);
/// When to ask again if that was not enough.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often whoever waits is told how far it is.
const PULSE: Duration = Duration::from_secs(5);

impl Broker {
    /// The end of a vendor whose receipt the caller may see: admins, auditors, and whoever answers for the vendor.
    pub(crate) async fn end_for_receipt(&self, call: &Call, vendor: &NodeId) -> Result<End, Refusal> {
        let mut facts = call.facts.clone();
        self.decide(&mut facts, |facts| may_read(facts, &call.caller, vendor)).await?;
        let stored = self.store.nodes(std::slice::from_ref(vendor)).await?.into_iter().next().flatten();
        let stored = stored.ok_or_else(|| Denial::UnknownNode { node: vendor.clone() })?;
        let none = || Refusal::NoReceipt { node: vendor.clone() };
        if stored.node.life != Life::Ended {
            return Err(none());
        }
        let revision = stored.cut.unwrap_or(stored.revision);
        let event = self.event(revision).await?.ok_or_else(none)?;
        match &event.action {
            Action::Ended { node, .. } if node == vendor => {
                Ok(End(Of { vendor: vendor.clone(), revision, at: event.at }))
            }
            _ => Err(none()),
        }
    }

    /// How far its receipt is.
    pub(crate) async fn receipt(&self, end: &End) -> Result<Told, Refusal> {
        let mut moved = self.receipts.moved.subscribe();
        let known = async {
            loop {
                moved.mark_unchanged();
                if let Some(told) = self.told(end) {
                    return told;
                }
                // The sender lives as long as the broker.
                let _moved = moved.changed().await;
            }
        };
        tokio::time::timeout(PATIENCE, known).await.map_err(|_| Refusal::Busy { retry_after: RETRY_AFTER })
    }

    fn told(&self, end: &End) -> Option<Told> {
        match self.receipts.known().get(&end.revision()) {
            Some(State::Open(progress)) => Some(Told::Open(progress.clone())),
            Some(State::Closed(closed)) => Some(Told::Closed(*closed)),
            None => None,
        }
    }

    /// Waits until it may be further than this, or for a while. Nobody is kept by a broker that stops.
    pub(crate) async fn receipt_moves(&self, end: &End, from: &Told) -> Result<Told, Refusal> {
        let (mut moved, mut closing) = (self.receipts.moved.subscribe(), self.receipts.closing.subscribe());
        let further = async {
            loop {
                moved.mark_unchanged();
                let now = self.receipt(end).await?;
                if now != *from {
                    return Ok(now);
                }
                let _moved = moved.changed().await;
            }
        };
        tokio::select! {
            further = further => further,
            () = tokio::time::sleep(PULSE) => self.receipt(end).await,
            () = async { drop(closing.wait_for(|closing| *closing).await) } => {
                Err(Refusal::Busy { retry_after: RETRY_AFTER })
            }
        }
    }

    /// A closed receipt. INVARIANT (nothing unsound is handed out): statement and list are those whose digests the log has,
    /// and hold when they are checked as anybody checks them. A list that is gone is made again from the log.
    pub(crate) async fn open_receipt(self: &Arc<Self>, end: &End, closed: Closed) -> Result<Pieces, Refusal> {
        let (files, ended) = (&self.receipts.files, end.revision());
        let lost = || Refusal::ReceiptLost { node: end.0.vendor.clone(), revision: closed.event };
        let note = files.read_statement(ended).await.map_err(Refusal::internal)?.ok_or_else(lost)?;
        let keys = notary::every_log_key(self.keys.now().ring());
        let receipt =
            Receipt::open(&note, &keys).ok().filter(|found| found.digest() == closed.digests.statement);
        let receipt = Arc::new(receipt.ok_or_else(lost)?);
        let path = files.list(ended);
        if let Some(list) = whole(&path, &receipt).await? {
            return Ok(Pieces::of(&note, list));
        }
        let _alone = self.receipts.again.lock().await;
        if let Some(list) = whole(&path, &receipt).await? {
            return Ok(Pieces::of(&note, list));
        }
        list::from_log(self, &end.0).await.map_err(Refusal::internal)?;
        let list = whole(&path, &receipt).await?;
        let list =
            list.ok_or_else(|| Refusal::internal("the log gives another list than it was closed with"))?;
        Ok(Pieces::of(&note, list))
    }
}

/// The end of a vendor.
pub(crate) struct End(Of);

impl End {
    /// The revision of the end.
    pub(crate) const fn revision(&self) -> Revision {
        self.0.revision
    }
}

/// The list, if it is there and the one of this receipt.
async fn whole(path: &std::path::Path, receipt: &Arc<Receipt>) -> Result<Option<File>, Refusal> {
    let (path, receipt) = (path.to_owned(), receipt.clone());
    let look = move || {
        let file = File::open(&path).ok()?;
        receipt.check_list(BufReader::with_capacity(PIECE, file)).ok()?;
        File::open(&path).ok()
    };
    spawn_blocking(look).await.map_err(Refusal::internal)
}

impl Pieces {
    fn of(note: &[u8], list: File) -> Self {
        let statement: Vec<Vec<u8>> = note.chunks(PIECE).map(<[u8]>::to_vec).collect();
        Self { statement: statement.into_iter(), list: Some(list) }
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Refusal> {
        if let Some(piece) = self.statement.next() {
            return Ok(Some(Piece::Statement(piece)));
        }
        let Some(mut list) = self.list.take() else { return Ok(None) };
        let read = move || {
            let mut piece = Vec::with_capacity(PIECE);
            let read = std::io::Read::by_ref(&mut list).take(PIECE as u64).read_to_end(&mut piece);
            read.map(|_| (list, piece))
        };
        let (list, piece) =
            spawn_blocking(read).await.map_err(Refusal::internal)?.map_err(Refusal::internal)?;
        if piece.is_empty() {
            return Ok(None);
        }
        self.list = Some(list);
        Ok(Some(Piece::List(piece)))
    }
}
