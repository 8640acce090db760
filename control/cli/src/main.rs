//! vswctl: the command line of the switch. Talks to vswcontrold, and keeps nothing itself.
//!
//! `args` says what can be typed, `change` and `query` do it, `client` reaches the control process, `view`
//! turns its answers into the stable JSON shapes, `tables` and `output` show these. One thread; a command
//! makes one call.
#![forbid(unsafe_code)]

mod args;
mod change;
mod client;
mod output;
mod qos;
mod query;
mod reference;
mod tables;
mod view;

use args::{Args, Command};
use clap::{CommandFactory, Parser};
use client::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Command::Completion { shell } => completion(*shell),
        Command::Reference => output::print(&reference::markdown(Args::command())),
        _ => talk(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::from(failure.status())
        }
    }
}

/// One thread is enough, and starts faster than a pool.
fn talk(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::Refused(format!("vswctl: cannot start: {e}")))?;
    runtime.block_on(async {
        match &args.command {
            Command::Query(query) => query::run(query, &args.global).await,
            Command::Change(change) => change::run(change, &args.global).await,
            Command::Completion { .. } | Command::Reference => Ok(()),
        }
    })
}

fn completion(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "vswctl", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
