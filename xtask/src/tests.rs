//! `cargo xtask test`: all tests in one count, with what was left out and why.

use crate::run::{cargo, is_root, lines, must, root, target};
use crate::tally::{self, Tally};
use crate::{demo, fuzz, packages};
use anyhow::{Result, bail};
use std::process::Command;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Only the tests of this package, or one of: loom, miri, fuzz, demo
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Skip what needs root, even with it
    #[arg(long)]
    no_root: bool,
}

/// Seconds for each fuzz target.
const FUZZING: u32 = 10;

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut tally = Tally::default();
    let only = options.only.as_deref();
    let extra = ["loom", "miri", "fuzz", "demo"];
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let rooted = is_root() && !options.no_root;

    let package = only.filter(|only| !extra.contains(only));
    if only.is_none() || package.is_some() {
        if rooted {
            packages::need(&["ip", "ping", "tcpdump", "ethtool"])?;
            // Large, and of one crate only: without it that one's tests are skipped.
            if let Err(e) = packages::need(&["dpdk-testpmd"]) {
                println!("{e:#}");
            }
            if package.is_none_or(|package| package == "vsw-guest") {
                packages::guest();
            }
        }
        workspace(package, rooted, &mut tally)?;
    }
    if wanted("loom") {
        println!("== every interleaving of threads on the forwarding database (loom)");
        let mut test = cargo(["test", "--locked", "--release", "-p", "vsw-switch", "--lib"]);
        test.arg("--target-dir").arg(target().join("loom")).args(["--", "--show-output", "loom"]);
        count(test.env("RUSTFLAGS", "--cfg loom").env("LOOM_MAX_PREEMPTIONS", "3"), &mut tally)?;
    }
    if wanted("miri") {
        println!("== packet memory under miri");
        let miri = cargo(["+nightly", "miri", "--version"]).output().is_ok_and(|out| out.status.success());
        match miri {
            true => {
                let mut test = cargo(["+nightly", "miri", "test", "--locked", "-p", "vsw-mem", "--lib"]);
                test.arg("--target-dir").arg(target().join("miri")).args(["--", "--show-output"]);
                // Packet memory lives as long as the process, on purpose.
                count(test.env("MIRIFLAGS", "-Zmiri-ignore-leaks"), &mut tally)?;
            }
            false => tally.skip("vsw-mem under miri", "needs a nightly toolchain with miri"),
        }
    }
    if wanted("fuzz") {
        println!("== fuzzing, {FUZZING} s each");
        fuzz::all(FUZZING, &mut tally)?;
    }
    if wanted("demo") {
        println!("== demo");
        match rooted {
            true => tally.one("demo", demo::quietly()),
            false => tally.skip("demo", "needs root"),
        }
    }
    println!("{}", tally.summary());
    if !tally.failed.is_empty() {
        bail!("{} failed", if tally.failed.len() == 1 { "a test" } else { "tests" });
    }
    if tally.passed == 0 && tally.skipped.is_empty() {
        bail!("there is no test of that name; name a package, or one of {}", extra.join(", "));
    }
    Ok(())
}

/// Every test that plain cargo knows; or those of one package.
fn workspace(package: Option<&str>, rooted: bool, tally: &mut Tally) -> Result<()> {
    println!("== cargo test");
    // The daemons, for the tests that start them.
    must(&mut cargo(["build", "--quiet", "--locked", "-p", "vswd", "-p", "vswcontrold", "-p", "vswctl"]))?;
    let mut test = cargo(["test", "--locked", "--no-fail-fast"]);
    match package {
        Some(package) => test.args(["-p", package]),
        None => test.arg("--workspace"),
    };
    test.args(["--", "--show-output"]).env("VSW_BIN_DIR", target().join("debug"));
    if !rooted {
        test.env("VSW_NO_ROOT", "1");
    }
    count(&mut test, tally)
}

/// Runs one `cargo test`. Prints a line for each test program with tests, and all that failed ones said.
fn count(test: &mut Command, tally: &mut Tally) -> Result<()> {
    test.current_dir(root()).env("CARGO_TERM_COLOR", "never").env("RUST_BACKTRACE", "1");
    let before = tally.failed.len();
    let (mut said, mut telling) = (Vec::new(), false);
    let status = lines(test, |line| {
        let failed = tally.failed.len();
        // What failed tests said stands between the first `failures:` and the result.
        telling |= line == "failures:";
        match tally.line(line) {
            Some(told) => {
                telling = false;
                if !told.contains(": 0 passed, 0 failed, 0 skipped") {
                    println!("   {told}");
                }
                said.clear();
            }
            None if tally::is_start(line) => {
                // The one before has no result.
                if tally.failed.len() > failed {
                    println!("{}", end(&said));
                }
                said.clear();
            }
            None if telling => println!("{line}"),
            None => {}
        }
        said.push(line.to_owned());
    })?;
    if !status.success() {
        let failed = tally.failed.len();
        tally.program_died();
        if tally.failed.len() == before {
            tally.failed.push("cargo test: did not build or did not run".into());
        }
        if tally.failed.len() > failed {
            println!("{}", end(&said));
        }
    }
    Ok(())
}

/// The last lines.
fn end(said: &[String]) -> String {
    said[said.len().saturating_sub(60)..].join("\n")
}
