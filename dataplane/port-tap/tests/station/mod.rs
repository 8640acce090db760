//! A packet socket at the kernel's end of an interface, and the frames that it knows.
#![allow(unsafe_code)] // system calls

use crate::common::wait_for;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use vsw_port_os::link::Links;

/// For local experiments (IEEE 802, 9.2.3): nothing that a stack says by itself.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// A frame of one unknown station to another. It differs from those with another number in nearly all bytes.
pub(crate) fn pattern(number: usize, len: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..len).map(|i| (i % 251 + 7 * number) as u8).collect();
    bytes[..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x98, 2, 0, 0, 0, 0, 0x99]);
    bytes[12..14].copy_from_slice(&ETHERTYPE);
    bytes
}

pub(crate) fn is_ours(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&ETHERTYPE)
}

pub(crate) struct Station(OwnedFd);

impl Station {
    /// On an interface in the calling thread's namespace.
    pub(crate) fn new(ifname: &str) -> Self {
        let index = Links::open().unwrap().by_name(ifname).unwrap().index;
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        assert!(fd >= 0);
        // SAFETY: the kernel just made it for us.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: plain integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = u16::from_ne_bytes(ETHERTYPE);
        address.sll_ifindex = index as i32;
        let len = size_of_val(&address) as u32;
        // SAFETY: the address is as long as said.
        assert_eq!(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) }, 0);
        Self(fd)
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        assert_eq!(send(&self.0, bytes, SendFlags::empty()).unwrap(), bytes.len());
    }

    /// The next frame.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let mut len = 0;
        wait_for("a frame at the station", || {
            let got = recv(&self.0, &mut buffer[..], RecvFlags::DONTWAIT);
            got.map(|(n, _)| len = n).is_ok()
        });
        buffer.truncate(len);
        buffer
    }
}

/// Limits what a TAP may have on its way through the stack, in bytes with the kernel's overhead.
pub(crate) fn set_send_buffer(tap: BorrowedFd<'_>, bytes: i32) {
    // SAFETY: TUNSETSNDBUF reads one int.
    let set = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETSNDBUF as _, &bytes) };
    assert_eq!(set, 0);
}
