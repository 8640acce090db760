//! Everything that must hold before a change is taken, the quick things first.

use crate::run::{cargo, must};
use crate::{deps, docs, tests};
use anyhow::Result;
use std::time::Instant;

pub(crate) fn run() -> Result<()> {
    step("layout of the source (cargo fmt --check)", || must(&mut cargo(["fmt", "--all", "--check"])))?;
    step("dependencies", deps::check)?;
    step("lints (cargo clippy, warnings are errors)", || {
        let words = ["clippy", "--quiet", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
        must(&mut cargo(words))
    })?;
    step("documentation (cargo doc, warnings are errors)", || {
        let mut doc = cargo(["doc", "--quiet", "--locked", "--workspace", "--no-deps"]);
        must(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    step("reference of the command line", || docs::run(true))?;
    step("tests", || tests::run(&tests::Options::default()))
}

fn step(name: &str, f: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("== {name}");
    let began = Instant::now();
    f()?;
    println!("   {} s", began.elapsed().as_secs());
    Ok(())
}
