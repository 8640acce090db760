//! The settings of a NIC that ethtool(8) shows: how many queues it has, and what it does to VLAN tags.
//!
//! Layouts: `include/uapi/linux/ethtool.h`. All calls work in the namespace of the [`Links`] given. They
//! wait for the driver, which may restart the NIC: never for a worker. EOPNOTSUPP is the answer of a
//! driver that does not have the setting, ENODEV of an interface that does not exist.

use crate::link::{Links, ifreq};
use std::io;
use std::os::fd::AsRawFd;

const GCHANNELS: u32 = 0x3c;
const SCHANNELS: u32 = 0x3d;
const GFLAGS: u32 = 0x25;
const SFLAGS: u32 = 0x26;
/// ETH_FLAG_RXVLAN: tags are taken off received frames and told beside them.
const RXVLAN: u32 = 1 << 8;

/// Queues, in the driver's own division: receive-only, transmit-only, and for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Channels {
    pub rx: u32,
    pub tx: u32,
    pub combined: u32,
}

impl Channels {
    /// Queues that can both receive and transmit.
    pub fn pairs(self) -> u32 {
        self.receiving().min(self.combined + self.tx)
    }

    /// Queues that receive.
    pub fn receiving(self) -> u32 {
        self.combined + self.rx
    }

    /// These, changed to `n` queues that receive, each of which can transmit; within `most`. `None` when
    /// the driver cannot have that many.
    pub fn resized(self, n: u32, most: Self) -> Option<Self> {
        if most.combined > 0 {
            return (1..=most.combined).contains(&n).then_some(Self { rx: 0, tx: 0, combined: n });
        }
        let tx = self.tx.max(n);
        (n > 0 && n <= most.rx && tx <= most.tx).then_some(Self { rx: n, tx, combined: 0 })
    }
}

/// The channels that the NIC has now, and the most it can have.
///
/// # Errors
/// EOPNOTSUPP where the driver has but one queue, or does not tell.
pub fn channels(links: &Links, name: &str) -> io::Result<(Channels, Channels)> {
    let [_, rx, tx, _, combined, now @ ..] = read_channels(links, name)?;
    Ok((Channels { rx: now[0], tx: now[1], combined: now[3] }, Channels { rx, tx, combined }))
}

/// Sets the channels.
///
/// # Errors
/// EINVAL when the NIC cannot have that many, or when something (an AF_XDP socket, the peer of a veth)
/// needs more.
pub fn set_channels(links: &Links, name: &str, to: Channels) -> io::Result<()> {
    let [_, _, _, _, _, _, _, other, _] = read_channels(links, name)?;
    ioctl(links, name, &mut [SCHANNELS, 0, 0, 0, 0, to.rx, to.tx, other, to.combined])
}

/// `struct ethtool_channels`: cmd; the most rx, tx, other, combined; the present rx, tx, other, combined.
fn read_channels(links: &Links, name: &str) -> io::Result<[u32; 9]> {
    let mut all = [GCHANNELS, 0, 0, 0, 0, 0, 0, 0, 0];
    ioctl(links, name, &mut all)?;
    Ok(all)
}

/// Whether the NIC takes the VLAN tag off received frames (`ethtool -K X rxvlan on`).
///
/// # Errors
/// What the driver says.
pub fn strips_vlan(links: &Links, name: &str) -> io::Result<bool> {
    let mut flags = [GFLAGS, 0];
    ioctl(links, name, &mut flags)?;
    Ok(flags[1] & RXVLAN != 0)
}

/// Has the NIC take the VLAN tag off, or leave it in the frame.
///
/// # Errors
/// EOPNOTSUPP or EINVAL when the driver has no choice.
pub fn set_strips_vlan(links: &Links, name: &str, strip: bool) -> io::Result<()> {
    let mut flags = [GFLAGS, 0];
    ioctl(links, name, &mut flags)?;
    let bits = if strip { flags[1] | RXVLAN } else { flags[1] & !RXVLAN };
    ioctl(links, name, &mut [SFLAGS, bits])
}

/// SIOCETHTOOL: the first word of `data` is the command, which says how long the rest is.
fn ioctl(links: &Links, name: &str, data: &mut [u32]) -> io::Result<()> {
    let mut request = ifreq(name).ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    request.ifr_ifru.ifru_data = data.as_mut_ptr().cast();
    let socket = links.socket().fd().as_raw_fd();
    // SAFETY: the callers give as many words as their command reads or writes.
    match unsafe { libc::ioctl(socket, libc::SIOCETHTOOL as _, &mut request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nic_with_combined_channels_is_resized_in_those() {
        let most = Channels { rx: 0, tx: 0, combined: 8 };
        let now = Channels { rx: 0, tx: 0, combined: 4 };
        assert_eq!((now.pairs(), now.receiving()), (4, 4));
        assert_eq!(now.resized(2, most), Some(Channels { combined: 2, ..now }));
        assert_eq!(now.resized(9, most), None);
        assert_eq!(now.resized(0, most), None);
    }

    #[test]
    fn a_receive_queue_gets_a_transmit_queue_of_the_same_number() {
        let most = Channels { rx: 4, tx: 4, combined: 0 };
        let now = Channels { rx: 4, tx: 2, combined: 0 };
        assert_eq!((now.pairs(), now.receiving()), (2, 4));
        assert_eq!(now.resized(3, most), Some(Channels { rx: 3, tx: 3, combined: 0 }));
        assert_eq!(now.resized(1, most), Some(Channels { rx: 1, tx: 2, combined: 0 }));
        assert_eq!(now.resized(3, Channels { tx: 2, ..most }), None, "it has no third to transmit");
    }
}
