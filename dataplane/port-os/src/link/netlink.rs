//! Requests to the kernel's route family and to generic ones, and the answers.
//!
//! The kernel answers a request while it is being sent, so nothing here waits for anybody. Layouts:
//! `include/uapi/linux/netlink.h`, `rtnetlink.h`. A [`Socket`] belongs to one thread at a time and stays
//! in the network namespace it was opened in.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Bytes: `struct nlmsghdr`.
const HEADER: usize = 16;
/// Most bytes of an answer. A link without its virtual functions takes about two thousand.
const ANSWER: usize = 32 * 1024;

/// A message being built.
pub(crate) struct Request(Vec<u8>);

impl Request {
    /// `body`: the fixed part of the message, e.g. `struct ifinfomsg`. `flags`: NLM_F_* besides REQUEST
    /// and ACK.
    pub(crate) fn new(kind: u16, flags: i32, body: &[u8]) -> Self {
        let flags = flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        let mut message = vec![0; HEADER];
        message[4..6].copy_from_slice(&kind.to_ne_bytes());
        message[6..8].copy_from_slice(&(flags as u16).to_ne_bytes());
        message.extend(body);
        Self(message)
    }

    pub(crate) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend((4 + value.len() as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// An attribute made of attributes.
    pub(crate) fn nest(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let at = self.0.len();
        self = inner(self.attr(kind, &[]));
        let len = (self.0.len() - at) as u16;
        self.0[at..at + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }
}

/// A socket of the route family, or of generic ones.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: Cell<u32>,
}

impl Socket {
    /// A socket in the calling thread's network namespace. `groups`: RTMGRP_* to listen to.
    pub(crate) fn open(groups: u32, flags: SocketFlags) -> io::Result<Self> {
        // Protocol 0 is NETLINK_ROUTE.
        Self::of(None, groups, flags)
    }

    /// A socket of the generic families.
    pub(crate) fn generic(flags: SocketFlags) -> io::Result<Self> {
        Self::of(Some(net::netlink::GENERIC), 0, flags)
    }

    fn of(protocol: Option<net::Protocol>, groups: u32, flags: SocketFlags) -> io::Result<Self> {
        let flags = flags | SocketFlags::CLOEXEC;
        let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
        net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        Ok(Self { fd, sequence: Cell::new(0) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends a request and returns the body of the (last) answer, empty when there is only a yes.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(crate) fn ask(&self, mut request: Request) -> io::Result<Vec<u8>> {
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let message = &mut request.0;
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        message[8..12].copy_from_slice(&sequence.to_ne_bytes());
        net::send(&self.fd, message, SendFlags::empty())?;

        let mut buffer = vec![0; ANSWER];
        let mut answer = Vec::new();
        loop {
            let (_, len) = net::recv(&self.fd, &mut buffer[..], RecvFlags::TRUNC)?;
            let mut rest = buffer.get(..len).ok_or_else(|| cut_short("a netlink answer is too long"))?;
            while rest.len() >= HEADER {
                let len = (word(rest, 0) as usize).clamp(HEADER, rest.len());
                let (kind, body) = (word(rest, 4) as u16, &rest[HEADER..len]);
                if word(rest, 8) == sequence {
                    if i32::from(kind) == libc::NLMSG_ERROR {
                        return match word(body, 0) as i32 {
                            0 => Ok(answer),
                            errno => Err(io::Error::from_raw_os_error(-errno)),
                        };
                    }
                    answer = body.to_vec();
                }
                rest = &rest[len.next_multiple_of(4).min(rest.len())..];
            }
        }
    }
}

fn cut_short(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The 32-bit word at `at`; 0 behind the end.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// The attributes in `bytes`: kind without its flags, and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let first = word(bytes, 0);
        let (len, kind) = ((first & 0xffff) as usize, (first >> 16) as u16 & 0x3fff);
        let value = bytes.get(4..len)?;
        bytes = &bytes[len.next_multiple_of(4).min(bytes.len())..];
        Some((kind, value))
    })
}
