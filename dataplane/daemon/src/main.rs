//! vswd: the dataplane of one host's switch.
//!
//! Starts in this order: the lock of the run directory (a second copy changes nothing), the packet memory,
//! what an earlier process left behind, the workers, the last applied configuration, and only then the
//! socket for its control process and `READY=1`. Runs in the foreground until SIGTERM or SIGINT.
//!
//! Threads: workers (pinned; the packet path), `switch` (the only one that opens and closes ports and
//! publishes snapshots), two that wait for the kernel and for the workers on its behalf, one that talks to the
//! front ends of vhost-user ports, and tokio's for
//! gRPC, which talk to `switch` by messages.
#![forbid(unsafe_code)]

mod args;
mod cache;
mod claim;
mod drivers;
mod fdbs;
mod mailbox;
mod managed;
mod message;
mod qos;
mod service;
mod status;
mod switch;

use anyhow::{Context, Result};
use args::Args;
use clap::Parser;
use drivers::Drivers;
use message::Message;
use std::process::ExitCode;
use std::sync::Arc;
use switch::Switch;
use tracing::{info, warn};
use vsw_accel::Accel;
use vsw_engine::Engine;
use vsw_mem::{FramePool, PoolSize};
use vsw_port_os::shortcut::BoardCell;
use vsw_process::{Role, RunDir};

fn main() -> ExitCode {
    let args = Args::parse();
    vsw_process::run(&args.common, || run(&args))
}

fn run(args: &Args) -> Result<()> {
    let run_dir = RunDir::take(&args.common.run_dir, Role::Dataplane)?;
    vsw_process::create_dir(&args.common.state_dir, 0o700)?;
    let cpus = args.workers.cpus()?;
    let size = PoolSize { small: args.small_frames, large: args.large_frames };
    let pool = FramePool::leak(size).with_context(|| {
        format!(
            "packet memory: {} small and {} large frames cannot be had; ask for fewer",
            size.small, size.large
        )
    })?;
    let journal = run_dir.path().join("journal");
    vsw_process::create_dir(&journal, 0o700)?;
    let board = BoardCell::default();
    let sockets = run_dir.path().join("vhost-user");
    vsw_process::create_dir(&sockets, 0o700)?;
    let (mailbox, messages) = mailbox::Mailbox::new();
    let news = {
        let mailbox = mailbox.clone();
        Arc::new(move || _ = mailbox.send(Message::PortsChanged))
    };
    let shortcut = (args.shortcut == args::Shortcut::Auto).then(|| board.clone());
    let drivers = Drivers::new(&journal, sockets, shortcut, news);
    for done in drivers.recover() {
        warn!("left by an earlier process: {done}");
    }
    let (engine, events) =
        Engine::start(&cpus, args.poll.into(), pool).context("workers: cannot be started")?;
    info!("workers on CPUs {cpus:?}");
    let cache = cache::Cache::new(&args.common.state_dir);
    let mut switch = Switch::new(engine, drivers, pool, cache, Accel::new(board));
    switch.restore();

    mailbox.collect(events)?;
    let thread = std::thread::Builder::new().name("switch".into()).spawn(move || switch.run(&messages))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let outcome = runtime.block_on(vsw_process::serve(&run_dir, service::service(mailbox.clone())));
    runtime.shutdown_timeout(vsw_process::GRACE);
    mailbox.stop();
    // Ports close here: interfaces of ours go, borrowed ones are as they were.
    let _ = thread.join();
    outcome
}
