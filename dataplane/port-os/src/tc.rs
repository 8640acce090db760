//! Dropping everything that an interface would give to the host's own stack.
//!
//! AF_PACKET sockets get their copy of a received frame before traffic control sees it
//! (`__netif_receive_skb_core`, `net/core/dev.c`), so a program that answers "drop" on ingress leaves the
//! frame to the switch alone. Since Linux 6.6 the program hangs on a link (tcx) that ends with its
//! descriptor, that is with the process. Before, it is a filter of a clsact queueing discipline, which
//! outlives a killed process: whoever asks for it notes that beforehand and calls [`remove_filter`] at the
//! next start.
//!
//! Called from driver and housekeeping threads; works in the namespace of the [`Links`] given.

use crate::bpf::{self, AttachType, Insn, ProgramType};
use crate::link::Links;
use crate::link::netlink::Request;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// TC_ACT_SHOT and TCX_DROP.
const DROP: i32 = 2;
/// Ahead of the programs that are there already.
const BPF_F_BEFORE: u32 = 1 << 3;

// include/uapi/linux/pkt_sched.h, pkt_cls.h
const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_INGRESS: u32 = 0xffff_fff2;
const CLSACT_HANDLE: u32 = 0xffff_0000;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// Our filter: first in order, and a handle that nobody else takes ("vsw").
const PRIORITY: u32 = 1;
const HANDLE: u32 = 0x0076_7377;

/// How to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The best that the kernel has.
    Best,
    /// The way of kernels before 6.6.
    Clsact,
}

/// Frames received by the interface end here as long as this lives.
#[derive(Debug)]
pub enum IngressDrop {
    Tcx(OwnedFd),
    Clsact {
        links: Links,
        index: u32,
        /// The queueing discipline came with us.
        ours: bool,
    },
}

/// Starts dropping.
///
/// # Errors
/// What the kernel says to the last thing tried; ENOSYS without bpf(2), EPERM without CAP_NET_ADMIN and
/// CAP_BPF, ENOENT for a kernel without classifiers.
pub fn drop_ingress(index: u32, method: Method) -> io::Result<IngressDrop> {
    let program = bpf::load(ProgramType::Tc, &Insn::answer(DROP), 0)?;
    if method == Method::Best
        && let Ok(link) = bpf::attach(program.as_fd(), index, AttachType::TcxIngress, BPF_F_BEFORE)
    {
        return Ok(IngressDrop::Tcx(link));
    }
    let links = Links::open()?;
    let ours = !has_qdisc(&links, index)?;
    // From here on dropping undoes what was done.
    let guard = IngressDrop::Clsact { links, index, ours };
    if let IngressDrop::Clsact { links, .. } = &guard {
        if ours {
            let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
            let body = tcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
            links
                .socket()
                .ask(Request::new(libc::RTM_NEWQDISC, create, &body).attr(libc::TCA_KIND, b"clsact\0"))?;
        }
        let fd = (program.as_raw_fd() as u32).to_ne_bytes();
        links.socket().ask(filter(libc::RTM_NEWTFILTER, libc::NLM_F_CREATE, index).nest(
            libc::TCA_OPTIONS,
            |r| {
                r.attr(TCA_BPF_FD, &fd)
                    .attr(TCA_BPF_NAME, b"vsw_drop\0")
                    .attr(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes())
            },
        ))?;
    }
    Ok(guard)
}

impl Drop for IngressDrop {
    fn drop(&mut self) {
        if let Self::Clsact { links, index, ours } = self {
            // Nothing to remove when the interface is gone.
            let _ = remove_filter(links, *index);
            if *ours {
                let _ = remove_qdisc(links, *index);
            }
        }
    }
}

/// Removes our filter. Whether there was one.
///
/// # Errors
/// When it is there and does not go.
pub fn remove_filter(links: &Links, index: u32) -> io::Result<bool> {
    match links.socket().ask(filter(libc::RTM_DELTFILTER, 0, index)) {
        Ok(_) => Ok(true),
        // No filter, no queueing discipline, no interface.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Removes the ingress queueing discipline, if there is one, with all its filters.
///
/// # Errors
/// When it is there and does not go.
pub fn remove_qdisc(links: &Links, index: u32) -> io::Result<()> {
    if has_qdisc(links, index)? {
        let body = tcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
        links.socket().ask(Request::new(libc::RTM_DELQDISC, 0, &body))?;
    }
    Ok(())
}

/// Whether the interface has an ingress queueing discipline (clsact or ingress): somebody classifies
/// there.
///
/// # Errors
/// What the kernel says, other than that there is none.
pub fn has_qdisc(links: &Links, index: u32) -> io::Result<bool> {
    let body = tcmsg(index, CLSACT_HANDLE, TC_H_CLSACT, 0);
    match links.socket().ask(Request::new(libc::RTM_GETQDISC, 0, &body)) {
        Ok(_) => Ok(true),
        // EINVAL: only the stand-in, with another handle, that an earlier one left behind.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EINVAL)) => Ok(false),
        Err(e) => Err(e),
    }
}

fn filter(kind: u16, flags: i32, index: u32) -> Request {
    let info = PRIORITY << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    Request::new(kind, flags, &tcmsg(index, HANDLE, TC_H_INGRESS, info)).attr(libc::TCA_KIND, b"bpf\0")
}

/// `struct tcmsg`: family, pads, ifindex, handle, parent, info.
fn tcmsg(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut body = [0; 20];
    for (at, value) in [(4, index), (8, handle), (12, parent), (16, info)] {
        body[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    body
}
