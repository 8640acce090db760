//! The other steps of a frame's way through the switch, each alone.

use super::endless::Endless;
use super::fdb::{key, port, table};
use super::mac;
use crate::Effort;
use crate::report::Row;
use crate::timing::{cpu_ns, each, sample, sample_timed};
use anyhow::{Result, anyhow, ensure};
use arc_swap::{ArcSwap, Cache};
use std::hint::black_box;
use std::sync::Arc;
use vsw_config::{Config, Draft, DraftBridge, DraftPort};
use vsw_engine::{Published, offload};
use vsw_mem::{Batch, Csum, Frame, FrameCache, FramePool, Gso, GsoKind, Offload, PoolSize};
use vsw_port::{Io, PortCaps, PortQueue};
use vsw_switch::{Effects, FlowKey, Snapshot, decide};
use vsw_types::{Now, PortIdx};
use vsw_wire::checksum::Sum;

const NOW: Now = Now::from_secs(1);

/// TCP payload of a frame for segmentation offload, and of its cuts.
const GSO_PAYLOAD: usize = 65_160;
const MSS: u16 = 1448;

pub(crate) fn steps(effort: Effort) -> Result<Vec<Row>> {
    let pool = FramePool::leak(PoolSize { small: 4096, large: 64 })?;
    let n = effort.samples;
    let mut rows = Vec::new();

    let bytes = frame(1, 0, &[], 60);
    let extract = || each(0..1024, |_| FlowKey::extract(PortIdx(0), black_box(&bytes)));
    rows.push(Row::alone("key extraction", "ns", &sample(n, extract)));

    let snapshot = snapshot()?;
    let ingress = snapshot.ingress(PortIdx(0)).ok_or_else(|| anyhow!("no port"))?;
    let key = FlowKey::extract(PortIdx(0), &bytes).map_err(|e| anyhow!("{e:?}"))?;
    let decide = || each(0..1024, |_| decide(black_box(&key), &ingress, NOW, Effects::Allow));
    rows.push(Row::alone("decide, known pair", "ns", &sample(n, decide)));

    let shared = Arc::new(ArcSwap::from_pointee(Published::default()));
    let mut cache = Cache::new(shared);
    let load = || each(0..1024, |_| cache.load().epoch);
    rows.push(Row::alone("snapshot load", "ns", &sample(n, load)));

    let mut io = Io::new(pool);
    let mut queue: Box<dyn PortQueue> = black_box(Box::new(Endless::new(Vec::new())));
    let mut batch = Batch::new();
    let receive = || each(0..1024, |_| queue.recv(&mut batch, &mut io).is_ok());
    rows.push(Row::alone("recv call, nothing there", "ns", &sample(n, receive)));

    let payload = vec![0x5a_u8; 1500];
    let checksum = || {
        each(0..256, |_| {
            let mut sum = Sum::default();
            sum.add(black_box(&payload));
            sum.finish()
        })
    };
    rows.push(Row::alone("checksum of 1,500 bytes", "ns", &sample(n, checksum)));

    let cut = sample_timed(n, || cut(&mut io));
    rows.push(Row::alone("segmentation, 64 KiB into 45 frames", "ns", &cut));
    let (_, pieces) = cut_one(&mut io)?;
    ensure!(pieces == GSO_PAYLOAD.div_ceil(MSS as usize), "cut into {pieces} pieces");
    Ok(rows)
}

/// Two ports of one bridge; stations as [`table`] has them.
fn snapshot() -> Result<Snapshot> {
    let port = |name: &str| DraftPort { name: name.into(), ..Default::default() };
    let bridge = DraftBridge { name: "br0".into(), ports: vec![port("a"), port("b")], ..Default::default() };
    let config = Config::try_from(Draft { generation: 1, bridges: vec![bridge], ..Default::default() })
        .map_err(|e| anyhow!("{e:?}"))?;
    let fdb = Arc::new(table(2));
    ensure!(fdb.lookup(key(1)) == Some(self::port(1)), "station 1 is known");
    Ok(Snapshot::compile(&config, |n| Some(PortIdx((n.as_str() == "b").into())), |_| fdb.clone()))
}

/// The time of cutting a few frames, made before, and their number.
fn cut(io: &mut Io) -> (f64, usize) {
    let frames: Vec<_> = (0..16).filter_map(|_| gso_frame(&mut io.frames)).collect();
    let n = frames.len();
    let start = cpu_ns();
    for frame in frames {
        let _ =
            offload::finish(frame, PortCaps::NONE, io, &mut |piece, io| io.frames.recycle(black_box(piece)));
    }
    (cpu_ns() - start, n)
}

/// The same once, counted.
fn cut_one(io: &mut Io) -> Result<(usize, usize)> {
    let frame = gso_frame(&mut io.frames).ok_or_else(|| anyhow!("no buffer"))?;
    let (mut bytes, mut pieces) = (0, 0);
    offload::finish(frame, PortCaps::NONE, io, &mut |piece, io| {
        bytes += piece.len();
        pieces += 1;
        io.frames.recycle(piece);
    })
    .map_err(|e| anyhow!("{e:?}"))?;
    Ok((bytes, pieces))
}

fn gso_frame(frames: &mut FrameCache) -> Option<Frame> {
    let bytes = frame(1, 0, &[], 54 + GSO_PAYLOAD);
    let (head, tail) = bytes.split_at(vsw_mem::SMALL_DATA);
    let mut frame = frames.take()?;
    frame.fill(head).ok()?;
    let mut rest = frames.take_large()?;
    rest.fill(tail).ok()?;
    frame.append(rest).ok()?;
    frame.set_offload(Offload {
        csum: Csum::Partial { start: 34, offset: 16 },
        gso: Some(Gso { kind: GsoKind::Tcp4, size: MSS, hdr_len: 54, ecn: false }),
    });
    Some(frame)
}

/// A TCP segment over IPv4 of so many bytes in all, from station to station, with VLAN tags.
pub(crate) fn frame(dst: u32, src: u32, tags: &[u16], len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    bytes.extend(mac(dst));
    bytes.extend(mac(src));
    for vid in tags {
        bytes.extend([0x81, 0]);
        bytes.extend(vid.to_be_bytes());
    }
    bytes.extend([8, 0]);
    let ip_len = (len - bytes.len()) as u16;
    bytes.extend([0x45, 0]);
    bytes.extend(ip_len.to_be_bytes());
    bytes.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    bytes.extend([0x30, 0x39, 0x14, 0x51, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.resize(len, 0x5a);
    bytes
}
