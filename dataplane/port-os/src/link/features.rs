//! What XDP can do with an interface, as the generic netlink family `netdev` tells it (Linux 6.3).
//!
//! Layouts: `include/uapi/linux/genetlink.h`, `netdev.h`. A [`Features`] belongs to one thread at a time and
//! stays in the network namespace it was opened in.

use super::netlink::{Request, Socket, attributes, word};
use rustix::net::SocketFlags;
use std::io;

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;
const NETDEV_XDP_ACT_NDO_XMIT: u32 = 1 << 2;

/// Bytes: `struct genlmsghdr`.
const HEADER: usize = 4;

/// A way to ask.
#[derive(Debug)]
pub struct Features {
    socket: Socket,
    family: u16,
}

impl Features {
    /// About interfaces of the calling thread's namespace.
    ///
    /// # Errors
    /// ENOENT on a kernel without the family.
    pub fn open() -> io::Result<Self> {
        let socket = Socket::generic(SocketFlags::empty())?;
        let request = Request::new(GENL_ID_CTRL, 0, &[CTRL_CMD_GETFAMILY, 1, 0, 0]);
        let answer = socket.ask(request.attr(CTRL_ATTR_FAMILY_NAME, b"netdev\0"))?;
        let family = find(&answer, CTRL_ATTR_FAMILY_ID).and_then(|id| id.try_into().ok());
        let family = family.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        Ok(Self { socket, family: u16::from_ne_bytes(family) })
    }

    /// Whether programs may redirect frames to the interface now. A veth takes them while the other end has an
    /// XDP program or GRO.
    ///
    /// # Errors
    /// ENODEV when there is no such interface.
    pub fn takes_redirects(&self, ifindex: u32) -> io::Result<bool> {
        let request = Request::new(self.family, 0, &[NETDEV_CMD_DEV_GET, 1, 0, 0]);
        let answer = self.socket.ask(request.attr(NETDEV_A_DEV_IFINDEX, &ifindex.to_ne_bytes()))?;
        // A 64-bit number, of which the bit is in the lower half.
        let low = if cfg!(target_endian = "big") { 4 } else { 0 };
        let told = find(&answer, NETDEV_A_DEV_XDP_FEATURES).map_or(0, |value| word(value, low));
        Ok(told & NETDEV_XDP_ACT_NDO_XMIT != 0)
    }
}

fn find(answer: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(answer.get(HEADER..)?).find_map(|(kind, value)| (kind == wanted).then_some(value))
}
