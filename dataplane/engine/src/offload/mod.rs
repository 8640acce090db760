//! Software for what an egress device cannot do: finishing checksums, cutting large frames, joining
//! chains. Late, at the port that lacks it, and once.
//!
//! What the metadata claims is checked against the packet's own headers here, where it is relied on: a
//! contradiction is [`DropReason::BadOffload`]. A slow twin of all of this, written with another parser,
//! is in `tests/`; both must agree bit for bit. Runs on workers: no allocation, every loop bounded by the
//! length of a frame.

mod segment;

use vsw_mem::{Csum, Frame, FrameCache, Gso, GsoKind, LARGE, Offload, SMALL_DATA};
use vsw_port::{Io, PortCaps};
use vsw_qos::Size;
use vsw_switch::FlowKey;
use vsw_types::DropReason;
use vsw_wire::checksum::Sum;
use vsw_wire::{eth, l4, put_u16, u16_at, vlan};

/// Whether a device takes the frame as it is.
#[inline]
pub fn can(caps: PortCaps, frame: &Frame) -> bool {
    if frame.is_plain() {
        return true;
    }
    let offload = frame.offload();
    let whole = match (offload.gso, offload.csum) {
        (Some(gso), _) => cuts(caps, gso),
        (None, Csum::Partial { .. }) => caps.csum,
        _ => true,
    };
    whole && (caps.chains || !frame.is_chain())
}

fn cuts(caps: PortCaps, gso: Gso) -> bool {
    match gso.kind {
        GsoKind::Tcp4 => caps.tso4,
        GsoKind::Tcp6 => caps.tso6,
        GsoKind::Udp => caps.uso,
    }
}

/// Does to the frame what a device with these capabilities cannot, and emits what comes of it: one frame
/// or many. Takes the frame in any case.
///
/// # Errors
/// Why the frame (or the rest of it) came to nothing; it is not counted yet. What was emitted before
/// stays emitted.
pub fn finish(
    mut frame: Frame,
    caps: PortCaps,
    io: &mut Io,
    emit: &mut impl FnMut(Frame, &mut Io),
) -> Result<(), DropReason> {
    let offload = frame.offload();
    // What does not fit into one buffer can still be cut.
    let fits = caps.chains || frame.len() <= LARGE;
    let result = match (offload.gso, offload.csum) {
        (Some(gso), Csum::Partial { start, offset }) if !cuts(caps, gso) || !fits => {
            let cut = segment::segment(&frame, gso, (start, offset), caps.csum, io, emit);
            io.frames.recycle(frame);
            return cut;
        }
        // Virtio 1.2, 5.1.6.2: a frame to be cut needs its checksum.
        (Some(gso), _) if !cuts(caps, gso) => Err(DropReason::BadOffload),
        (None, Csum::Partial { start, offset }) if !caps.csum => checksum(&mut frame, start, offset),
        _ => Ok(()),
    };
    let result = result.and_then(|()| match caps.chains || !frame.is_chain() {
        true => Ok(None),
        false => join(&frame, &mut io.frames).map(Some),
    });
    match result {
        Ok(None) => emit(frame, io),
        Ok(Some(joined)) => {
            io.frames.recycle(frame);
            emit(joined, io);
        }
        Err(reason) => {
            io.frames.recycle(frame);
            return Err(reason);
        }
    }
    Ok(())
}

/// Writes the checksum that the sender left open: the sum over everything from `start`, where the field
/// already holds the sum of the pseudo-header.
fn checksum(frame: &mut Frame, start: u16, offset: u16) -> Result<(), DropReason> {
    let (start, field) = (start as usize, start as usize + offset as usize);
    let mut sum = Sum::default();
    let mut skip = start;
    for segment in frame.segments() {
        sum.add(segment.get(skip..).unwrap_or_default());
        skip = skip.saturating_sub(segment.len());
    }
    // UDP writes no 0, which would mean "none" (RFC 768); for TCP both spellings of zero are right.
    let value = match sum.finish() {
        0 if offset == 6 => 0xffff,
        sum => sum,
    };
    // Headers are in the first buffer; a field that is not there is a lie.
    if u16_at(frame.bytes(), field).is_none() {
        return Err(DropReason::BadOffload);
    }
    put_u16(frame.bytes_mut(), field, value);
    frame.set_offload(Offload::NONE);
    Ok(())
}

/// A copy in one buffer.
fn join(frame: &Frame, frames: &mut FrameCache) -> Result<Frame, DropReason> {
    let len = frame.len();
    let mut joined =
        if len <= SMALL_DATA { frames.take() } else { frames.take_large() }.ok_or(DropReason::NoFrame)?;
    let room = joined.room_mut();
    if len > room.len() {
        frames.recycle(joined);
        return Err(DropReason::TooBig);
    }
    let mut at = 0;
    for segment in frame.segments() {
        room[at..at + segment.len()].copy_from_slice(segment);
        at += segment.len();
    }
    joined.set_len(len);
    joined.set_offload(frame.offload());
    Ok(joined)
}

/// Whether the checksum to be finished lies behind the tags that decide where the frame goes. One that is
/// written over a tag, after the decision, would put the frame into a VLAN of its sender's choice.
pub(crate) fn spares_tags(offload: Offload, key: FlowKey) -> bool {
    let tags = usize::from(key.outer.is_some()) + usize::from(key.inner.is_some());
    match offload.csum {
        Csum::Partial { start, .. } => start as usize >= eth::HEADER_LEN + tags * vlan::TAG_LEN,
        _ => true,
    }
}

/// Bytes of the longest frame that a frame to be cut will become, as far as its own headers tell.
#[inline(always)]
pub fn longest_cut(frame: &Frame) -> usize {
    headers(frame).map_or(frame.len(), |(headers, gso)| (headers + gso.size as usize).min(frame.len()))
}

/// What the frame counts where rates are kept: as what it will become, as far as its own headers tell.
pub(crate) fn wire_size(frame: &Frame) -> Size {
    let cut = if frame.has_offload() { headers(frame) } else { None };
    cut.map_or(Size::one(frame.len()), |(headers, gso)| Size::cut(frame.len(), headers, gso.size.into()))
}

/// Bytes in front of the payload of a frame that is to be cut, and how.
#[inline(always)]
fn headers(frame: &Frame) -> Option<(usize, Gso)> {
    let offload = frame.offload();
    let (Some(gso), Csum::Partial { start, .. }) = (offload.gso, offload.csum) else { return None };
    let l4 = start as usize;
    let header = match gso.kind {
        GsoKind::Udp => 8,
        _ => frame.bytes().get(l4 + 12).map_or(20, |b| (b >> 4) as usize * 4),
    };
    Some((l4 + header, gso))
}

/// Whether the frame's headers are what the offload metadata says they are.
fn agree(h: &l4::Headers, gso: Gso, start: u16, offset: u16) -> bool {
    let kind = match (h.ip, h.protocol) {
        (l4::Ip::V4, l4::Protocol::Tcp) => GsoKind::Tcp4,
        (l4::Ip::V6, l4::Protocol::Tcp) => GsoKind::Tcp6,
        (_, l4::Protocol::Udp) => GsoKind::Udp,
    };
    kind == gso.kind && h.l4 == start as usize && h.protocol.checksum_offset() == offset as usize
}
