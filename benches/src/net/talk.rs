//! Stations that talk with each other: TCP streams, round trips.

use super::lab::{Folder, Netns};
use super::process::{Daemon, finish};
use super::traffic::machine_cpu_seconds;
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result};
use std::time::Duration;

/// So many TCP streams: Gbit/s that arrived, and seconds of CPU time of the whole machine per gigabyte.
pub(crate) fn tcp(
    client: &Netns,
    server: &Netns,
    address: &str,
    streams: u32,
    effort: Effort,
) -> Result<[f64; 2]> {
    let dir = Folder::new("iperf3")?;
    let _server = Daemon::start("iperf3", server.command("iperf3").arg("-s"), dir.path())?;
    // One second that does not count, which also waits for the server.
    interrupt::wait_for("the iperf3 server", Duration::from_secs(15), || {
        iperf3(client, address, streams, 1).ok()
    })?;
    let before = machine_cpu_seconds()?;
    let (bits_per_second, bytes) = iperf3(client, address, streams, effort.seconds)?;
    let spent = machine_cpu_seconds()? - before;
    Ok([bits_per_second / 1e9, spent / (bytes / 1e9)])
}

fn iperf3(client: &Netns, address: &str, streams: u32, seconds: u32) -> Result<(f64, f64)> {
    let mut command = client.command("iperf3");
    command.args(["-J", "-c", address, "--connect-timeout", "2000"]);
    let out = finish(command.args(["-P", &streams.to_string(), "-t", &seconds.to_string()]))?;
    let json: serde_json::Value = serde_json::from_str(&out)?;
    let sum = |field: &str| json["end"]["sum_received"][field].as_f64().context("iperf3 tells no result");
    Ok((sum("bits_per_second")?, sum("bytes")?))
}

/// Round trips, a hundred a second: median and 99th percentile in microseconds.
pub(crate) fn ping(from: &Netns, address: &str, effort: Effort) -> Result<[f64; 2]> {
    answers(from, address)?;
    let count = (effort.seconds * 100).to_string();
    let out = finish(from.command("ping").args(["-n", "-i", "0.01", "-c", &count, address]))?;
    let times = out.lines().filter_map(|l| l.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok());
    let times: Sample = times.map(|ms| ms * 1000.0).collect();
    Ok([times.median(), times.p99()])
}

/// Waits until a station answers.
pub(crate) fn answers(from: &Netns, address: &str) -> Result<()> {
    interrupt::wait_for("an answer to a ping", Duration::from_secs(10), || {
        finish(from.command("ping").args(["-c1", "-W1", address])).ok()
    })
    .map(drop)
}
