//! A TAP as a VMM has one: made by somebody else, who holds its descriptor.
#![allow(dead_code, unsafe_code)] // each test binary uses a part of it

use rustix::fs::{Mode, OFlags};
use std::os::fd::{AsRawFd, OwnedFd};
use vsw_port_os::link::{Links, ifreq};

pub(crate) struct Tap(OwnedFd);

impl Tap {
    /// `offloads`: TUN_F_* that the guest has taken.
    pub(crate) fn new(name: &str, offloads: u32) -> Self {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open("/dev/net/tun", flags, Mode::empty()).unwrap();
        let mut request = ifreq(name).unwrap();
        request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as i16;
        // SAFETY: TUNSETIFF reads and writes one `ifreq`; TUNSETOFFLOAD takes a number.
        unsafe {
            assert_eq!(libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &mut request), 0);
            assert_eq!(libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD as _, offloads as libc::c_ulong), 0);
        }
        Links::open().unwrap().set_up(name).unwrap();
        Self(fd)
    }

    /// The frames that are there: virtio-net header (10 bytes) and frame.
    pub(crate) fn read(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let mut buffer = vec![0; 70_000];
        let mut frames = Vec::new();
        while let Ok(n) = rustix::io::read(&self.0, &mut buffer[..]) {
            frames.push((buffer[..10].to_vec(), buffer[10..n].to_vec()));
        }
        frames
    }

    pub(crate) fn write(&self, header: &[u8; 10], frame: &[u8]) {
        rustix::io::write(&self.0, &[&header[..], frame].concat()).unwrap();
    }
}
