//! What is done to an interface for as long as a port has it.
//!
//! Shared by the device and the queues of a port: whoever goes last undoes it, the program first, then
//! promiscuous mode, then the settings. By then the sockets are closed.
//!
//! Thread-safety: the settings are behind a lock that only housekeeping takes; the rest is not changed.

use crate::program::Program;
use crate::settings::Settings;
use crate::socket::set_socket_option;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Mutex;
use vsw_port_os::link::Link;

/// A program, promiscuous mode and settings, undone when dropped.
#[derive(Debug)]
pub(crate) struct Attachment {
    // In the order in which they go.
    pub(crate) program: Program,
    _promiscuous: Promiscuous,
    pub(crate) settings: Mutex<Settings>,
}

impl Attachment {
    pub(crate) fn new(program: Program, promiscuous: Promiscuous, settings: Settings) -> Self {
        Self { program, _promiscuous: promiscuous, settings: Mutex::new(settings) }
    }
}

/// A socket that receives nothing (its protocol is 0) and holds an interface in promiscuous mode; the
/// kernel ends that when the socket is closed, by us or by our end (packet(7), PACKET_MR_PROMISC).
#[derive(Debug)]
pub(crate) struct Promiscuous(#[expect(dead_code, reason = "held open")] OwnedFd);

impl Promiscuous {
    pub(crate) fn new(link: &Link) -> io::Result<Self> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        let membership = libc::packet_mreq {
            mr_ifindex: link.index as i32,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        let fd = socket.as_raw_fd();
        set_socket_option(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &membership)?;
        Ok(Self(socket))
    }
}
