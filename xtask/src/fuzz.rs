//! Fuzzing with libFuzzer, without `cargo-fuzz`: the same compiler options, the same folders.
//!
//! `fuzz/` is a workspace of its own; each binary in it is a target, and `fuzz/corpus/TARGET` its kept
//! inputs. New ones found here go to the build folder; copy those that are worth it.

use crate::run::{cargo, lines, output, program, root, target};
use crate::tally::Tally;
use anyhow::{Result, bail};
use serde_json::Value;
use std::path::PathBuf;

/// As `cargo fuzz` has them: coverage for libFuzzer, and the address sanitizer.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Zsanitizer=address -Cdebug-assertions";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// For each target
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u32,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    all(options.seconds, &mut tally)?;
    println!("{}", tally.summary());
    if !tally.failed.is_empty() {
        bail!("fuzzing found something");
    }
    Ok(())
}

/// With a target named, cargo leaves build scripts alone.
fn triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// Each target for so many seconds; each counts as one test.
pub(crate) fn all(seconds: u32, tally: &mut Tally) -> Result<()> {
    if !cargo(["+nightly", "--version"]).output().is_ok_and(|out| out.status.success()) {
        tally.skip("fuzzing", "needs a nightly toolchain");
        return Ok(());
    }
    let folder = root().join("fuzz");
    let metadata = ["metadata", "--format-version", "1", "--no-deps", "--manifest-path", "fuzz/Cargo.toml"];
    let metadata: Value = match output(&mut cargo(metadata)) {
        Ok(text) => serde_json::from_str(&text)?,
        Err(e) => {
            tally.one("fuzzing", Err(e));
            return Ok(());
        }
    };
    let targets = metadata["packages"][0]["targets"].as_array().cloned().unwrap_or_default();
    let names = targets.iter().filter(|t| t["kind"][0] == "bin").filter_map(|t| t["name"].as_str());

    let built = target().join("fuzz");
    let mut build = cargo(["+nightly", "build", "--quiet", "--release", "--bins", "--target", &triple()]);
    build
        .args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"])
        .arg(&built)
        .env("RUSTFLAGS", RUSTFLAGS);
    if let Err(e) = output(&mut build) {
        tally.one("fuzzing", Err(e));
        return Ok(());
    }
    for name in names {
        let found = built.join("found").join(name);
        std::fs::create_dir_all(&found)?;
        let kept = folder.join("corpus").join(name);
        tally.one(&format!("fuzz target {name}"), one(&built, name, seconds, &[found, kept]));
    }
    Ok(())
}

/// The first folder takes what is new.
fn one(built: &std::path::Path, name: &str, seconds: u32, folders: &[PathBuf]) -> Result<()> {
    let mut fuzzer = program(built.join(triple()).join("release").join(name), [] as [&str; 0]);
    fuzzer.arg(format!("-max_total_time={seconds}")).arg("-timeout=10").arg("-rss_limit_mb=4096");
    fuzzer.arg(format!("-artifact_prefix={}/", built.join("found").display()));
    fuzzer.args(folders.iter().filter(|f| f.is_dir()));
    let mut last = Vec::new();
    let status = lines(&mut fuzzer, |line| {
        last.push(line.to_owned());
        if last.len() > 60 {
            last.remove(0);
        }
    })?;
    if !status.success() {
        bail!("{status}\n{}", last.join("\n"));
    }
    // `Done 123456 runs in 11 second(s)`
    let done = last.iter().rev().find(|l| l.starts_with("Done ")).map_or("", String::as_str);
    println!("   {name}: {}", done.to_lowercase());
    Ok(())
}
