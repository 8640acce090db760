//! Measures the switch: single costs in memory, the libraries that were chosen, and whole paths side by
//! side with what else one could use. What each row means, and how the lab looks: `docs/benchmarks.md`.
//!
//! Nothing here is a test: a figure that misses its goal is printed, and that is all. The exit status is 1
//! when a benchmark could not be run.
//!
//! Thread-safety: benchmarks run one after the other; those that need threads make their own.
#![forbid(unsafe_code)]

mod deps;
mod interrupt;
mod micro;
mod net;
mod plot;
mod report;
mod stats;
mod timing;

use anyhow::{Context, Result, bail};
use clap::Parser;
use report::{Report, Row};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measure the switch, alone and beside others
///
/// Build it with --release. The benchmarks of `net` need root, and a quiet machine.
#[derive(Debug, Parser)]
struct Args {
    /// What to run: names of benchmarks or of groups (micro, deps, net, qos) [default: all but qos]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// The same; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Fewer rounds and shorter ones
    #[arg(long)]
    quick: bool,
    /// Write the rows to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the ratios into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Draw the rates that were changed (qos-change) against time into this file
    #[arg(long, value_name = "FILE")]
    svg_rates: Option<PathBuf>,
    /// Leave peers out that are missing, instead of installing them with apt-get
    #[arg(long)]
    no_install: bool,
    /// Print the names and what they measure
    #[arg(long)]
    list: bool,
}

/// How thorough to be.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Rounds of a comparison.
    rounds: usize,
    /// Seconds of measured traffic in a round.
    seconds: u32,
    /// Rounds of a single cost.
    samples: usize,
}

impl Effort {
    const QUICK: Self = Self { rounds: 2, seconds: 1, samples: 15 };
    const FULL: Self = Self { rounds: 3, seconds: 3, samples: 51 };
}

/// One benchmark.
struct Bench {
    group: &'static str,
    name: &'static str,
    about: &'static str,
    run: fn(Effort) -> Result<Vec<Row>>,
}

#[rustfmt::skip]
const BENCHES: [Bench; 32] = [
    Bench { group: "micro", name: "pass",       run: micro::pass,     about: "a worker's pass, port to port in memory" },
    Bench { group: "micro", name: "stations",   run: micro::stations, about: "the same with many stations" },
    Bench { group: "micro", name: "flood",      run: micro::flood,    about: "known stations while new ones come by the million" },
    Bench { group: "micro", name: "workers",    run: micro::workers,  about: "one worker and two, in memory" },
    Bench { group: "micro", name: "fdb",        run: micro::fdb,      about: "looking up and learning stations" },
    Bench { group: "micro", name: "steps",      run: micro::steps,    about: "the other steps of a frame's way" },
    Bench { group: "micro", name: "qos-pass",   run: micro::qos_pass, about: "what a shaped port costs the others" },
    Bench { group: "micro", name: "qos-ports",  run: micro::qos_ports, about: "a thousand shaped ports on one worker" },
    Bench { group: "deps",  name: "parse",      run: deps::parse,     about: "reading headers: ours, pnet_packet, etherparse" },
    Bench { group: "deps",  name: "map",        run: deps::map,       about: "finding a station: ours, dashmap, a locked HashMap" },
    Bench { group: "deps",  name: "queue",      run: deps::queue,     about: "handing over: rtrb, crossbeam's queues" },
    Bench { group: "net",   name: "null-64",    run: net::null_64,    about: "small frames, port to port in memory; Open vSwitch with DPDK, net_null" },
    Bench { group: "net",   name: "memory",     run: net::memory,     about: "resident memory; Open vSwitch with DPDK" },
    Bench { group: "net",   name: "tcp-tap",    run: net::tcp_tap,    about: "one TCP stream, tap to tap; the Linux bridge, Open vSwitch" },
    Bench { group: "net",   name: "tcp-packet", run: net::tcp_packet, about: "the same over packet ports on veth" },
    Bench { group: "net",   name: "tcp-8",      run: net::tcp_8,      about: "eight TCP streams and a thousand idle stations, tap to tap; the Linux bridge" },
    Bench { group: "net",   name: "tcp-offload", run: net::tcp_offload, about: "what offloads bring: one TCP stream, tap to tap, with and without" },
    Bench { group: "net",   name: "afxdp-64",   run: net::afxdp_64,   about: "small frames, AF_XDP on veth; Open vSwitch" },
    Bench { group: "net",   name: "afxdp-worker", run: net::afxdp_worker, about: "the same without the kernel's shortcut" },
    Bench { group: "net",   name: "packet-64",  run: net::packet_64,  about: "small frames, packet ports on veth; Open vSwitch, the Linux bridge" },
    Bench { group: "net",   name: "tap-64",     run: net::tap_64,     about: "small frames, tap to tap; Open vSwitch, the Linux bridge" },
    Bench { group: "net",   name: "vhost-64",   run: net::vhost_64,   about: "small frames, vhost-user to vhost-user, testpmd at both ends; Open vSwitch with DPDK" },
    Bench { group: "net",   name: "vhost-1518", run: net::vhost_1518, about: "the same, large frames" },
    Bench { group: "net",   name: "idle-vhost", run: net::idle_vhost, about: "CPU and memory with 16 idle guests over vhost-user; Open vSwitch with DPDK" },
    Bench { group: "net",   name: "restart-vhost", run: net::restart_vhost, about: "vswd killed under a guest: until its frames flow again" },
    Bench { group: "net",   name: "ping-tap",   run: net::ping_tap,   about: "round trips, tap to tap; the Linux bridge, Open vSwitch" },
    Bench { group: "net",   name: "idle-64",    run: net::idle_64,    about: "CPU of an idle switch of 64 ports" },
    Bench { group: "qos",   name: "qos-rate",   run: net::qos_rate,   about: "one stream at configured rates, policed and shaped, on every kind of port" },
    Bench { group: "qos",   name: "qos-change", run: net::qos_change, about: "until a rate that is changed under a stream holds" },
    Bench { group: "qos",   name: "qos-ping",   run: net::qos_ping,   about: "round trips through a full port; without CoDel, the Linux bridge with HTB" },
    Bench { group: "qos",   name: "qos-share",  run: net::qos_share,  about: "classes: weights, a guaranteed minimum, strict priority" },
    Bench { group: "qos",   name: "qos-storm",  run: net::qos_storm,  about: "storm control, and unicast beside it" },
];

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every benchmark could be run.
fn run(args: &Args) -> Result<bool> {
    if args.list {
        BENCHES.iter().for_each(|b| println!("{:6} {:13} {}", b.group, b.name, b.about));
        return Ok(true);
    }
    let names: Vec<_> = args.names.iter().chain(&args.only).collect();
    let chosen = chosen(&names)?;
    if cfg!(debug_assertions) {
        eprintln!("This is a debug build: its figures mean nothing. Use `cargo run --release`.");
    }
    interrupt::watch()?;
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    if chosen.iter().any(|b| ["net", "qos"].contains(&b.group)) {
        net::prepare(!args.no_install)?;
    }
    let mut report = Report::new();
    let mut complete = true;
    for bench in chosen {
        eprintln!("{}: {}", bench.name, bench.about);
        match (bench.run)(effort) {
            Ok(rows) => report.add(rows),
            Err(e) => {
                eprintln!("{} could not be run: {e:#}", bench.name);
                complete = false;
            }
        }
        if interrupt::check().is_err() {
            bail!("interrupted");
        }
    }
    print!("{report}");
    let write = |file: &Option<PathBuf>, text: String| match file {
        Some(file) => std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display())),
        None => Ok(()),
    };
    write(&args.json, report.json()?)?;
    write(&args.svg, report.svg())?;
    write(&args.svg_rates, report.svg_rates())?;
    Ok(complete)
}

fn chosen(names: &[&String]) -> Result<Vec<&'static Bench>> {
    let is = |b: &Bench, name: &String| b.name == name || b.group == name;
    if let Some(name) = names.iter().find(|n| !BENCHES.iter().any(|b| is(b, n))) {
        bail!("there is no benchmark `{name}`; `--list` names them");
    }
    // Quality of service has no peer to be compared with, and takes some nine minutes.
    let usual = |b: &Bench| names.is_empty() && b.group != "qos";
    Ok(BENCHES.iter().filter(|b| usual(b) || names.iter().any(|n| is(b, n))).collect())
}
