//! Schema versions of the store: each step brings one version to the next, once, when the store was opened and found to
//! be sound; a step that changes what the checks read has to say how the older version is checked. A store of a
//! newer version is refused, and says which program wrote it.
//!
//! INVARIANT (all or nothing): a step and its version are one batch, and durable before anything is read; broken off in
//! between, it is done again at the next start.

use sled::{Batch, Db};

use super::layout::{SCHEMA, SCHEMA_KEY, WRITER_KEY};
use crate::{OpenError, open::is_version};

/// What brings a store from one version to the next: the batch that it takes.
type Step = fn(&Db, &mut Batch) -> Result<(), sled::Error>;

/// The steps: the first from version 1 to 2, and so on.
const STEPS: &[Step] = &[name_the_writer, name_the_writer];

/// Version 2 says which program brought the store to its schema, so that an older one can name the newer. Version 3
/// needs no other step: its log may hold actions that an older program would take for damage, and private values written
/// from then on are sealed (see `veil`); older ones are read as they are.
fn name_the_writer(_: &Db, batch: &mut Batch) -> Result<(), sled::Error> {
    batch.insert(WRITER_KEY, env!("CARGO_PKG_VERSION"));
    Ok(())
}

/// Writes the schema version into a new store.
pub(super) fn begin(db: &Db) -> Result<(), sled::Error> {
    let mut batch = Batch::default();
    for step in STEPS {
        step(db, &mut batch)?;
    }
    batch.insert(SCHEMA_KEY, &SCHEMA.to_be_bytes());
    db.apply_batch(batch)?;
    db.flush().map(drop)
}

/// Brings the store to the present version.
pub(super) fn migrate(db: &Db, sync: impl Fn() -> Result<(), OpenError>) -> Result<(), OpenError> {
    let found = known_version(db)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX).saturating_sub(1);
    for (step, to) in STEPS.iter().zip(2_u32..).skip(done) {
        let mut batch = Batch::default();
        step(db, &mut batch).map_err(unreadable)?;
        batch.insert(SCHEMA_KEY, &to.to_be_bytes());
        db.apply_batch(batch).map_err(unreadable)?;
        db.flush().map_err(unreadable)?;
        sync()?;
        tracing::info!(from = to - 1, to, "the store was brought to a newer schema");
    }
    Ok(())
}

/// The store's version, unless it is newer than this program knows.
pub(super) fn known_version(db: &Db) -> Result<u32, OpenError> {
    let found = version(db)?;
    if found > SCHEMA {
        let by = db.get(WRITER_KEY).map_err(unreadable)?;
        let by = by.and_then(|text| String::from_utf8(text.to_vec()).ok());
        return Err(OpenError::Newer { found, known: SCHEMA, by: by.filter(|text| is_version(text)) });
    }
    Ok(found)
}

fn version(db: &Db) -> Result<u32, OpenError> {
    let value = db.get(SCHEMA_KEY).map_err(unreadable)?;
    let version = value.and_then(|value| value.as_ref().try_into().ok()).map(u32::from_be_bytes);
    version.filter(|version| *version > 0).ok_or_else(|| {
        OpenError::Damaged(
            "it has no schema version; if it was never used, its creation broke off".to_owned(),
        )
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn unreadable(error: sled::Error) -> OpenError {
    OpenError::Damaged(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_step_to_every_version() {
        assert_eq!(STEPS.len() + 1, usize::try_from(SCHEMA).unwrap());
    }
}
