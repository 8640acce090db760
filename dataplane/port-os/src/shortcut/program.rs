//! The front of a program: hands on what it may, and leaves everything else to what follows.
//!
//! Handed on is a whole untagged unicast frame whose source is known at this very seat, and whose destination
//! is known at another one of the same domain that takes frames of this length. A source that is known
//! elsewhere has moved: it is forgotten, and whoever gets the frame learns it anew.

use super::{CLOCK, RULES, SEATS, Seat};
use crate::bpf::asm::{Asm, If, Label, Reg, Width};

// enum bpf_func_id
const MAP_LOOKUP: i32 = 1;
const MAP_DELETE: i32 = 3;
const REDIRECT_MAP: i32 = 51;
const XDP_GET_BUFF_LEN: i32 = 188;
// struct xdp_md
const DATA: i16 = 0;
const DATA_END: i16 = 4;
/// Which is also what `bpf_redirect_map` returns when the map has the entry.
const XDP_REDIRECT: i32 = 4;

const TCP: i32 = 6;
const UDP: i32 = 17;

// Kept over calls.
const CTX: Reg = 6;
const LEN: Reg = 7;
/// Domain << 48.
const DOMAIN: Reg = 8;
/// The seat that the frame leaves by.
const OUT: Reg = 9;
const STACK: Reg = 10;
/// Where the frame begins and ends; lost in calls.
const FRAME: Reg = 1;
const END: Reg = 2;

// On the stack.
const KEY: i16 = -8;
const ROW: i16 = -16;

/// A 16-bit number as a load from a frame brings it.
fn net16(n: u16) -> i32 {
    n.to_be().into()
}

impl Seat {
    /// Begins a program. What follows finds the context in the returned register. `parts`: it is loaded as one
    /// that takes frames in parts. `unfinished`: frames with unfinished TCP or UDP checksums come in, which are
    /// left to what follows.
    pub fn prologue(&self, p: &mut Asm, parts: bool, unfinished: bool) -> Reg {
        let slow = p.label();
        p.copy(CTX, 1);
        self.own_rule(p, slow);
        whole_frame(p, parts, slow);
        self.source(p, slow);
        self.destination(p, slow);
        if unfinished {
            finished_checksum(p, slow);
        }
        p.copy(2, OUT);
        p.map(1, &self.board.ways);
        p.set(3, 0);
        p.call(REDIRECT_MAP);
        p.jump_if(0, If::NotEqual, XDP_REDIRECT, slow);
        self.count(p);
        p.set(0, XDP_REDIRECT);
        p.exit();
        p.place(slow);
        CTX
    }

    /// `DOMAIN`, if there is a rule.
    fn own_rule(&self, p: &mut Asm, slow: Label) {
        p.shared(1, &self.board.shared);
        p.load(Width::U64, DOMAIN, 1, 8 * (RULES as i16 + self.number as i16));
        p.shift_right(DOMAIN, 48);
        p.jump_if(DOMAIN, If::Equal, 0, slow);
        p.shift_left(DOMAIN, 48);
    }

    /// Known at this seat: notes that it was heard.
    fn source(&self, p: &mut Asm, slow: Label) {
        let (here, heard) = (p.label(), p.label());
        headers(p, 14, slow);
        // IEEE 802.1Q tags: what is done with those the switch knows.
        p.load(Width::U16, 4, FRAME, 12);
        p.jump_if(4, If::Equal, net16(0x8100), slow);
        p.jump_if(4, If::Equal, net16(0x88a8), slow);
        for address in [0, 6] {
            p.load(Width::U8, 4, FRAME, address);
            p.jump_if(4, If::Shares, 1, slow); // to or from a group
        }
        station(p, 6);
        p.jump_if(3, If::Equal, 0, slow);
        self.look_up(p, slow);
        p.load(Width::U32, 1, 0, 0);
        p.jump_if(1, If::Equal, self.number as i32, here);
        p.copy(2, STACK);
        p.add(2, KEY.into());
        p.map(1, &self.board.stations);
        p.call(MAP_DELETE);
        p.jump(slow);
        p.place(here);
        p.shared(1, &self.board.shared);
        p.load(Width::U32, 1, 1, clock());
        p.load(Width::U32, 2, 0, 4);
        p.jump_if_reg(1, If::Equal, 2, heard);
        p.store(Width::U32, 0, 4, 1);
        p.place(heard);
    }

    /// `OUT`, if the frame may go there.
    fn destination(&self, p: &mut Asm, slow: Label) {
        headers(p, 14, slow);
        station(p, 0);
        self.look_up(p, slow);
        p.load(Width::U32, OUT, 0, 0);
        p.jump_if(OUT, If::Equal, self.number as i32, slow);
        p.jump_if(OUT, If::Greater, SEATS as i32 - 1, slow);
        p.copy(2, OUT);
        p.shift_left(2, 3);
        p.shared(1, &self.board.shared);
        p.add_reg(1, 2);
        p.load(Width::U64, 1, 1, 8 * RULES as i16);
        p.copy_low(3, 1);
        p.jump_if_reg(LEN, If::Greater, 3, slow);
        p.shift_right(1, 48);
        p.shift_left(1, 48);
        p.jump_if_reg(1, If::NotEqual, DOMAIN, slow);
    }

    /// R0 = the value of the station at `KEY`.
    fn look_up(&self, p: &mut Asm, slow: Label) {
        p.copy(2, STACK);
        p.add(2, KEY.into());
        p.map(1, &self.board.stations);
        p.call(MAP_LOOKUP);
        p.jump_if(0, If::Equal, 0, slow);
    }

    /// One frame in here, one out there. The rows are this CPU's own.
    fn count(&self, p: &mut Asm) {
        for (seat, packets, bytes) in [(None, 0, 8), (Some(OUT), 16, 24)] {
            let none = p.label();
            match seat {
                None => p.store_number(Width::U32, STACK, ROW, self.number as i32),
                Some(seat) => p.store(Width::U32, STACK, ROW, seat),
            }
            p.copy(2, STACK);
            p.add(2, ROW.into());
            p.map(1, &self.board.counts);
            p.call(MAP_LOOKUP);
            p.jump_if(0, If::Equal, 0, none);
            p.load(Width::U64, 1, 0, packets);
            p.add(1, 1);
            p.store(Width::U64, 0, packets, 1);
            p.load(Width::U64, 1, 0, bytes);
            p.add_reg(1, LEN);
            p.store(Width::U64, 0, bytes, 1);
            p.place(none);
        }
    }
}

/// Where the clock is, whose lower half is read.
fn clock() -> i16 {
    8 * CLOCK as i16 + if cfg!(target_endian = "big") { 4 } else { 0 }
}

/// `LEN`, if all of the frame is in one piece.
fn whole_frame(p: &mut Asm, parts: bool, slow: Label) {
    if parts {
        p.copy(1, CTX);
        p.call(XDP_GET_BUFF_LEN);
    }
    p.load(Width::U32, FRAME, CTX, DATA);
    p.load(Width::U32, LEN, CTX, DATA_END);
    p.sub_reg(LEN, FRAME);
    if parts {
        p.jump_if_reg(0, If::NotEqual, LEN, slow);
    }
}

/// `FRAME`, of which `len` bytes may be read, and `END`.
fn headers(p: &mut Asm, len: i32, slow: Label) {
    p.load(Width::U32, FRAME, CTX, DATA);
    p.load(Width::U32, END, CTX, DATA_END);
    fits(p, len, slow);
}

fn fits(p: &mut Asm, len: i32, slow: Label) {
    p.copy(3, FRAME);
    p.add(3, len);
    p.jump_if_reg(3, If::Greater, END, slow);
}

/// R3 = the address at `at`; `KEY` = that in `DOMAIN`.
fn station(p: &mut Asm, at: i16) {
    p.load(Width::U64, 3, FRAME, at);
    p.to_be64(3);
    p.shift_right(3, 16);
    p.copy(4, 3);
    p.or_reg(4, DOMAIN);
    p.store(Width::U64, STACK, KEY, 4);
}

/// A TCP or UDP checksum that is the sum of the pseudo-header, and no more, is unfinished (so the sender's
/// kernel left it; or, one in 65,536, that is its value). So may be the checksums of what is not looked at
/// here: IPv4 with options, fragments.
fn finished_checksum(p: &mut Asm, slow: Label) {
    let (v4, v6, compare, finished) = (p.label(), p.label(), p.label(), p.label());
    headers(p, 14, slow);
    p.load(Width::U16, 4, FRAME, 12);
    p.jump_if(4, If::Equal, net16(0x0800), v4);
    p.jump_if(4, If::Equal, net16(0x86dd), v6);
    p.jump(finished);

    // R4: the sum, as 16-bit words in memory order (RFC 1071, 2 B). R5: the protocol.
    p.place(v4);
    fits(p, 34, slow);
    p.load(Width::U8, 4, FRAME, 14);
    p.jump_if(4, If::NotEqual, 0x45, slow);
    p.load(Width::U16, 4, FRAME, 20);
    p.jump_if(4, If::Shares, net16(0x3fff), slow);
    p.load(Width::U8, 5, FRAME, 23);
    p.load(Width::U16, 4, FRAME, 16);
    p.to_be16(4);
    p.add(4, -20);
    p.to_be16(4);
    field(p, 34, [26, 30], compare, finished, slow);

    p.place(v6);
    fits(p, 54, slow);
    p.load(Width::U8, 4, FRAME, 14);
    p.and(4, 0xf0);
    p.jump_if(4, If::NotEqual, 0x60, slow);
    p.load(Width::U8, 5, FRAME, 20);
    p.load(Width::U16, 4, FRAME, 18);
    field(p, 54, [22, 26, 30, 34, 38, 42, 46, 50], compare, finished, slow);

    p.place(compare);
    for _ in 0..3 {
        p.copy(3, 4);
        p.shift_right(3, 16);
        p.and(4, 0xffff);
        p.add_reg(4, 3);
    }
    p.jump_if_reg(0, If::Equal, 4, slow);
    p.place(finished);
}

/// Adds the words of the addresses and the protocol to R4; R0 = the checksum, if there is one.
fn field<const N: usize>(
    p: &mut Asm,
    l4: i16,
    addresses: [i16; N],
    compare: Label,
    finished: Label,
    slow: Label,
) {
    let (tcp, udp) = (p.label(), p.label());
    for at in addresses {
        p.load(Width::U32, 3, FRAME, at);
        p.add_reg(4, 3);
    }
    p.copy(3, 5);
    p.to_be16(3);
    p.add_reg(4, 3);
    p.jump_if(5, If::Equal, TCP, tcp);
    p.jump_if(5, If::Equal, UDP, udp);
    p.jump(finished);
    for (here, header, at) in [(tcp, 20, 16), (udp, 8, 6)] {
        p.place(here);
        fits(p, i32::from(l4) + header, slow);
        p.load(Width::U16, 0, FRAME, l4 + at);
        p.jump(compare);
    }
}
