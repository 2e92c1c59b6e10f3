//! The wire of Daypass: its protobuf files and the code made from them. Nothing else knows the wire.

/// Package `daypass.v1`.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("daypass.v1");
}

/// The descriptors of every file, for reflection and for the broker's own table.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The domain of the reasons in error details (`google.rpc.ErrorInfo.domain`).
pub const ERROR_DOMAIN: &str = "daypass";
