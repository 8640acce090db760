//! The XDP program that puts every frame of a queue into the queue's socket.
//!
//! `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)`: a frame on a queue without a socket goes
//! on to the host. In front of that, in the driver's hook, may be the kernel's shortcut
//! ([`vsw_port_os::shortcut`]).
//!
//! The program is attached by a link: it is gone when the link's descriptor is closed, also when the
//! process is killed, and nobody can take it off with `ip link` by mistake.
//!
//! Thread-safety: plain descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use vsw_port_os::bpf::asm::{Asm, Width};
use vsw_port_os::bpf::maps::XskMap;
use vsw_port_os::bpf::{self, AttachType, Insn, ProgramType};
use vsw_port_os::shortcut::{Board, Seat};

/// BPF_F_XDP_HAS_FRAGS, `include/uapi/linux/bpf.h`: the program does not mind frames in parts.
const HAS_FRAGS: u32 = 1 << 5;
/// XDP_FLAGS_*, `include/uapi/linux/if_link.h`.
const SKB_MODE: u32 = 1 << 1;
const DRV_MODE: u32 = 1 << 2;

const XDP_PASS: i32 = 2;
const BPF_FUNC_REDIRECT_MAP: i32 = 51;
/// Offset of `rx_queue_index` in `struct xdp_md`.
const RX_QUEUE_INDEX: i16 = 16;

/// The program on an interface, and the sockets it fills.
#[derive(Debug)]
pub(crate) struct Program {
    // The first to go: frames must not reach a map without sockets.
    link: OwnedFd,
    sockets: XskMap,
    /// At the kernel's shortcut. Goes when the program is gone.
    pub(crate) seat: Option<Seat>,
    /// Why it runs in the generic hook; `None` when in the driver's.
    pub(crate) not_native: Option<io::Error>,
    /// Whether frames in parts get through.
    pub(crate) frags: bool,
    attached: String,
}

impl Program {
    /// Attaches to an interface with `queues` queues: in the driver if it can, with a seat at the shortcut if
    /// there is a board and a place at it; else in the generic hook. `unfinished`: frames with unfinished
    /// checksums come in also in the driver's hook.
    pub(crate) fn attach(
        ifindex: u32,
        queues: u32,
        board: Option<&Arc<Board>>,
        unfinished: bool,
    ) -> io::Result<Self> {
        let sockets = XskMap::new(queues)?;
        // Whatever there is against the shortcut, frames can go without it.
        let seat = board.and_then(|board| board.seat(ifindex).ok());
        let seated = seat.as_ref().and_then(|seat| load(&sockets, Some((seat, unfinished))).ok());
        let (program, frags, seat) = match seated {
            Some((program, frags)) => (program, frags, seat),
            None => load(&sockets, None).map(|(program, frags)| (program, frags, None))?,
        };
        let (link, not_native) = match bpf::attach(program.as_fd(), ifindex, AttachType::Xdp, DRV_MODE) {
            Ok(link) => (link, None),
            Err(e) if is_taken(&e) || e.raw_os_error() == Some(libc::ENODEV) => return Err(e),
            Err(why) => (bpf::attach(program.as_fd(), ifindex, AttachType::Xdp, SKB_MODE)?, Some(why)),
        };
        let attached = attachment(&link)?;
        Ok(Self { link, sockets, seat, not_native, frags, attached })
    }

    /// Has the frames of a queue redirected to a socket.
    pub(crate) fn set(&self, queue: u32, socket: impl AsFd) -> io::Result<()> {
        self.sockets.set(queue, socket.as_fd())
    }

    /// Whether it is still where it was attached: nobody detached the link or put another program in.
    pub(crate) fn in_place(&self) -> bool {
        attachment(&self.link).is_ok_and(|now| now == self.attached)
    }
}

/// Whether an attach failed because another program is there.
pub(crate) fn is_taken(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// Program and interface of a link, as the kernel tells them (`bpf_xdp_link_show_fdinfo`); the interface
/// becomes 0 when the link is detached.
fn attachment(link: &OwnedFd) -> io::Result<String> {
    let all = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", link.as_raw_fd()))?;
    let told = |line: &&str| line.starts_with("prog_id:") || line.starts_with("ifindex:");
    Ok(all.lines().filter(told).collect::<Vec<_>>().join(" "))
}

/// Loads the program; whether it takes frames in parts.
fn load(sockets: &XskMap, seat: Option<(&Seat, bool)>) -> io::Result<(OwnedFd, bool)> {
    // A kernel before 5.18 does not know the flag.
    match bpf::load(ProgramType::Xdp, &code(sockets, seat, true), HAS_FRAGS) {
        Ok(program) => Ok((program, true)),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
            Ok((bpf::load(ProgramType::Xdp, &code(sockets, seat, false), 0)?, false))
        }
        Err(e) => Err(e),
    }
}

/// The program. `seat`: with the shortcut, and whether frames with unfinished checksums come in.
fn code(sockets: &XskMap, seat: Option<(&Seat, bool)>, parts: bool) -> Vec<Insn> {
    let mut p = Asm::default();
    let context = seat.map_or(1, |(seat, unfinished)| seat.prologue(&mut p, parts, unfinished));
    p.load(Width::U32, 2, context, RX_QUEUE_INDEX);
    p.map(1, sockets);
    p.set(3, XDP_PASS);
    p.call(BPF_FUNC_REDIRECT_MAP);
    p.exit();
    p.finish()
}

#[cfg(test)]
mod tests;
