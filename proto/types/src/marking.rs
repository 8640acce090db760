//! The priorities that frames carry: PCP in a VLAN tag, DSCP in an IP header; and sets of them.

use std::fmt;
use std::str::FromStr;

/// Priority code point of a VLAN tag, 0 to 7 (IEEE 802.1Q-2022, 9.6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Pcp(u8);

/// Differentiated services code point, 0 to 63 (RFC 2474, 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Dscp(u8);

/// What was typed or sent is no code point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMarking {
    #[error("PCP `{0}` does not exist; PCPs go from 0 to 7")]
    Pcp(String),
    #[error("DSCP `{0}` does not exist; DSCPs go from 0 to 63, or are named like ef, cs5, af11, be, va, le")]
    Dscp(String),
}

impl Pcp {
    pub fn new(n: u32) -> Result<Self, BadMarking> {
        if n < 8 { Ok(Self(n as u8)) } else { Err(BadMarking::Pcp(n.to_string())) }
    }
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl FromStr for Pcp {
    type Err = BadMarking;
    fn from_str(s: &str) -> Result<Self, BadMarking> {
        digits(s).and_then(|n| Self::new(n).ok()).ok_or_else(|| BadMarking::Pcp(s.into()))
    }
}

impl fmt::Display for Pcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Besides `csN` and `afXY`: RFC 3246, RFC 5865, RFC 8622.
const NAMES: &[(&str, u8)] = &[("be", 0), ("le", 1), ("va", 44), ("ef", 46)];

impl Dscp {
    pub fn new(n: u32) -> Result<Self, BadMarking> {
        if n < 64 { Ok(Self(n as u8)) } else { Err(BadMarking::Dscp(n.to_string())) }
    }
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
    /// The class of an assured-forwarding code point, 1 to 4, and its drop precedence, 1 to 3 (RFC 2597, 6).
    #[inline]
    pub const fn assured(self) -> Option<(u8, u8)> {
        let (class, precedence) = (self.0 >> 3, self.0 >> 1 & 3);
        match (class, precedence) {
            (1..=4, 1..=3) if self.0 & 1 == 0 => Some((class, precedence)),
            _ => None,
        }
    }
    /// With another drop precedence, 1 to 3, where there is such a thing; else as it is.
    #[inline]
    #[must_use]
    pub const fn with_precedence(self, precedence: u8) -> Self {
        match self.assured() {
            Some((class, _)) => Self(class << 3 | (precedence & 3) << 1),
            None => self,
        }
    }
}

impl FromStr for Dscp {
    type Err = BadMarking;

    /// `46`, `ef`, `cs5`, `af11`.
    fn from_str(s: &str) -> Result<Self, BadMarking> {
        let name = s.to_ascii_lowercase();
        let number = match name.as_bytes() {
            [b'c', b's', n @ b'0'..=b'7'] => Some(u32::from(n - b'0') << 3),
            [b'a', b'f', x @ b'1'..=b'4', y @ b'1'..=b'3'] => {
                Some(u32::from(x - b'0') << 3 | u32::from(y - b'0') << 1)
            }
            _ => NAMES.iter().find(|(n, _)| *n == name).map(|(_, v)| u32::from(*v)).or_else(|| digits(s)),
        };
        number.and_then(|n| Self::new(n).ok()).ok_or_else(|| BadMarking::Dscp(s.into()))
    }
}

impl fmt::Display for Dscp {
    /// By its name, if it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, v)| *v == self.0) {
            return f.write_str(name);
        }
        match self.assured() {
            Some((class, precedence)) => write!(f, "af{class}{precedence}"),
            None if self.0 & 7 == 0 => write!(f, "cs{}", self.0 >> 3),
            None => self.0.fmt(f),
        }
    }
}

fn digits(s: &str) -> Option<u32> {
    s.bytes().all(|b| b.is_ascii_digit()).then(|| s.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_points_have_names() {
        for (typed, n, printed) in [
            ("46", 46, "ef"),
            ("EF", 46, "ef"),
            ("cs5", 40, "cs5"),
            ("cs0", 0, "be"),
            ("af11", 10, "af11"),
            ("af43", 38, "af43"),
            ("44", 44, "va"),
            ("le", 1, "le"),
            ("63", 63, "63"),
        ] {
            let dscp: Dscp = typed.parse().unwrap();
            assert_eq!((dscp.get(), dscp.to_string().as_str()), (n, printed), "{typed}");
        }
        for n in 0..64 {
            let dscp = Dscp::new(n).unwrap();
            assert_eq!(dscp.to_string().parse(), Ok(dscp));
        }
        for bad in ["", "64", "cs8", "af14", "af51", "af1", "-1", "+1", "gold"] {
            assert!(bad.parse::<Dscp>().is_err(), "{bad}");
        }
        assert!("8".parse::<Pcp>().is_err() && "".parse::<Pcp>().is_err());
        assert_eq!("7".parse::<Pcp>().map(Pcp::get), Ok(7));
    }

    #[test]
    fn only_assured_forwarding_has_drop_precedence() {
        let dscp = |s: &str| s.parse::<Dscp>().unwrap();
        assert_eq!(dscp("af21").with_precedence(3), dscp("af23"));
        assert_eq!(dscp("af43").with_precedence(2), dscp("af42"));
        assert_eq!(
            (dscp("ef").with_precedence(3), dscp("cs1").with_precedence(2)),
            (dscp("ef"), dscp("cs1"))
        );
    }
}
