//! The feed, seen from the verifier: a state machine that takes what one stream brings, in the order of the log, and
//! gives out views. It does no I/O: connecting, sending and trying again are the caller's.
//!
//! A stream begins with a snapshot, or with the broker's word that it goes on where this feed stopped. A snapshot is
//! applied whole or not at all. Whatever cannot be true ends the stream with a [`FeedError`]; the view stays as it was,
//! and refuses by itself once it is stale.
//!
//! INVARIANT (never back): within an era the position, every cut and the horizon only rise, a key that went never comes
//! back, and an era that was left never comes back either.

mod cuts;
mod event;
mod keys;
mod log;
mod snapshot;

use std::{collections::HashSet, sync::Arc};

use daypass_credential::{Digest, Era, Name};
use daypass_log::{Checkpoint, SignedCheckpoint};

pub use event::{Echo, Event, FeedError, Hello, KeyChange, Memory, Part, Position};

use crate::{Bundle, Counter, Freshness, Moment, View};
use cuts::Cuts;
use snapshot::Partial;

/// What one verifier follows.
#[derive(Debug, Default)]
pub struct Feed {
    stage: Stage,
    state: Option<State>,
    freshness: Freshness,
    /// What an earlier process of this verifier left behind; empty as soon as there is a state.
    before: Option<(Era, Position)>,
    checkpoint: Option<SignedCheckpoint>,
    former: Vec<Era>,
    /// What the stream said could not be true, so that its position means nothing: only a snapshot helps.
    doubtful: bool,
    /// This stream has not shown yet that its log extends the checkpoint: until then no echo counts.
    owes_proof: bool,
}

/// How far the stream is.
#[derive(Debug, Default)]
enum Stage {
    #[default]
    Closed,
    Opening,
    Snapshot(Box<Partial>),
    Following,
}

/// What is known of one era.
#[derive(Debug)]
struct State {
    bundle: Arc<Bundle>,
    cuts: Cuts,
    position: Position,
    /// Keys of this era that were in use and are not any more: their digests, and the names of token keys.
    gone: HashSet<Digest>,
    gone_names: HashSet<Name>,
}

impl Feed {
    /// A feed that begins anew, or with what an earlier process remembered: it then goes no further back than that.
    #[must_use]
    pub fn new(memory: Option<Memory>) -> Self {
        let Some(Memory { era, at, checkpoint, former }) = memory else {
            return Self::default();
        };
        Self { before: Some((era, at)), checkpoint, former, ..Self::default() }
    }

    /// A stream was opened: what to say first over it.
    pub fn connected(&mut self) -> Hello {
        self.stage = Stage::Opening;
        self.freshness.begin();
        self.owes_proof = self.checkpoint.is_some();
        Hello {
            known: self.known(),
            snapshot: self.state.is_none() || self.doubtful,
            checkpoint: self.checkpoint.clone(),
        }
    }

    /// The stream is over. Half a snapshot is forgotten.
    pub fn disconnected(&mut self) {
        self.stage = Stage::Closed;
        self.freshness.begin();
    }

    /// The counter to send now, if there is a stream. The moment has to be taken before it is sent.
    pub fn ask(&mut self, now: Moment) -> Option<Counter> {
        match self.stage {
            Stage::Closed => None,
            Stage::Opening | Stage::Snapshot(_) | Stage::Following => Some(self.freshness.send(now)),
        }
    }

    /// Takes in what the stream brought. A view, if there is a new one, is to be applied before the next event is taken.
    ///
    /// # Errors
    /// See [`FeedError`]. The stream is over then, and to be closed.
    pub fn take(&mut self, event: Event) -> Result<Option<Arc<View>>, FeedError> {
        match self.advance(event) {
            Ok(changed) => Ok(if changed { self.view() } else { None }),
            Err(error) => {
                self.doubtful = true;
                self.disconnected();
                Err(error)
            }
        }
    }

    /// Up to where every cut has been applied: what to acknowledge, once the view is in force.
    #[must_use]
    pub fn applied(&self) -> Option<Position> {
        self.state.as_ref().map(|state| state.position)
    }

    /// What to keep for the next process of this verifier; none if nothing was ever known.
    #[must_use]
    pub fn memory(&self) -> Option<Memory> {
        let (era, at) = self.known()?;
        Some(Memory { era, at, checkpoint: self.checkpoint.clone(), former: self.former.clone() })
    }

    /// The newest checkpoint that was taken in.
    #[must_use]
    pub const fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.checkpoint.as_ref()
    }

    /// Takes in an event; true if that makes another view.
    fn advance(&mut self, event: Event) -> Result<bool, FeedError> {
        match event {
            Event::SnapshotBegin { era, at } => self.begin_snapshot(era, at),
            Event::Part(part) => self.part(part),
            Event::SnapshotEnd { cuts } => self.end_snapshot(cuts),
            Event::Resumed { era, at } => self.resume(era, at),
            Event::Cut { cut, leaf } => {
                let state = self.following("a cut")?;
                let at = Position { revision: cut.at, leaf };
                state.check_move(at)?;
                state.position = at;
                state.cuts.apply(cut);
                Ok(true)
            }
            Event::Horizon(horizon) => Ok(self.following("a horizon")?.cuts.raise(horizon)),
            Event::Keys { bundle, at } => {
                let state = self.following("keys")?;
                let moves = state.check_move(at)?;
                let differ = state.take_keys(bundle)?;
                state.position = at;
                Ok(moves || differ)
            }
            Event::Checkpoint { note, proof } => {
                let bundle = self.following("a checkpoint")?.bundle.clone();
                self.checkpoint = Some(log::follow(self.checkpoint.as_ref(), &bundle, &note, &proof)?);
                self.owes_proof = false;
                Ok(false)
            }
            Event::Echo(echo) => self.echo(echo),
        }
    }

    /// An echo proves something only if the head that was read is that of the log which is followed.
    fn echo(&mut self, Echo { counter, head }: Echo) -> Result<bool, FeedError> {
        let moves = self.following("an echo")?.check_move(head)?;
        if self.owes_proof {
            return Err(FeedError::Unproven);
        }
        let proves = self.freshness.echoed(counter)?;
        self.following("an echo")?.position = head;
        Ok(proves || moves)
    }

    /// The state, if the stream is where things follow one another.
    fn following(&mut self, what: &'static str) -> Result<&mut State, FeedError> {
        match (&self.stage, &mut self.state) {
            (Stage::Following, Some(state)) => Ok(state),
            _ => Err(FeedError::OutOfPlace(what)),
        }
    }

    fn resume(&mut self, era: Era, at: Position) -> Result<bool, FeedError> {
        let asked = matches!(self.stage, Stage::Opening) && self.state.is_some() && !self.doubtful;
        match self.known().filter(|_| asked) {
            None => Err(FeedError::OutOfPlace("a resumption")),
            Some((known, position)) if (known, position.revision) != (era, at.revision) => {
                Err(FeedError::OtherPlace { known: position.revision, found: at.revision })
            }
            Some((_, position)) if position.leaf != at.leaf => Err(FeedError::Forked(at.revision)),
            Some(_) => {
                self.stage = Stage::Following;
                Ok(false)
            }
        }
    }

    /// The place in the log that nothing may fall behind.
    fn known(&self) -> Option<(Era, Position)> {
        let now = self.state.as_ref().map(|state| (state.bundle.era(), state.position));
        now.or(self.before)
    }

    fn view(&self) -> Option<Arc<View>> {
        self.state.as_ref().map(|state| {
            Arc::new(View {
                bundle: state.bundle.clone(),
                settled: state.cuts.settled(),
                recent: state.cuts.recent(),
                horizon: state.cuts.horizon(),
                position: state.position,
                proven: self.freshness.proven(),
            })
        })
    }

    /// The size of the log that the newest checkpoint speaks of, if it is of this era.
    fn signed_size(&self, era: Era) -> u64 {
        let signed = self.checkpoint.as_ref().map(SignedCheckpoint::checkpoint);
        signed
            .filter(|checkpoint| checkpoint.era() == Some(era))
            .map_or(0, |signed| Checkpoint::root(signed).size)
    }
}

impl State {
    /// May it go on to this place in the log, or stay? True if that is later.
    fn check_move(&self, at: Position) -> Result<bool, FeedError> {
        let known = self.position;
        if at.revision < known.revision {
            return Err(FeedError::Older { known: known.revision, found: at.revision });
        }
        if at.revision == known.revision && at.leaf != known.leaf {
            return Err(FeedError::Forked(at.revision));
        }
        Ok(at.revision > known.revision)
    }
}
