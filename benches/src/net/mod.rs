//! Whole paths through the kernel, side by side with what else one could use.
//!
//! Each round builds its lab anew: network namespaces, the switch or its peer, traffic; and takes it down.
//! Ours and the peer take turns, so that a machine that gets slower or faster in between does so for both.
//! Everything made here carries the process id in its name and goes when its guard is dropped; what a
//! killed benchmark left behind goes at the start of the next.
//!
//! Thread-safety: one lab at a time.

mod compare;
mod frames;
mod guests;
mod hugepages;
mod idle;
mod lab;
mod null;
mod ovs;
mod process;
mod qos;
mod stations;
mod stream;
mod talk;
mod traffic;
mod vhost;
mod vsw;

pub(crate) use frames::{afxdp_64, afxdp_worker, packet_64, tap_64};
pub(crate) use guests::{idle_vhost, restart_vhost};
pub(crate) use idle::{idle_64, memory};
pub(crate) use null::null_64;
pub(crate) use qos::{qos_change, qos_ping, qos_rate, qos_share, qos_storm};
pub(crate) use stream::{ping_tap, tcp_8, tcp_offload, tcp_packet, tcp_tap};
pub(crate) use vhost::{vhost_64, vhost_1518};

use anyhow::{Result, ensure};

/// Debian packages, and the program of each that is used here.
const PACKAGES: [(&str, &str); 8] = [
    ("openvswitch-switch", "ovs-vswitchd"),
    ("openvswitch-switch-dpdk", "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"),
    ("dpdk-dev", "dpdk-testpmd"),
    ("util-linux", "taskset"),
    ("iperf3", "iperf3"),
    ("iproute2", "ip"),
    ("ethtool", "ethtool"),
    ("iputils-ping", "ping"),
];

/// Once, before the first lab.
pub(crate) fn prepare(install: bool) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root; `micro` and `deps` do not");
    let missing: Vec<_> =
        PACKAGES.iter().filter(|(_, p)| !process::is_installed(p)).map(|(p, _)| *p).collect();
    if !missing.is_empty() {
        let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
        let names = missing.join(", ");
        if !install {
            eprintln!("Missing, and left out: {names}. To have them: {line}");
        } else {
            eprintln!("Installing the Debian packages {names}");
            // A machine that was never updated has no lists yet.
            let done = process::run(&line)
                .or_else(|_| process::run("apt-get update").and_then(|_| process::run(&line)));
            if let Err(e) = done {
                eprintln!("Left out, since they cannot be installed: {names}: {e:#}");
            }
        }
    }
    lab::sweep();
    vsw::build()?;
    // Whatever else the machine does waits for what is measured; what is started from here inherits it.
    Ok(rustix::process::setpriority_process(None, -20)?)
}

/// Versions of the peers that are installed.
pub(crate) fn versions() -> Vec<String> {
    let first = |line: &str| process::run(line).ok()?.lines().next().map(str::to_owned);
    let asked = ["ovs-vswitchd --version", "iperf3 --version", "ip -V"];
    asked.iter().filter_map(|line| first(line)).collect()
}

/// A benchmark without it cannot be run, and says so.
fn needs_testpmd() -> Result<()> {
    ensure!(vsw_testpmd::is_installed(), "dpdk-testpmd is not installed (Debian package dpdk-dev)");
    Ok(())
}

/// Where things run: the first CPU makes traffic, the last one switches it.
#[derive(Clone, Copy, Debug)]
struct Cores {
    traffic: usize,
    switch: usize,
}

impl Cores {
    fn choose() -> Result<Self> {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let mut cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|c| allowed.is_set(*c));
        let traffic = cpus.next().unwrap_or(0);
        Ok(Self { traffic, switch: cpus.next_back().unwrap_or(traffic) })
    }
}
