//! The XDP programs of the generator and the sink.
//!
//! Only one thread runs the generator's, so it counts plainly; the sink's may run on several CPUs at once.

use super::frame::{Lengths, Stream};
use crate::bpf::Insn;
use crate::bpf::asm::{Asm, If, Label, Reg, Width};
use crate::bpf::maps::Shared;

/// How far behind its rate a stream may be and still make up for it: nanoseconds.
pub const BACKLOG_NS: i32 = 50_000;

// The generator's cells.
pub(super) const FRAMES: usize = 0;
const DUE: usize = 1;
const STATION: usize = 2;
pub(super) const FIRST: usize = 3;
pub(super) const LAST: usize = 4;
pub(super) const CELLS: usize = 5;

// The sink's cells: a count, and how many frames took how many steps.
pub(super) const STEP_BITS: i32 = 8;
pub(super) const STEPS: usize = 16_384;

const XDP_DROP: i32 = 1;
// enum bpf_func_id
const KTIME_GET_NS: i32 = 5;
const REDIRECT: i32 = 23;
const XDP_ADJUST_TAIL: i32 = 65;
// struct xdp_md
const DATA: i16 = 0;
const DATA_END: i16 = 4;

const CTX: Reg = 6;
const STATE: Reg = 7;
const NOW: Reg = 8;
const COUNT: Reg = 9;
const FRAME: Reg = 3;

const fn cell(index: usize) -> i16 {
    8 * index as i16
}

pub(super) fn generator(ifindex: u32, stream: &Stream, state: &Shared) -> Vec<Insn> {
    let mut p = Asm::default();
    let (drop, send) = (p.label(), p.label());
    p.copy(CTX, 1);
    p.shared(STATE, state);
    p.call(KTIME_GET_NS);
    p.copy(NOW, 0);
    if let Some(rate) = stream.rate {
        wait_until_due(&mut p, rate, drop);
    }
    count(&mut p);
    sizes(&mut p, stream, send, drop);
    p.place(send);
    addresses(&mut p, stream.pairs);
    if stream.rate.is_some() {
        p.store(Width::U64, FRAME, 42 + stream.shift() as i16, NOW);
    }
    p.set(1, ifindex as i32);
    p.set(2, 0);
    p.call(REDIRECT);
    p.exit();
    p.place(drop);
    p.set(0, XDP_DROP);
    p.exit();
    p.finish()
}

/// Gives up unless a frame is due, and says when the next one is.
fn wait_until_due(p: &mut Asm, rate: u64, drop: Label) {
    let on_time = p.label();
    p.load(Width::U64, 1, STATE, cell(DUE));
    p.jump_if_reg(NOW, If::Less, 1, drop);
    p.copy(2, NOW);
    p.add(2, -BACKLOG_NS);
    p.jump_if_reg(1, If::Greater, 2, on_time);
    p.copy(1, 2);
    p.place(on_time);
    p.add(1, (1_000_000_000 / rate) as i32);
    p.store(Width::U64, STATE, cell(DUE), 1);
}

/// One frame more, now.
fn count(p: &mut Asm) {
    let not_first = p.label();
    p.load(Width::U64, 1, STATE, cell(FIRST));
    p.jump_if(1, If::Greater, 0, not_first);
    p.store(Width::U64, STATE, cell(FIRST), NOW);
    p.place(not_first);
    p.store(Width::U64, STATE, cell(LAST), NOW);
    p.load(Width::U64, COUNT, STATE, cell(FRAMES));
    p.add(COUNT, 1);
    p.store(Width::U64, STATE, cell(FRAMES), COUNT);
}

/// Cuts the frame to the size whose turn it is, and has `FRAME` point to it.
fn sizes(p: &mut Asm, stream: &Stream, send: Label, drop: Label) {
    let (longest, shift) = (stream.longest(), stream.shift());
    if stream.sizes.len() > 1 {
        p.modulo(COUNT, stream.sizes.len() as i32);
    }
    for (turn, size) in stream.sizes.iter().enumerate() {
        let next = p.label();
        if turn + 1 < stream.sizes.len() {
            let this = p.label();
            p.jump_if(COUNT, If::Equal, turn as i32, this);
            p.jump(next);
            p.place(this);
        }
        if *size < longest {
            p.copy(1, CTX);
            p.set(2, i32::from(*size) - i32::from(longest));
            p.call(XDP_ADJUST_TAIL);
            p.jump_if(0, If::Greater, 0, drop);
        }
        point_to_frame(p, *size, drop);
        if stream.sizes.len() > 1 {
            let lengths = Lengths::of(*size as usize - shift);
            for (at, value) in [(16, lengths.ip), (24, lengths.ip_checksum), (38, lengths.udp)] {
                p.store_number(Width::U16, FRAME, at + shift as i16, value.to_be().into());
            }
        }
        p.jump(send);
        p.place(next);
    }
}

/// `FRAME` points to the frame, `len` bytes of which may be read and written.
fn point_to_frame(p: &mut Asm, len: u16, otherwise: Label) {
    p.load(Width::U32, FRAME, CTX, DATA);
    p.load(Width::U32, 4, CTX, DATA_END);
    p.copy(5, FRAME);
    // What is written is in the first 60.
    p.add(5, len.min(60).into());
    p.jump_if_reg(5, If::Greater, 4, otherwise);
}

/// Writes the number of the pair whose turn it is into both addresses.
fn addresses(p: &mut Asm, pairs: u32) {
    if pairs == 1 {
        return;
    }
    let not_last = p.label();
    p.load(Width::U64, 1, STATE, cell(STATION));
    p.copy(2, 1);
    p.add(2, 1);
    p.jump_if(2, If::Less, pairs as i32, not_last);
    p.set(2, 0);
    p.place(not_last);
    p.store(Width::U64, STATE, cell(STATION), 2);
    p.to_be32(1);
    p.store(Width::U32, FRAME, 2, 1);
    p.store(Width::U32, FRAME, 8, 1);
}

pub(super) fn sink(counts: &Shared) -> Vec<Insn> {
    let mut p = Asm::default();
    let (count, fits) = (p.label(), p.label());
    p.copy(CTX, 1);
    p.shared(STATE, counts);
    // Frames without a tag only; where there is one, or no time, the first 8 of these bytes are too far away
    // from now to be a time.
    point_to_frame(&mut p, 50, count);
    p.load(Width::U64, COUNT, FRAME, 42);
    p.jump_if(COUNT, If::Equal, 0, count);
    p.call(KTIME_GET_NS);
    p.sub_reg(0, COUNT);
    p.shift_right(0, STEP_BITS);
    p.jump_if(0, If::AtMost, STEPS as i32 - 1, fits);
    p.set(0, STEPS as i32 - 1);
    p.place(fits);
    p.shift_left(0, 3);
    p.copy(1, STATE);
    p.add_reg(1, 0);
    p.set(2, 1);
    p.atomic_add(1, cell(1), 2);
    p.place(count);
    p.set(2, 1);
    p.atomic_add(STATE, 0, 2);
    p.set(0, XDP_DROP);
    p.exit();
    p.finish()
}
