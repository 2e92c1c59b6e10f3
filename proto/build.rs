//! Makes the Rust code and the descriptor set from the protobuf files, without `protoc`.

use std::{env, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files =
        ["audit", "credential", "diagnostics", "directory", "enrollment", "offboarding", "verification"];
    let files: Vec<String> = files.iter().map(|name| format!("daypass/v1/{name}.proto")).collect();
    println!("cargo:rerun-if-changed=daypass");
    let descriptors = protox::compile(&files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
