//! EUI-48 addresses.

use std::fmt;
use std::str::FromStr;

/// An Ethernet (EUI-48) address, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(transparent)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    pub const BROADCAST: Self = Self([0xff; 6]);
    pub const ZERO: Self = Self([0; 6]);

    /// True for group addresses (multicast and broadcast): the I/G bit, the least significant bit of
    /// the first octet (IEEE 802-2014, 8.2).
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// The address as a number below 2^48; the first octet on the wire is the most significant.
    #[inline]
    pub const fn to_u48(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The inverse of [`MacAddr::to_u48`]; the upper 16 bits are ignored.
    #[inline]
    pub const fn from_u48(n: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = n.to_be_bytes();
        Self([a, b, c, d, e, f])
    }
}

/// An address as a number below 2^48, the first octet on the wire the most significant: one register, for
/// the packet path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Debug)]
#[repr(transparent)]
pub struct Mac48(u64);

impl Mac48 {
    /// From eight bytes of a frame that begin with the address.
    #[inline]
    pub const fn leading(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes) >> 16)
    }
    #[inline]
    pub const fn number(self) -> u64 {
        self.0
    }
    /// As [`MacAddr::is_group`].
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0 >> 40 & 1 != 0
    }
    pub const fn addr(self) -> MacAddr {
        MacAddr::from_u48(self.0)
    }
}

impl From<MacAddr> for Mac48 {
    fn from(mac: MacAddr) -> Self {
        Self(mac.to_u48())
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What was typed is no MAC address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a MAC address; write six pairs of hex digits, like 02:00:00:00:00:01")]
pub struct BadMac(pub String);

impl FromStr for MacAddr {
    type Err = BadMac;

    /// Accepts `02:00:00:00:00:01` and `02-00-00-00-00-01`.
    fn from_str(s: &str) -> Result<Self, BadMac> {
        let bad = || BadMac(s.to_owned());
        let separator = if s.contains('-') { '-' } else { ':' };
        let mut octets = [0; 6];
        let mut parts = s.split(separator);
        for octet in &mut octets {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *octet = u8::from_str_radix(part.ok_or_else(bad)?, 16).map_err(|_| bad())?;
        }
        if parts.next().is_some() { Err(bad()) } else { Ok(Self(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_prints() {
        for s in ["02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:0e"] {
            let mac: MacAddr = s.parse().unwrap();
            assert_eq!(mac.to_string(), s);
            assert_eq!(MacAddr::from_u48(mac.to_u48()), mac);
            assert_eq!(Mac48::from(mac).addr(), mac);
            assert_eq!(Mac48::from(mac).is_group(), mac.is_group());
        }
        assert_eq!("0A-1b-2C-3d-4E-5f".parse::<MacAddr>().unwrap().to_string(), "0a:1b:2c:3d:4e:5f");
    }

    #[test]
    fn refuses_what_is_none() {
        for s in [
            "",
            "02",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "2:0:0:0:0:1",
            "02:00:00:00:00:0g",
            "+2:00:00:00:00:01",
        ] {
            assert!(s.parse::<MacAddr>().is_err(), "{s}");
        }
    }
}
