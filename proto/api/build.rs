//! Generates the messages and services from `proto/vsw/v1`, in Rust alone: no protoc.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new("..");
    let files =
        ["config", "control", "datapath", "qos"].map(|f| root.join("vsw/v1").join(f).with_extension("proto"));
    let descriptors = protox::compile(files, [root])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("vsw.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../vsw");
    Ok(())
}
