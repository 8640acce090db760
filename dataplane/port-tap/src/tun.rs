//! The system calls that make a TAP: `drivers/net/tun.c`, `include/uapi/linux/if_tun.h`.
//!
//! Everything happens in the calling thread's network namespace. Thread-safe.
#![allow(unsafe_code)] // ioctl

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use vsw_port::vnet;
use vsw_port_os::link::ifreq;

const CSUM_TSO: u32 = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// Since Linux 6.2; both or none (`set_offload`).
const USO: u32 = libc::TUN_F_USO4 | libc::TUN_F_USO6;

/// An interface that lasts as long as its queues are open.
pub(crate) struct Tap {
    pub(crate) queues: Vec<OwnedFd>,
    /// The kernel knows UDP segmentation.
    pub(crate) uso: bool,
}

/// The clone device, not yet any interface.
pub(crate) fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/net/tun", flags, Mode::empty())?)
}

/// Makes the interface `name` of `count` queues, the first of which is `first`.
///
/// # Errors
/// EBUSY when there is an interface of that name; EPERM without CAP_NET_ADMIN.
pub(crate) fn make(first: OwnedFd, name: &str, count: u16) -> io::Result<Tap> {
    // Never adopt a persistent TAP that somebody else made.
    let exclusive = libc::IFF_TUN_EXCL;
    attach(&first, name, exclusive)?;
    let uso = set_offload(&first, CSUM_TSO | USO).is_ok();
    if !uso {
        set_offload(&first, CSUM_TSO)?;
    }
    let mut queues = vec![first];
    for _ in 1..count {
        let next = open()?;
        attach(&next, name, 0)?;
        queues.push(next);
    }
    Ok(Tap { queues, uso })
}

fn attach(fd: &OwnedFd, name: &str, more: i32) -> io::Result<()> {
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE | more;
    let mut request = ifreq(name).ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    request.ifr_ifru.ifru_flags = flags as i16;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &mut request) })?;
    let size = vnet::LEN as i32;
    // SAFETY: TUNSETVNETHDRSZ reads one int.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ as _, &size) })
}

fn set_offload(fd: &OwnedFd, features: u32) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes a number.
    checked(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD as _, features as libc::c_ulong) })
}

fn checked(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
