//! A guest that does anything, in any order: what fuzzing drives.

use super::guest::{BASE, Guest, SIZE};
use crate::features::{MRG_RXBUF, VERSION_1};
use crate::queue::VhostQueue;
use crate::ring::{F_EVENT_IDX, F_INDIRECT_DESC, F_RING_PACKED};
use std::cell::RefCell;
use std::sync::Arc;
use vsw_mem::{Batch, FramePool, PoolSize};
use vsw_port::{Io, PortQueue};

/// Rings of that many descriptors.
const RING: u16 = 16;

thread_local! {
    static IO: RefCell<Io> = RefCell::new(Io::new(FramePool::leak(PoolSize { small: 256, large: 8 }).unwrap()));
}

/// The next bytes of the input, zeros behind its end.
fn next<const N: usize>(data: &mut &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    let n = data.len().min(N);
    bytes[..n].copy_from_slice(&data[..n]);
    *data = &data[n..];
    bytes
}

/// One input. Panics where something is wrong, with us.
#[allow(unreachable_pub)] // a fuzz target reaches it
pub fn rings(mut data: &[u8]) {
    let [bits] = next(&mut data);
    let all = [F_RING_PACKED, F_EVENT_IDX, F_INDIRECT_DESC, MRG_RXBUF];
    let chosen = all.iter().enumerate().filter(|(i, _)| bits >> i & 1 != 0).map(|(_, bit)| bit);
    let features = VERSION_1 | chosen.sum::<u64>();
    let mut guest = Guest::new(features, RING);
    let mut queue = VhostQueue::new(Arc::clone(&guest.shared), 0);
    let mut held = Batch::new();
    IO.with_borrow_mut(|io| {
        for _ in 0..256 {
            if data.is_empty() {
                break;
            }
            step(&mut data, &mut guest, &mut queue, &mut held, io);
        }
        held.drain(..).for_each(|f| io.frames.recycle(f));
        queue.flush(io);
        guest.shared.disconnect();
        io.take_tally();
    });
}

fn step(data: &mut &[u8], guest: &mut Guest, queue: &mut VhostQueue, held: &mut Batch, io: &mut Io) {
    let [op, which] = next(data);
    let area = if which & 0x80 == 0 { 0x2_0000 } else { 0x1000 };
    match op % 8 {
        // A descriptor, in the table or an indirect one, whose address is nearly right.
        0 | 1 => {
            let [a, b, c, d, e, f, g, h] = next(data);
            let mut bytes = [a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0];
            let addr = BASE + u64::from(u32::from_le_bytes([a, b, c, 0])) % (SIZE as u64 + 64);
            bytes[..8].copy_from_slice(&addr.to_le_bytes());
            bytes[8..].copy_from_slice(&[d, e, 0, 0, f, g & 0x80 | g & 7, h & 0x1f, h & 0x80]);
            let table = if op & 8 == 0 { area } else { 0x3_0000 };
            guest.write(BASE + table + 16 * u64::from(which % 32), &bytes);
        }
        2 if which & 0x80 == 0 => guest.tx.offer(u16::from(which % 20)),
        2 => guest.rx.offer(u16::from(which % 20)),
        3 => {
            held.drain(..).for_each(|f| io.frames.recycle(f));
            queue.recv(held, io).unwrap();
            held.iter().for_each(|f| assert!(f.len() <= vsw_mem::MAX_FRAME && f.bytes().len() <= f.len()));
        }
        4 => {
            queue.send(held, io).unwrap();
            queue.flush(io);
        }
        5 => {
            let value: [u8; 8] = next(data);
            guest.write(BASE + area + 0x8000 + 8 * u64::from(which % 64), &value);
        }
        6 => _ = queue.arm(),
        _ => {
            let ring = usize::from(which & 1);
            let base = guest.shared.stop(ring).unwrap_or(u32::from_le_bytes(next(data)));
            let setup = if ring == 0 { guest.rx.setup(base) } else { guest.tx.setup(base) };
            let _ = guest.shared.start(ring, setup, None);
        }
    }
}

#[cfg(test)]
#[test]
fn inputs_of_all_kinds_end() {
    let mut seed = 1u64;
    for len in 0..400 {
        let input: Vec<u8> = (0..len * 2)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            })
            .collect();
        rings(&input);
    }
}
