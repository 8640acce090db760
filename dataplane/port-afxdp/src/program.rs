//! The XDP program that puts every frame of a queue into the queue's socket.
//!
//! Six instructions: `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)`. A frame on a
//! queue without a socket goes on to the host.
//!
//! The program is attached by a link: it is gone when the link's descriptor is closed, also when the
//! process is killed, and nobody can take it off with `ip link` by mistake.
//!
//! Thread-safety: plain descriptors.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use vsw_port_os::bpf::{self, AttachType, Insn, MapType, ProgramType};

/// BPF_F_XDP_HAS_FRAGS, `include/uapi/linux/bpf.h`: the program does not mind frames in parts.
const HAS_FRAGS: u32 = 1 << 5;
/// XDP_FLAGS_*, `include/uapi/linux/if_link.h`.
const SKB_MODE: u32 = 1 << 1;
const DRV_MODE: u32 = 1 << 2;

const XDP_PASS: i32 = 2;
const BPF_PSEUDO_MAP_FD: u8 = 1;
const BPF_FUNC_REDIRECT_MAP: i32 = 51;
/// Offset of `rx_queue_index` in `struct xdp_md`.
const RX_QUEUE_INDEX: i16 = 16;

/// The program on an interface, and the sockets it fills.
#[derive(Debug)]
pub(crate) struct Program {
    // The first to go: frames must not reach a map without sockets.
    link: OwnedFd,
    sockets: OwnedFd,
    /// Why it runs in the generic hook; `None` when in the driver's.
    pub(crate) not_native: Option<io::Error>,
    /// Whether frames in parts get through.
    pub(crate) frags: bool,
    attached: String,
}

impl Program {
    /// Attaches to an interface with `queues` queues: in the driver if it can, else in the generic hook.
    pub(crate) fn attach(ifindex: u32, queues: u32) -> io::Result<Self> {
        let sockets = bpf::map(MapType::XskMap, 4, 4, queues)?;
        let code = redirect_to(sockets.as_raw_fd());
        // A kernel before 5.18 does not know the flag.
        let (program, frags) = match bpf::load(ProgramType::Xdp, &code, HAS_FRAGS) {
            Ok(program) => (program, true),
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) => {
                (bpf::load(ProgramType::Xdp, &code, 0)?, false)
            }
            Err(e) => return Err(e),
        };
        let (link, not_native) = match bpf::attach(program.as_fd(), ifindex, AttachType::Xdp, DRV_MODE) {
            Ok(link) => (link, None),
            Err(e) if is_taken(&e) || e.raw_os_error() == Some(libc::ENODEV) => return Err(e),
            Err(why) => (bpf::attach(program.as_fd(), ifindex, AttachType::Xdp, SKB_MODE)?, Some(why)),
        };
        let attached = attachment(&link)?;
        Ok(Self { link, sockets, not_native, frags, attached })
    }

    /// Has the frames of a queue redirected to a socket.
    pub(crate) fn set(&self, queue: u32, socket: impl AsFd) -> io::Result<()> {
        bpf::map_set_fd(self.sockets.as_fd(), queue, socket.as_fd())
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

fn redirect_to(map: i32) -> [Insn; 6] {
    [
        Insn::new(0x61, 2, 1, RX_QUEUE_INDEX, 0), // r2 = ctx->rx_queue_index
        Insn::new(0x18, 1, BPF_PSEUDO_MAP_FD, 0, map), // r1 = map, in two slots
        Insn::new(0, 0, 0, 0, 0),                 //
        Insn::new(0xb7, 3, 0, 0, XDP_PASS),       // r3 = XDP_PASS
        Insn::new(0x85, 0, 0, 0, BPF_FUNC_REDIRECT_MAP), // call
        Insn::new(0x95, 0, 0, 0, 0),              // exit
    ]
}
