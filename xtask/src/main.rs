//! `cargo xtask`: the chores of the project, as the README and CI type them.
//!
//! One module for each; `run` starts programs for them, `packages` finds the tools that the host lacks.
//! One thread.
#![forbid(unsafe_code)]

mod ci;
mod demo;
mod deps;
mod docs;
mod fuzz;
mod packages;
mod run;
mod tally;
mod tests;

use clap::{Parser, Subcommand};
use run::{cargo, must};
use std::process::ExitCode;

/// The chores of the project
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Try the switch: namespaces, VLANs, a trunk, pings and a TCP transfer. Needs root
    Demo(demo::Options),
    /// Run every test, and say how many passed, failed and were skipped, and why
    Test(tests::Options),
    /// Run what is measured; arguments go to the benches
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Feed the parsers with garbage, from the kept corpus on. Needs a nightly toolchain
    Fuzz(fuzz::Options),
    /// Write the reference of the command line from what `vswctl` says of itself
    Docs {
        /// Only look whether it is up to date
        #[arg(long)]
        check: bool,
    },
    /// Everything that must hold before a change is taken
    Ci,
    #[command(flatten)]
    Tcp(demo::tcp::End),
}

fn main() -> ExitCode {
    let done = match Args::parse().chore {
        Chore::Demo(options) => demo::run(&options),
        Chore::Test(options) => tests::run(&options),
        Chore::Bench { args } => {
            must(cargo(["run", "--quiet", "--release", "-p", "vsw-benches", "--"]).args(args))
        }
        Chore::Fuzz(options) => fuzz::run(&options),
        Chore::Docs { check } => docs::run(check),
        Chore::Ci => ci::run(),
        Chore::Tcp(end) => demo::tcp::run(&end),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}
