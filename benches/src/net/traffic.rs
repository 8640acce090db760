//! Traffic: as many small frames as the path takes, one TCP stream, round trips; and the CPU time that
//! the whole machine spends on it.
//!
//! Thread-safety: the generator runs on a thread of its own, which ends before the function returns.

use super::Cores;
use super::lab::{Folder, Netns};
use super::process::{Daemon, finish};
use crate::stats::Sample;
use crate::{Effort, interrupt};
use anyhow::{Context, Result, anyhow, ensure};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use vsw_port_os::generate::{Generator, Sink};
use vsw_wire::checksum::Sum;

/// Frames that the generator makes in one call: a third of a second's worth, so that the pause between
/// two calls does not count.
const BURST: u32 = 1 << 20;

/// One interface of a namespace: where traffic enters the path, or leaves it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    pub(crate) ns: &'a Netns,
    pub(crate) ifname: &'static str,
    /// Last byte of the address of the station there.
    pub(crate) station: u8,
}

/// What came through, a second at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Frames per second, in millions.
    pub(crate) median: f64,
    pub(crate) best: f64,
    /// Part of the offered frames that did not come through.
    pub(crate) loss: f64,
}

/// Offers 64-byte frames without end and counts what arrives.
pub(crate) fn saturate(from: End<'_>, to: End<'_>, cores: Cores, effort: Effort) -> Result<Rate> {
    let out = from.ns.ifindex(from.ifname)?;
    let back = to.ns.ifindex(to.ifname)?;
    let sink = to.ns.inside(|| Sink::attach(back))?.context("the sink")?;
    let generator = Generator::new(out, &frame(to.station, from.station)).context("the generator")?;
    let reverse = Generator::new(back, &frame(from.station, to.station))?;
    // Both stations make themselves known, and the path is seen to work.
    interrupt::wait_for("a frame to come through", Duration::from_secs(10), || {
        to.ns.inside(|| reverse.offer(8)).ok()?.ok()?;
        from.ns.inside(|| generator.offer(8)).ok()?.ok()?;
        std::thread::sleep(Duration::from_millis(50));
        sink.received().ok().filter(|n| *n > 0)
    })?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            from.ns.inside(|| {
                pin(cores.traffic)?;
                while !stop.load(Relaxed) {
                    generator.offer(BURST)?;
                }
                Ok::<(), anyhow::Error>(())
            })?
        });
        let rate = watch(&generator, &sink, effort);
        stop.store(true, Relaxed);
        work.join().map_err(|_| anyhow!("the generator broke"))??;
        rate
    })
}

/// Reads both counters once a second, after a second to warm up.
fn watch(generator: &Generator, sink: &Sink, effort: Effort) -> Result<Rate> {
    interrupt::sleep(Duration::from_secs(1))?;
    let read = || -> Result<_> { Ok((Instant::now(), generator.offered()?, sink.received()?)) };
    let first = read()?;
    let (mut last, mut seconds) = (first, Sample::default());
    for _ in 0..effort.seconds {
        interrupt::sleep(Duration::from_secs(1))?;
        let now = read()?;
        seconds.push((now.2 - last.2) as f64 / (now.0 - last.0).as_secs_f64() / 1e6);
        last = now;
    }
    let offered = (last.1 - first.1) as f64;
    ensure!(offered > 0.0, "the generator made nothing");
    let loss = 1.0 - (last.2 - first.2) as f64 / offered;
    Ok(Rate { median: seconds.median(), best: seconds.max(), loss })
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// 64 bytes with their FCS: UDP over IPv4.
fn frame(dst: u8, src: u8) -> [u8; 60] {
    let mut f = [0; 60];
    f[..12].copy_from_slice(&[2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src]);
    f[12..23].copy_from_slice(&[8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64]);
    f[23] = 17;
    f[26..34].copy_from_slice(&[10, 77, 0, src, 10, 77, 0, dst]);
    let mut sum = Sum::default();
    sum.add(&f[14..34]);
    f[24..26].copy_from_slice(&sum.finish().to_be_bytes());
    f[34..40].copy_from_slice(&[0x30, 0x39, 0x30, 0x39, 0, 26]); // UDP; no checksum
    f
}

/// One TCP stream: Gbit/s that arrived, and seconds of CPU time of the whole machine per gigabyte.
pub(crate) fn tcp(client: &Netns, server: &Netns, address: &str, effort: Effort) -> Result<[f64; 2]> {
    let dir = Folder::new("iperf3")?;
    let _server = Daemon::start("iperf3", server.command("iperf3").arg("-s"), dir.path())?;
    // One second that does not count, which also waits for the server.
    interrupt::wait_for("the iperf3 server", Duration::from_secs(10), || iperf3(client, address, 1).ok())?;
    let before = machine_cpu_seconds()?;
    let (bits_per_second, bytes) = iperf3(client, address, effort.seconds)?;
    let spent = machine_cpu_seconds()? - before;
    Ok([bits_per_second / 1e9, spent / (bytes / 1e9)])
}

fn iperf3(client: &Netns, address: &str, seconds: u32) -> Result<(f64, f64)> {
    let mut command = client.command("iperf3");
    let out = finish(command.args(["-J", "-c", address, "-t", &seconds.to_string()]))?;
    let json: serde_json::Value = serde_json::from_str(&out)?;
    let sum = |field: &str| json["end"]["sum_received"][field].as_f64().context("iperf3 tells no result");
    Ok((sum("bits_per_second")?, sum("bytes")?))
}

/// Seconds that all CPUs together have been busy: processes, kernel and interrupts (`/proc/stat`).
fn machine_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq
    let busy = [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<f64>();
    Ok(busy / rustix::param::clock_ticks_per_second() as f64)
}

/// Round trips, a hundred a second: median and 99th percentile in microseconds.
pub(crate) fn ping(from: &Netns, address: &str, effort: Effort) -> Result<[f64; 2]> {
    interrupt::wait_for("an answer to a ping", Duration::from_secs(10), || {
        finish(from.command("ping").args(["-c1", "-W1", address])).ok()
    })?;
    let count = (effort.seconds * 100).to_string();
    let out = finish(from.command("ping").args(["-n", "-i", "0.01", "-c", &count, address]))?;
    let times = out.lines().filter_map(|l| l.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok());
    let times: Sample = times.map(|ms| ms * 1000.0).collect();
    Ok([times.median(), times.p99()])
}
