//! AF_PACKET sockets: packet(7), `net/packet/af_packet.c`.
//!
//! PACKET_QDISC_BYPASS is left alone on purpose: that way out drops a frame that must be segmented in
//! software, which is every large one when the interface has no segmentation itself.
#![allow(unsafe_code)] // the options are not known to any safe library

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Bytes that may wait in a socket, either way. A frame of 64 KiB counts as about 90 KiB, so that this is
/// 90 of the longest.
const BUFFER: i32 = 8 << 20;

// include/uapi/linux/if_packet.h
const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_STATISTICS: i32 = 6;
const PACKET_FANOUT: i32 = 18;
/// Since Linux 4.20.
const PACKET_IGNORE_OUTGOING: i32 = 23;
const PACKET_FANOUT_HASH: u32 = 0;
const PACKET_FANOUT_FLAG_UNIQUEID: u32 = 0x2000;
/// Since Linux 5.11.
const PACKET_FANOUT_FLAG_IGNORE_OUTGOING: u32 = 0x4000;

#[repr(C)]
struct Membership {
    index: i32,
    kind: u16,
    len: u16,
    address: [u8; 8],
}

#[repr(C)]
#[derive(Default)]
struct Statistics {
    packets: u32,
    drops: u32,
}

/// Sockets that do not receive anything yet.
///
/// # Errors
/// EPERM without CAP_NET_RAW.
pub(crate) fn create(count: u16) -> io::Result<Vec<OwnedFd>> {
    (0..count).map(|_| create_one()).collect()
}

fn create_one() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: a plain system call; the result is checked. Protocol 0 receives nothing.
    let fd = checked(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: just made for us.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    set(&socket, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1_i32)?;
    set(&socket, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1_i32)?;
    set(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, &1_i32)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &BUFFER)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &BUFFER)?;
    Ok(socket)
}

/// Joins sockets to an interface; several share its flows among them.
///
/// # Errors
/// ENODEV when it is gone.
pub(crate) fn attach(sockets: &[OwnedFd], index: u32) -> io::Result<()> {
    let mut group = None;
    for socket in sockets {
        bind(socket, index)?;
        if sockets.len() == 1 {
            break;
        }
        let join = group.unwrap_or(
            (PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_UNIQUEID | PACKET_FANOUT_FLAG_IGNORE_OUTGOING) << 16,
        );
        set(socket, libc::SOL_PACKET, PACKET_FANOUT, &join)?;
        if group.is_none() {
            // Its number, kind and flags, as the others have to say them.
            group = Some(get::<u32>(socket, PACKET_FANOUT)?);
        }
    }
    // Undone by the kernel when the socket closes.
    if let Some(first) = sockets.first() {
        let kind = libc::PACKET_MR_PROMISC as u16;
        let all = Membership { index: index as i32, kind, len: 0, address: [0; 8] };
        set(first, libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all)?;
    }
    Ok(())
}

fn bind(socket: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: plain data, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index as i32;
    let len = size_of_val(&address) as u32;
    // SAFETY: `address` is as long as said.
    checked(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), len) }).map(drop)
}

/// Throws away what is in a socket, for a tenth of a second at most.
pub(crate) fn empty(socket: &OwnedFd) {
    let end = Instant::now() + Duration::from_millis(100);
    let mut byte = [0_u8; 16];
    while rustix::net::recv(socket, &mut byte[..], rustix::net::RecvFlags::empty()).is_ok()
        && Instant::now() < end
    {}
}

/// Frames that the socket or its ring kept, and those that it lost, since last asked: `tp_packets` (which
/// has both, `packet_getsockopt`) and `tp_drops`.
pub(crate) fn statistics(socket: &OwnedFd) -> (u32, u32) {
    let told = get::<Statistics>(socket, PACKET_STATISTICS).unwrap_or_default();
    (told.packets.saturating_sub(told.drops), told.drops)
}

pub(crate) fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let len = size_of::<T>() as u32;
    // SAFETY: `value` is as long as said.
    let r = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const *value).cast(), len) };
    checked(r).map(drop)
}

/// A value that is plain numbers.
fn get<T: Default>(socket: &OwnedFd, option: i32) -> io::Result<T> {
    let mut value = T::default();
    let mut len = size_of::<T>() as u32;
    let to = (&raw mut value).cast();
    // SAFETY: the kernel writes at most `len` bytes, and any bytes are a value of the types used.
    let r = unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, to, &mut len) };
    checked(r).map(|_| value)
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
