//! The veil: private values lie in sled under a key each, and the keys lie in a file of their own, where they can be
//! overwritten. sled only ever appends, and keeps the bytes of what was removed until it has a use for their place; what
//! it keeps of an erased value is worth nothing once its key is gone.
//!
//! A place is 64 bytes: the value's id (16), its key (32), and the first 16 bytes of the SHA-256 over both. Zeros are a
//! place that is free.
//!
//! INVARIANT (key before value): a value's key is durable before the value is written. So after a crash there may be keys
//! of values that are not there, which are overwritten at the next start, and never a value without its key.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use daypass_core::PrivateId;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::{Zeroize, Zeroizing};

use crate::change::Private;

const PLACE: usize = 64;
const KEY: usize = 32;

/// The file of keys.
fn path(store: &Path) -> PathBuf {
    store.join("veil")
}

/// The keys, in memory and on disk.
pub(super) struct Veil {
    file: File,
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    keys: HashMap<PrivateId, (u64, Zeroizing<[u8; KEY]>)>,
    free: Vec<u64>,
    /// How many places the file has.
    count: u64,
}

impl Veil {
    /// Makes the file of a new store, or of one from before there was any.
    pub(super) fn create(store: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path(store))?;
        file.sync_all()?;
        Ok(Self { file, places: Mutex::default() })
    }

    /// Opens the file of a store. A place whose content is torn was being written when the power went: its value was not.
    pub(super) fn open(store: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path(store))?;
        let length = file.metadata()?.len();
        let mut places = Places { count: length.div_ceil(PLACE as u64), ..Places::default() };
        let mut bytes = Zeroizing::new([0; PLACE]);
        for place in 0..places.count {
            bytes.zeroize();
            let read = file.read_at(bytes.as_mut_slice(), place * PLACE as u64)?;
            match parse(&bytes).filter(|_| read == PLACE) {
                Some((id, key)) => drop(places.keys.insert(id, (place, key))),
                None => places.free.push(place),
            }
        }
        Ok(Self { file, places: Mutex::new(places) })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Overwrites the keys of all values but those that are there.
    pub(super) fn settle(&self, is_there: impl Fn(PrivateId) -> io::Result<bool>) -> io::Result<()> {
        let ids: Vec<PrivateId> = self.places().keys.keys().copied().collect();
        let mut gone = Vec::new();
        for id in ids {
            if !is_there(id)? {
                gone.push(id);
            }
        }
        self.drop_keys(&gone)
    }

    /// The values, in the order given, each under a key of its own, which is durable when this returns. A value that is
    /// written again keeps the key that it has.
    pub(super) fn seal(&self, values: &[Private]) -> io::Result<Vec<(PrivateId, Option<Vec<u8>>)>> {
        let mut wrote = false;
        let mut sealed = Vec::with_capacity(values.len());
        for (id, value) in values {
            let Some(value) = value else {
                sealed.push((*id, None));
                continue;
            };
            let key = self.key_for(*id, &mut wrote)?;
            sealed.push((*id, Some(encrypt(&key, value)?)));
        }
        if wrote {
            self.file.sync_data()?;
        }
        Ok(sealed)
    }

    fn key_for(&self, id: PrivateId, wrote: &mut bool) -> io::Result<Zeroizing<[u8; KEY]>> {
        let mut places = self.places();
        if let Some((_, key)) = places.keys.get(&id) {
            return Ok(key.clone());
        }
        let mut key = Zeroizing::new([0; KEY]);
        SystemRandom::new().fill(key.as_mut_slice()).map_err(|_| unable("no random bytes"))?;
        let place = places.free.pop().unwrap_or_else(|| {
            let next = places.count;
            places.count += 1;
            next
        });
        self.file.write_all_at(place_of(id, &key).as_slice(), place * PLACE as u64)?;
        *wrote = true;
        places.keys.insert(id, (place, key.clone()));
        Ok(key)
    }

    /// What was sealed under this id's key.
    pub(super) fn reveal(&self, id: PrivateId, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let key = self.places().keys.get(&id).map(|(_, key)| key.clone())?;
        decrypt(&key, sealed)
    }

    /// Overwrites the keys of these values: what sled still has of them is noise from now on.
    pub(super) fn drop_keys(&self, ids: &[PrivateId]) -> io::Result<()> {
        let mut places = self.places();
        let mut wrote = false;
        for id in ids {
            if let Some((place, _)) = places.keys.remove(id) {
                self.file.write_all_at(&[0; PLACE], place * PLACE as u64)?;
                places.free.push(place);
                wrote = true;
            }
        }
        if wrote { self.file.sync_data() } else { Ok(()) }
    }
}

fn unable(what: &'static str) -> io::Error {
    io::Error::other(what)
}

fn check(id: &[u8], key: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    let hash = digest(&SHA256, &Zeroizing::new([id, key].concat()));
    short.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    short
}

fn place_of(id: PrivateId, key: &[u8; KEY]) -> Zeroizing<Vec<u8>> {
    let sum = check(id.as_bytes(), key);
    Zeroizing::new([id.as_bytes().as_slice(), key, &sum].concat())
}

fn parse(bytes: &[u8; PLACE]) -> Option<(PrivateId, Zeroizing<[u8; KEY]>)> {
    let (id, rest) = bytes.split_first_chunk::<16>()?;
    let (key, sum) = rest.split_first_chunk::<KEY>()?;
    (check(id, key) == sum).then(|| (PrivateId::new(*id), Zeroizing::new(*key)))
}

/// A random nonce before each value: one key may seal several, where a value is written again.
fn encrypt(key: &[u8; KEY], value: &[u8]) -> io::Result<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| unable("no random bytes"))?;
    let mut bytes = value.to_vec();
    let cipher = UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| unable("no key"))?;
    let at = Nonce::assume_unique_for_key(nonce);
    cipher
        .seal_in_place_append_tag(at, Aad::empty(), &mut bytes)
        .map_err(|_| unable("it cannot be sealed"))?;
    Ok([nonce.as_slice(), &bytes].concat())
}

fn decrypt(key: &[u8; KEY], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, bytes) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut bytes = Zeroizing::new(bytes.to_vec());
    let cipher = UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).ok()?;
    let at = Nonce::assume_unique_for_key(*nonce);
    let length = cipher.open_in_place(at, Aad::empty(), &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}
