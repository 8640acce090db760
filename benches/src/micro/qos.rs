//! What shaping costs, in memory: a shaped port beside others, and a thousand of them on one worker.
//!
//! Costs are taken with a clock that is counted on, a pass at a time, so that just what is measured happens;
//! rates with time as it is.

use super::endless::{Addresses, Endless};
use super::flood::Paced;
use super::mac;
use super::rig::{LIMIT, check, endless, flows, pool, worker_with};
use crate::report::Row;
use crate::stats::Sample;
use crate::timing::{each, sample};
use crate::{Effort, interrupt};
use anyhow::Result;
use rustix::event::{EventfdFlags, eventfd};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};
use vsw_config::{DraftPortQos, DraftProfile, DraftShaper};
use vsw_engine::{Engine, Worker};
use vsw_mem::{Batch, FramePool, PoolSize};
use vsw_port::{Io, PortError, PortQueue};
use vsw_switch::FdbKey;
use vsw_types::{MacAddr, Now, PortIdx, VlanId};

const PORTS: usize = 1_000;
/// Of each of them: bits a second.
const RATE: u64 = 500_000;
/// Bits of a frame of the rig.
const FRAME: f64 = 480.0;
/// What is offered, of the rates: where costs are taken, and in time as it is, where some of it gets lost
/// whenever somebody else has the processor.
const OFFERED: f64 = 1.05;
const PLENTY: f64 = 1.5;

/// Takes what it is sent, has nothing to say, and sleeps as an idle port does.
struct Quiet {
    frames: Endless,
    never: OwnedFd,
}

impl Quiet {
    fn boxed() -> Result<Box<dyn PortQueue>> {
        let never = eventfd(0, EventfdFlags::CLOEXEC)?;
        Ok(Box::new(Self { frames: Endless::new(Vec::new()), never }))
    }
}

impl PortQueue for Quiet {
    fn recv(&mut self, _: &mut Batch, _: &mut Io) -> Result<(), PortError> {
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        self.frames.send(from, io)
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        Some(self.never.as_fd())
    }
}

fn shaped(max: u64) -> DraftPortQos {
    let sent_to = DraftShaper { max: Some(max), ..Default::default() };
    let own = DraftProfile { sent_to: Some(sent_to), ..Default::default() };
    DraftPortQos { own: Some(own), ..Default::default() }
}

/// `pass`, and the same while a third port is shaped and silent. In turn, since the goal is a small difference.
pub(crate) fn qos_pass(effort: Effort) -> Result<Vec<Row>> {
    const TURNS: usize = 5;
    let pool = pool()?;
    let [mut without, mut with, mut ratio] = [(); 3].map(|()| Sample::default());
    for _ in 0..TURNS {
        let plain = pass_beside(DraftPortQos::default(), pool, effort)?.min();
        let beside = pass_beside(shaped(RATE), pool, effort)?.min();
        without.push(plain);
        with.push(beside);
        ratio.push(plain / beside);
    }
    let row = Row::alone("pass, 1 pair, beside a shaped port", "ns/frame", &with);
    Ok(vec![row.beside("beside an unshaped port", &without, &ratio).goal_ratio(0.97)])
}

fn pass_beside(third: DraftPortQos, pool: &'static FramePool, effort: Effort) -> Result<Sample> {
    let mut ports: Vec<_> = flows(2, 0).into_iter().map(endless).collect();
    ports.push(Quiet::boxed()?);
    let qos = |i| if i == 2 { third.clone() } else { DraftPortQos::default() };
    let (engine, mut worker, _) = worker_with(ports, LIMIT, pool, qos)?;
    let start = Instant::now();
    let mut go = || worker.pass(Now(start.elapsed().as_nanos() as u64));
    each(0..64, |_| go());
    let sample = sample(effort.samples, || (0..256).map(|_| go()).sum());
    [0, 1].iter().for_each(|port| drop(worker.detach(PortIdx(*port))));
    check(&engine, 2)?;
    Ok(sample)
}

/// A thousand shaped ports that all get a little more than their rate.
pub(crate) fn qos_ports(effort: Effort) -> Result<Vec<Row>> {
    // What `vswd` has.
    let pool = FramePool::leak(PoolSize::default())?;
    let mut worst = Sample::default();
    for _ in 0..effort.rounds {
        interrupt::check()?;
        worst.push(rates(pool)?);
    }
    let [plain, cost] = [DraftPortQos::default(), shaped(RATE)].map(|qos| cost(qos, pool, effort));
    Ok(vec![
        Row::alone("1,000 ports shaped to 500 kbit/s on one worker", "% off, worst", &worst).goal_below(5.0),
        Row::alone("a frame to one of 1,000 shaped ports", "ns/frame", &cost?)
            .beside_cost("1,000 unshaped ports", &plain?),
    ])
}

/// Port 0 sends to stations behind the others, one after the other.
fn many(
    source: impl FnOnce(Vec<Addresses>) -> Box<dyn PortQueue>,
    qos: DraftPortQos,
    pool: &'static FramePool,
) -> Result<(Engine, Worker)> {
    let flow = |i: u32| {
        let mut both = [0; 12];
        both[..6].copy_from_slice(&mac(i));
        both[6..].copy_from_slice(&mac(0));
        both
    };
    let mut ports = vec![source((1..=PORTS as u32).map(flow).collect())];
    for _ in 0..PORTS {
        ports.push(Quiet::boxed()?);
    }
    let qos = |i| if i > 0 { qos.clone() } else { DraftPortQos::default() };
    let (engine, worker, fdb) = worker_with(ports, LIMIT, pool, qos)?;
    let vlan = VlanId::new(10)?;
    for i in 1..=PORTS as u16 {
        fdb.learn(FdbKey::new(vlan, MacAddr(mac(i.into()))), PortIdx(i), LIMIT, Now(1));
    }
    Ok((engine, worker))
}

/// How far the worst of the ports is off, in percent.
fn rates(pool: &'static FramePool) -> Result<f64> {
    let per_second = PORTS as f64 * RATE as f64 / FRAME * PLENTY;
    let (engine, mut worker) = many(|flows| Paced::boxed(flows, per_second, None), shaped(RATE), pool)?;
    let start = Instant::now();
    let mut go = |time: Duration| {
        let until = start.elapsed() + time;
        while start.elapsed() < until {
            worker.pass(Now(start.elapsed().as_nanos() as u64));
        }
        let bytes = |i: usize| engine.counters(PortIdx(i as u16)).tx_bytes();
        (start.elapsed(), (1..=PORTS).map(bytes).collect::<Vec<_>>())
    };
    let before = go(Duration::from_millis(500));
    let after = go(Duration::from_millis(1500));
    let seconds = (after.0 - before.0).as_secs_f64();
    let got = |(b, a): (&u64, &u64)| (a - b) as f64 * 8.0 / seconds / RATE as f64;
    let got: Sample = before.1.iter().zip(&after.1).map(got).collect();
    let [least, most] = [got.min(), got.max()].map(|part| part * 100.0 - 100.0);
    eprintln!("  1,000 shaped ports: {least:+.2} % to {most:+.2} %");
    Ok(least.abs().max(most.abs()))
}

/// A frame that comes in at one port and leaves by one of the thousand.
fn cost(qos: DraftPortQos, pool: &'static FramePool, effort: Effort) -> Result<Sample> {
    let (_engine, mut worker) = many(endless, qos, pool)?;
    let step = vsw_mem::BATCH as f64 * FRAME / (PORTS as f64 * RATE as f64 * OFFERED) * 1e9;
    let mut now = 1;
    let mut go = || {
        now += step as u64;
        worker.pass(Now(now))
    };
    // Until queues are as they stay.
    each(0..20_000, |_| go());
    Ok(sample(effort.samples, || (0..256).map(|_| go()).sum()))
}
