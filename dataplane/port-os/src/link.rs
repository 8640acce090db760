//! Network interfaces: what they are, and the few things that a port changes about them.
//!
//! [`Links`] holds one socket, and works in the namespace in which that was opened, from whatever thread
//! it is used: a device that lives in a container keeps one and never needs to enter the namespace again.
//! Reading is one RTM_GETLINK; writing is an ioctl (netdevice(7)). Errors are plain `io::Error`; ENODEV
//! is the answer for an interface that does not exist. Nothing waits. Neither type is shared by threads.

mod features;
pub(crate) mod netlink;

pub use features::Features;

use netlink::{Request, Socket, attributes, word};
use rustix::net::SocketFlags;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use vsw_types::MacAddr;

/// Interface flags that do not fit the 16 bits of the ioctl: the wire is there.
const IFF_LOWER_UP: u32 = 1 << 16;
const ARPHRD_ETHER: u16 = 1;
const ETHTOOL_GDRVINFO: u32 = 3;

/// An interface at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub name: String,
    pub index: u32,
    /// Bytes of L3 payload.
    pub mtu: u32,
    /// The address of an Ethernet interface.
    pub mac: Option<MacAddr>,
    /// Set up by its owner.
    pub up: bool,
    /// The other end is there.
    pub carrier: bool,
    pub loopback: bool,
    /// The bridge, bond or switch that has it.
    pub master: Option<String>,
}

/// The interfaces of one network namespace.
#[derive(Debug)]
pub struct Links(Socket);

impl Links {
    /// Those of the calling thread's namespace.
    ///
    /// # Errors
    /// What the kernel says; only when descriptors or memory have run out.
    pub fn open() -> io::Result<Self> {
        Socket::open(0, SocketFlags::empty()).map(Self)
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.0
    }

    /// The interface of that name.
    ///
    /// # Errors
    /// ENODEV when there is none.
    pub fn by_name(&self, name: &str) -> io::Result<Link> {
        let mut request = self.request(name)?;
        self.ioctl(libc::SIOCGIFINDEX as _, &mut request)?;
        // SAFETY: SIOCGIFINDEX filled in this member.
        self.by_index(unsafe { request.ifr_ifru.ifru_ifindex } as u32)
    }

    /// The interface of that index, whatever its name is now.
    ///
    /// # Errors
    /// ENODEV when there is none.
    pub fn by_index(&self, index: u32) -> io::Result<Link> {
        let (mut link, master) = self.read(index)?;
        if let Some(master) = master {
            link.master = Some(self.read(master)?.0.name);
        }
        Ok(link)
    }

    /// The link and the index of its master.
    fn read(&self, index: u32) -> io::Result<(Link, Option<u32>)> {
        // struct ifinfomsg: family, pad, type (16 bits), index, flags, change.
        let mut body = [0; 16];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        let answer = self.0.ask(Request::new(libc::RTM_GETLINK, 0, &body))?;
        let (kind, flags) = ((word(&answer, 0) >> 16) as u16, word(&answer, 8));
        let mut link = Link {
            name: String::new(),
            index,
            mtu: 0,
            mac: None,
            up: flags & libc::IFF_UP as u32 != 0,
            carrier: flags & IFF_LOWER_UP != 0 && flags & libc::IFF_RUNNING as u32 != 0,
            loopback: flags & libc::IFF_LOOPBACK as u32 != 0,
            master: None,
        };
        let mut master = None;
        for (attr, value) in attributes(answer.get(16..).unwrap_or_default()) {
            match attr {
                libc::IFLA_IFNAME => link.name = text(value),
                libc::IFLA_MTU => link.mtu = word(value, 0),
                libc::IFLA_ADDRESS if kind == ARPHRD_ETHER => link.mac = value.try_into().ok().map(MacAddr),
                libc::IFLA_MASTER => master = Some(word(value, 0)),
                _ => {}
            }
        }
        Ok((link, master))
    }

    /// Whether there is an interface of that name.
    pub fn exists(&self, name: &str) -> bool {
        self.by_name(name).is_ok()
    }

    /// The name of its driver: `tun`, `veth`, `virtio_net`, ..
    ///
    /// # Errors
    /// ENODEV when there is no such interface; EOPNOTSUPP when it has no name for its driver.
    pub fn driver(&self, name: &str) -> io::Result<String> {
        // struct ethtool_drvinfo: cmd, then driver[32].
        let mut info = [0_u32; 49];
        info[0] = ETHTOOL_GDRVINFO;
        let mut request = self.request(name)?;
        request.ifr_ifru.ifru_data = info.as_mut_ptr().cast();
        self.ioctl(libc::SIOCETHTOOL as _, &mut request)?;
        Ok(text(&info[1..9].iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<_>>()))
    }

    /// # Errors
    /// EINVAL or ERANGE when the device does not take that MTU.
    pub fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()> {
        let mut request = self.request(name)?;
        request.ifr_ifru.ifru_mtu = mtu as i32;
        self.ioctl(libc::SIOCSIFMTU as _, &mut request)
    }

    /// # Errors
    /// EADDRNOTAVAIL for an address that no station can have; EBUSY when the device must be down for it.
    pub fn set_mac(&self, name: &str, mac: MacAddr) -> io::Result<()> {
        let mut request = self.request(name)?;
        let mut address = libc::sockaddr { sa_family: ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, from) in address.sa_data.iter_mut().zip(mac.0) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_hwaddr = address;
        self.ioctl(libc::SIOCSIFHWADDR as _, &mut request)
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// What its driver says.
    pub fn set_up(&self, name: &str) -> io::Result<()> {
        let mut request = self.request(name)?;
        self.ioctl(libc::SIOCGIFFLAGS as _, &mut request)?;
        // SAFETY: SIOCGIFFLAGS filled in this member.
        unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as i16 };
        self.ioctl(libc::SIOCSIFFLAGS as _, &mut request)
    }

    /// Sets how many frames its transmit queue holds.
    ///
    /// # Errors
    /// What its driver says.
    pub fn set_tx_queue_len(&self, name: &str, frames: u32) -> io::Result<()> {
        let mut request = self.request(name)?;
        request.ifr_ifru.ifru_metric = frames as i32; // ifr_qlen
        self.ioctl(libc::SIOCSIFTXQLEN as _, &mut request)
    }

    fn request(&self, name: &str) -> io::Result<libc::ifreq> {
        ifreq(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))
    }

    fn ioctl(&self, command: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
        // SAFETY: every command used here reads and writes one `ifreq`, and what that points to (only for
        // SIOCETHTOOL) is as large as its first word says and alive.
        match unsafe { libc::ioctl(self.0.fd().as_raw_fd(), command, request) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A request about the interface `name`; `None` when no interface can be called that.
pub fn ifreq(name: &str) -> Option<libc::ifreq> {
    // SAFETY: plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return None;
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Some(request)
}

/// A string that ends with its first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into()
}

/// Tells when some interface of a namespace came, went or changed (RTMGRP_LINK).
#[derive(Debug)]
pub struct Watch(Socket);

impl Watch {
    /// Watches the calling thread's namespace.
    ///
    /// # Errors
    /// As [`Links::open`].
    pub fn open() -> io::Result<Self> {
        Socket::open(libc::RTMGRP_LINK as u32, SocketFlags::NONBLOCK).map(Self)
    }

    /// Readable when there is news.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    /// Forgets the news there is. Whether there was any.
    pub fn drain(&self) -> bool {
        use rustix::io::Errno;
        let mut any = false;
        let mut buffer = [0; 512]; // what does not fit is cut off: only the fact counts
        loop {
            match rustix::net::recv(self.fd(), &mut buffer[..], rustix::net::RecvFlags::empty()) {
                // Overrun: so much news that some was lost.
                Ok(_) | Err(Errno::NOBUFS) => any = true,
                Err(Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}
