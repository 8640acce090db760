//! Cutting a frame that stands for many, as a NIC would: TCP segmentation (TSO) and UDP datagrams (USO).
//!
//! Every cut has the headers of the whole, with lengths, IPv4 identification, TCP sequence number, flags
//! and checksums made its own. As `net/ipv4/tcp_offload.c` and `udp_offload.c` do it: the identification
//! counts up, FIN and PSH belong to the last cut, CWR to the first.

use super::agree;
use vsw_mem::{Csum, Frame, Gso, Offload, SMALL_DATA};
use vsw_port::Io;
use vsw_types::DropReason;
use vsw_wire::checksum::Sum;
use vsw_wire::l4::{self, Headers, Ip, Protocol};
use vsw_wire::{put_u16, u16_at};

/// Pieces of one frame, at most: 16 bytes each for the longest. A TCP maximum segment size is 48 at the very
/// least (`net.ipv4.tcp_min_snd_mss`); what asks for more wants to keep a worker busy.
const MOST: usize = 4096;

const FIN_PSH: u8 = 0x01 | 0x08;
const CWR: u8 = 0x80;

/// Cuts a frame and emits the pieces in order, each in one buffer. With `device_sums` their checksums are
/// left to the device.
pub(super) fn segment(
    frame: &Frame,
    gso: Gso,
    (start, offset): (u16, u16),
    device_sums: bool,
    io: &mut Io,
    emit: &mut impl FnMut(Frame, &mut Io),
) -> Result<(), DropReason> {
    let whole = frame.bytes();
    let h = l4::find(whole).filter(|h| agree(h, gso, start, offset)).ok_or(DropReason::BadOffload)?;
    let header = &whole[..h.payload];
    let payload = frame.len() - h.payload;
    if payload == 0 || gso.size == 0 || payload.div_ceil(gso.size as usize) > MOST {
        return Err(DropReason::BadOffload);
    }
    let whole_l4 = (frame.len() - h.l4) as u16;
    let mut cursor = Cursor::new(frame.segments(), h.payload);
    let mut done = 0;
    for index in 0.. {
        let len = payload.min(done + gso.size as usize) - done;
        let size = header.len() + len;
        let piece = if size <= SMALL_DATA { io.frames.take() } else { io.frames.take_large() };
        let mut piece = piece.ok_or(DropReason::NoFrame)?;
        let room = piece.room_mut();
        if size > room.len() {
            io.frames.recycle(piece);
            return Err(DropReason::TooBig);
        }
        room[..header.len()].copy_from_slice(header);
        cursor.copy(&mut room[header.len()..size]);
        piece.set_len(size);
        let last = done + len == payload;
        rewrite(piece.bytes_mut(), &h, Cut { index, done: done as u32, last });
        sum(&mut piece, &h, whole_l4, (start, offset), device_sums);
        emit(piece, io);
        done += len;
        if last {
            break;
        }
    }
    Ok(())
}

/// Which piece it is.
struct Cut {
    index: u16,
    /// Payload bytes before it.
    done: u32,
    last: bool,
}

/// Makes a copy of the headers those of one piece, checksum of L4 excepted.
fn rewrite(piece: &mut [u8], h: &Headers, cut: Cut) {
    let len = piece.len();
    match h.ip {
        Ip::V4 => {
            put_u16(piece, h.l3 + 2, (len - h.l3) as u16);
            let id = u16_at(piece, h.l3 + 4).unwrap_or(0);
            put_u16(piece, h.l3 + 4, id.wrapping_add(cut.index));
            put_u16(piece, h.l3 + 10, 0);
            let mut sum = Sum::default();
            sum.add(&piece[h.l3..h.l4]);
            put_u16(piece, h.l3 + 10, sum.finish());
        }
        Ip::V6 => put_u16(piece, h.l3 + 4, (len - h.l3 - 40) as u16),
    }
    match h.protocol {
        Protocol::Udp => put_u16(piece, h.l4 + 4, (len - h.l4) as u16),
        Protocol::Tcp => {
            let at = h.l4 + 4;
            let sequence = u32::from_be_bytes([piece[at], piece[at + 1], piece[at + 2], piece[at + 3]]);
            piece[at..at + 4].copy_from_slice(&sequence.wrapping_add(cut.done).to_be_bytes());
            let flags = &mut piece[h.l4 + 13];
            if !cut.last {
                *flags &= !FIN_PSH;
            }
            if cut.index > 0 {
                *flags &= !CWR;
            }
        }
    }
}

/// The L4 checksum: the pseudo-header's share where the device does the rest, else all of it.
fn sum(piece: &mut Frame, h: &Headers, whole: u16, (start, offset): (u16, u16), device_sums: bool) {
    let bytes = piece.bytes_mut();
    let field = h.l4 + h.protocol.checksum_offset();
    // The field holds the sum of the whole's pseudo-header, in which only the length changes (RFC 1624). Not
    // built anew: behind a routing header its destination is not that of IP (RFC 8200, 8.1).
    let mut sum = Sum::new(u16_at(bytes, field).unwrap_or(0));
    sum.add_u16(!whole);
    sum.add_u16((bytes.len() - h.l4) as u16);
    if device_sums {
        put_u16(bytes, field, sum.folded());
        piece.set_offload(Offload { csum: Csum::Partial { start, offset }, gso: None });
        return;
    }
    put_u16(bytes, field, 0);
    sum.add(&bytes[h.l4..]);
    let value = match sum.finish() {
        0 if h.protocol == Protocol::Udp => 0xffff,
        sum => sum,
    };
    put_u16(bytes, field, value);
}

/// Reads a chain from front to back.
struct Cursor<'a, I> {
    segments: I,
    /// What is left of the present one.
    left: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Cursor<'a, I> {
    /// Behind the first `skip` bytes.
    fn new(mut segments: I, mut skip: usize) -> Self {
        loop {
            let Some(left) = segments.next() else { return Self { segments, left: &[] } };
            match left.get(skip..) {
                Some(left) => return Self { segments, left },
                None => skip -= left.len(),
            }
        }
    }

    /// Fills `to` with what comes next.
    fn copy(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            if self.left.is_empty() {
                let Some(next) = self.segments.next() else { return };
                self.left = next;
                continue;
            }
            let n = self.left.len().min(to.len());
            to[..n].copy_from_slice(&self.left[..n]);
            to = &mut to[n..];
            self.left = &self.left[n..];
        }
    }
}
