//! What `bench` measured.

use serde::Serialize;

/// `bench`
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    pub(crate) noop_rps: f64,
    pub(crate) mint_rps: f64,
    pub(crate) introspect_rps: f64,
    /// The median over the rounds of mint against no-op; so are those below.
    pub(crate) mint_ratio: f64,
    pub(crate) introspect_ratio: f64,
    pub(crate) noop_p50_micros: u64,
    pub(crate) noop_p99_micros: u64,
    pub(crate) mint_p50_micros: u64,
    pub(crate) mint_p99_micros: u64,
    pub(crate) introspect_p50_micros: u64,
    pub(crate) introspect_p99_micros: u64,
    pub(crate) failures: u64,
}

/// `bench offboard`
#[derive(Debug, Serialize)]
pub(crate) struct OffboardMeasured {
    /// How many credentials were minted for the large vendor.
    pub(crate) credentials: u64,
    pub(crate) repetitions: u64,
    /// How many of them were alive when it was ended, at the least: with its certificates.
    pub(crate) live_before: u64,
    pub(crate) one_live_before: u64,
    /// The median over the repetitions; so is the one below.
    pub(crate) one_ms: f64,
    pub(crate) million_ms: f64,
    /// Of the medians.
    pub(crate) ratio: f64,
    pub(crate) one_each_ms: Vec<f64>,
    pub(crate) million_each_ms: Vec<f64>,
}

/// `bench check`
#[derive(Debug, Serialize)]
pub(crate) struct CheckMeasured {
    /// How many cuts the verifier held.
    pub(crate) cuts: usize,
    pub(crate) rounds: usize,
    /// The median over the rounds of the least time; so are those below.
    pub(crate) bare_micros: f64,
    pub(crate) check_micros: f64,
    pub(crate) check_seen_micros: f64,
    pub(crate) check_ratio: f64,
    pub(crate) check_seen_speedup: f64,
}

/// `bench revoke`
#[derive(Debug, Serialize)]
pub(crate) struct RevokeMeasured {
    pub(crate) verifiers: u64,
    pub(crate) samples: u64,
    /// How many times a verifier still accepted a second after the end.
    pub(crate) missed: u64,
    /// Over every verifier and sample, from sending the end.
    pub(crate) commit_to_refusal_p50_ms: f64,
    pub(crate) commit_to_refusal_p99_ms: f64,
    pub(crate) commit_to_refusal_max_ms: f64,
    /// The call itself.
    pub(crate) end_p50_ms: f64,
    pub(crate) end_p99_ms: f64,
}
