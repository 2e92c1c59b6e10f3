//! What checking an export costs, against reading the same file and hashing it and nothing else, on one thread.
//!
//! `cargo run --release -p daypass-log --example export_speed -- make EVENTS FILE` writes an export with events of 500
//! bytes; `… -- measure FILE` prints the figures as JSON. They are two processes, so that the memory is that of reading.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "an example: it may stop at what goes wrong"
)]

use std::{
    collections::HashMap,
    convert::Infallible,
    env,
    fs::{self, File},
    io::{BufWriter, Read},
};

use daypass_credential::Era;
use daypass_log::{
    Checkpoint, Edge, Hash, VerifierKey,
    export::{self, Reader},
};
use ring::{
    digest::{Context, SHA256},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use rustix::time::{ClockId, clock_gettime};

const ORIGIN: &str = "broker.example/log";
const BUFFER: usize = 256 * 1024;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["make", events, file] => make(events.parse().expect("a number of events"), file),
        ["measure", file] => measure(file),
        _ => panic!("make EVENTS FILE, or measure FILE"),
    }
}

fn make(events: u64, file: &str) {
    let pair = pair();
    let (mut edge, mut tiles) = (Edge::new(), HashMap::new());
    for number in 0..events {
        edge.append(Hash::leaf(&event(number)), |tile, hashes| {
            tiles.insert(tile, hashes.to_vec());
        });
    }
    tiles.extend(edge.partial().map(|(tile, hashes)| (tile, hashes.to_vec())));
    let checkpoint = Checkpoint::new(ORIGIN, edge.root(), Era::new(1)).unwrap();
    let sign = |text: &[u8]| Ok::<_, Infallible>(pair.sign(text).as_ref().try_into().unwrap());
    let checkpoint = checkpoint.sign(&key(&pair), sign).unwrap();
    let mut out = BufWriter::with_capacity(BUFFER, File::create(file).unwrap());
    export::write(
        &mut out,
        &checkpoint,
        &tiles,
        (0..events).map(|number| Ok::<_, Infallible>(event(number))),
    )
    .unwrap();
}

fn measure(file: &str) {
    let keys = [key(&pair())];
    let entries = || Reader::new(File::open(file).unwrap(), &keys, None).unwrap();
    let events = entries().checkpoint().checkpoint().root().size;

    let (mut verify, mut hash, mut near) = (f64::MAX, f64::MAX, f64::MAX);
    for _ in 0..5 {
        let begun = cpu_ms();
        let checkpoint = entries().verify(|_| {}).unwrap();
        verify = verify.min(cpu_ms() - begun);
        assert_eq!(checkpoint.checkpoint().root().size, events);
        hash = hash.min(hash_alone(File::open(file).unwrap()));
        near = near.min(hash_in_memory(events));
    }
    println!(
        "{{\"events\":{events},\"verify_ms\":{verify:.1},\"sha256_ms\":{hash:.1},\"ratio\":{:.3},\
         \"events_from_memory_ms\":{near:.1},\"rss_mb\":{:.1}}}",
        verify / hash,
        peak_memory(),
    );
}

/// Reading these bytes and hashing them all at once.
fn hash_alone(mut bytes: impl Read) -> f64 {
    let mut buffer = vec![0; BUFFER];
    let begun = cpu_ms();
    let mut context = Context::new(&SHA256);
    loop {
        match bytes.read(&mut buffer).unwrap() {
            0 => break,
            read => context.update(buffer.get(..read).unwrap()),
        }
    }
    std::hint::black_box(context.finish());
    cpu_ms() - begun
}

/// Hashing as many bytes as the events have, from memory that is near the processor: no reader can do with less.
fn hash_in_memory(events: u64) -> f64 {
    let batch: Vec<u8> = (0..100).flat_map(event).collect();
    let begun = cpu_ms();
    let mut context = Context::new(&SHA256);
    (0..events / 100).for_each(|_| context.update(&batch));
    std::hint::black_box(context.finish());
    cpu_ms() - begun
}

/// What this thread has used of a processor, reading included, whatever else the machine does meanwhile.
fn cpu_ms() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 * 1e3 + used.tv_nsec as f64 / 1e6
}

fn event(number: u64) -> Vec<u8> {
    let mut event = format!("{{\"v\":1,\"at\":{number},\"id\":\"{number:032x}\",\"pad\":\"");
    while event.len() < 498 {
        event.push(char::from(b'a' + u8::try_from((number + event.len() as u64) % 26).unwrap()));
    }
    event.push_str("\"}");
    event.into_bytes()
}

fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1024.0
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

fn key(pair: &Ed25519KeyPair) -> VerifierKey {
    VerifierKey::new(ORIGIN, pair.public_key().as_ref().try_into().unwrap()).unwrap()
}
