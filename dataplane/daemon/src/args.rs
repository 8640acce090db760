//! Arguments.

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use std::str::FromStr;
use vsw_engine::Polling;
use vsw_mem::PoolSize;
use vsw_process::Common;

/// The dataplane of the switch: moves frames between its ports
///
/// Runs in the foreground. Needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN (network namespaces), and
/// CAP_BPF and CAP_IPC_LOCK for AF_XDP ports.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Worker threads: `auto` (one less than the CPUs), a number, or a list of CPUs to pin to, `1,3-5`
    #[arg(long, env = "VSW_WORKERS", default_value = "auto", value_name = "HOW")]
    pub(crate) workers: Workers,
    /// What workers do when there is nothing to do
    #[arg(long, env = "VSW_POLL", value_enum, default_value_t = Poll::Adaptive)]
    pub(crate) poll: Poll,
    /// Whether the kernel hands frames between stations that are known from one AF_XDP port to another
    #[arg(long, env = "VSW_SHORTCUT", value_enum, default_value_t = Shortcut::Auto)]
    pub(crate) shortcut: Shortcut,
    /// Packet memory: frames of 2 KiB
    #[arg(long, default_value_t = PoolSize::default().small, value_name = "N", value_parser = clap::value_parser!(u32).range(1024..=4_194_304))]
    pub(crate) small_frames: u32,
    /// Packet memory: frames of 64 KiB, for segmentation offload
    #[arg(long, default_value_t = PoolSize::default().large, value_name = "N", value_parser = clap::value_parser!(u32).range(64..=65_536))]
    pub(crate) large_frames: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shortcut {
    /// Where the kernel can
    Auto,
    /// All frames go through the workers
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Poll {
    /// Spin for a moment, then sleep
    Adaptive,
    /// Never sleep: a core each, for the lowest latency
    Busy,
}

impl From<Poll> for Polling {
    fn from(poll: Poll) -> Self {
        match poll {
            Poll::Adaptive => Self::Adaptive,
            Poll::Busy => Self::Busy,
        }
    }
}

/// As typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Workers {
    Auto,
    Count(usize),
    Cpus(Vec<usize>),
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let bad =
            || format!("`{s}` is neither `auto`, a number of workers from 1, nor a list of CPUs like 1,3-5");
        let number = |s: &str| s.trim().parse::<usize>().ok().filter(|n| *n < 1024).ok_or_else(bad);
        if s == "auto" {
            return Ok(Self::Auto);
        }
        if s.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self::Count(number(s).and_then(|n| if n == 0 { Err(bad()) } else { Ok(n) })?));
        }
        let mut cpus = Vec::new();
        // A trailing comma makes a list of one.
        for part in s.trim_end_matches(',').split(',') {
            match part.split_once('-') {
                Some((a, b)) => cpus.extend(number(a)?..=number(b)?),
                None => cpus.push(number(part)?),
            }
        }
        cpus.sort_unstable();
        cpus.dedup();
        if cpus.is_empty() { Err(bad()) } else { Ok(Self::Cpus(cpus)) }
    }
}

impl Workers {
    /// The CPU of each worker. The first CPUs are left to the rest of the host as long as there are others.
    pub(crate) fn cpus(&self) -> Result<Vec<usize>> {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let allowed: Vec<usize> =
            (0..rustix::thread::CpuSet::MAX_CPU).filter(|c| allowed.is_set(*c)).collect();
        let last = |n: usize| allowed[allowed.len() - n..].to_vec();
        match self {
            Self::Auto => Ok(last((allowed.len() - 1).max(1))),
            Self::Count(n) if *n <= allowed.len() => Ok(last(*n)),
            Self::Count(n) => bail!("--workers {n}: there are only {} CPUs to run on", allowed.len()),
            Self::Cpus(cpus) => match cpus.iter().find(|c| !allowed.contains(c)) {
                Some(cpu) => bail!("--workers: CPU {cpu} is not among those to run on, {allowed:?}"),
                None => Ok(cpus.clone()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_as_typed() {
        for (typed, meant) in [
            ("auto", Some(Workers::Auto)),
            ("3", Some(Workers::Count(3))),
            ("1,3-5", Some(Workers::Cpus(vec![1, 3, 4, 5]))),
            ("1,", Some(Workers::Cpus(vec![1]))),
            ("0", None),
            ("", None),
            ("a", None),
            ("1-", None),
            ("5-3", None),
        ] {
            assert_eq!(typed.parse::<Workers>().ok(), meant, "{typed}");
        }
    }
}
