//! Making a backup of a store, while it goes on: up to the newest commit at the beginning.

use std::collections::HashSet;

use daypass_core::{Event, PrivateId, event};
use daypass_credential::Revision;
use ring::digest::{Context, SHA256};

use super::{BROKEN, END, EVENT, HEADER, Header, MAGIC, PRIVATE};
use crate::{Store, StoreError};

/// How many events are read at once.
const PAGE: usize = 256;

/// A backup being made, piece by piece.
pub struct Backup<'a> {
    store: &'a dyn Store,
    upto: Revision,
    done: Revision,
    /// What lies beside the log is written once, with the first event that refers to it.
    beside: HashSet<PrivateId>,
    hash: Context,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Events,
    Over,
}

impl<'a> Backup<'a> {
    /// A backup of everything that is durable now.
    #[must_use]
    pub fn of(store: &'a dyn Store) -> Self {
        let upto = store.head().borrow().revision;
        Self {
            store,
            upto,
            done: Revision::ZERO,
            beside: HashSet::new(),
            hash: Context::new(&SHA256),
            state: State::Begin,
        }
    }

    /// The last revision that will be in it.
    #[must_use]
    pub const fn upto(&self) -> Revision {
        self.upto
    }

    /// How far it is.
    #[must_use]
    pub const fn done(&self) -> Revision {
        self.done
    }

    /// The next piece, some hundred KiB at most; `None` after the last.
    ///
    /// # Errors
    /// If the store cannot be read. What was written so far is then no backup.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let mut piece = Vec::new();
        match self.state {
            State::Begin => {
                let header = Header {
                    event_schema: event::GENERATION,
                    revision: self.upto.get(),
                    made_by: env!("CARGO_PKG_VERSION").to_owned(),
                };
                let header = serde_json::to_vec(&header).map_err(damaged)?;
                piece.extend_from_slice(MAGIC);
                frame(&mut piece, HEADER, &[&header])?;
                self.state = State::Events;
            }
            State::Events if self.done < self.upto => self.events(&mut piece).await?,
            State::Events => {
                let hash = self.hash.clone().finish();
                frame(&mut piece, END, &[&self.upto.get().to_be_bytes(), hash.as_ref()])?;
                self.state = State::Over;
                return Ok(Some(piece));
            }
            State::Over => return Ok(None),
        }
        self.hash.update(&piece);
        Ok(Some(piece))
    }

    async fn events(&mut self, piece: &mut Vec<u8>) -> Result<(), StoreError> {
        let left = self.upto.get().saturating_sub(self.done.get());
        let limit = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
        let entries = self.store.log(self.done, limit).await?;
        if entries.is_empty() {
            return Err(StoreError::Damaged(format!("the log breaks off after revision {}", self.done)));
        }
        for entry in entries {
            let event = Event::from_bytes(&entry.event).map_err(damaged)?;
            for id in event.beside() {
                if self.beside.insert(id)
                    && let Some(value) = self.store.private(id).await?
                {
                    frame(piece, PRIVATE, &[id.as_bytes(), &value])?;
                }
            }
            frame(piece, EVENT, &[&entry.event])?;
            self.done = entry.revision;
        }
        Ok(())
    }
}

/// What ends a backup that cannot be finished, so that whoever reads it hears why.
#[must_use]
pub fn broken_off(why: &str) -> Vec<u8> {
    let mut piece = Vec::new();
    let words: String = why.chars().take(1000).collect();
    // Nothing of this length fails to be framed.
    let _framed = frame(&mut piece, BROKEN, &[words.as_bytes()]);
    piece
}

fn frame(piece: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) -> Result<(), StoreError> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > super::MAX_FRAME {
        return Err(StoreError::Damaged(format!(
            "a value of {length} bytes is larger than this program writes"
        )));
    }
    piece.push(kind);
    piece.extend_from_slice(&u32::try_from(length).map_err(damaged)?.to_be_bytes());
    parts.iter().for_each(|part| piece.extend_from_slice(part));
    Ok(())
}

fn damaged(error: impl ToString) -> StoreError {
    StoreError::Damaged(error.to_string())
}
