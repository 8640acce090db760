//! vswcontrold: the control process of one host's switch.
//!
//! Starts in this order, so that a second copy or a damaged store changes nothing: the lock of the run
//! directory, the store, then the task that keeps the dataplane agreeing, the socket, and at last `READY=1`.
//! Runs in the foreground until SIGTERM or SIGINT.
#![forbid(unsafe_code)]

mod service;

use anyhow::{Context, Result};
use clap::Parser;
use service::Service;
use std::process::ExitCode;
use tracing::info;
use vsw_api::v1::control_server::ControlServer;
use vsw_control::{Controller, Datapath, Store};
use vsw_process::{Common, Role, RunDir};

/// The control process of the switch: keeps its configuration, and the dataplane agreeing with it
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    common: Common,
    /// If nothing is recorded yet, take over the configuration that the dataplane applied last
    #[arg(long)]
    adopt: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    vsw_process::run(&args.common, || run(&args))
}

fn run(args: &Args) -> Result<()> {
    let run_dir = RunDir::take(&args.common.run_dir, Role::Control)?;
    let state_dir = &args.common.state_dir;
    vsw_process::create_dir(state_dir, 0o700)?;
    let (mut store, recorded) = Store::open(state_dir)?;
    let config = vsw_control::adopted(&mut store, recorded, state_dir, args.adopt)?;
    info!("generation {}: read from {}", config.generation(), state_dir.display());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(async {
        let datapath = Datapath::new(run_dir.path()).context("dataplane: its address is not usable")?;
        let service = Service::new(Controller::start(store, config, datapath));
        vsw_process::serve(&run_dir, ControlServer::new(service)).await
    });
    runtime.shutdown_timeout(vsw_process::GRACE);
    outcome
}
