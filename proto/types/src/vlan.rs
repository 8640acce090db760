//! VLAN identifiers and sets of them.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

/// A usable VLAN identifier: 1..=4094. 0 means "priority tag, no VLAN" and 4095 is reserved
/// (IEEE 802.1Q-2022, table 9-2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(transparent)]
pub struct VlanId(NonZeroU16);

/// The number is no usable VLAN id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("VLAN {0} does not exist; VLAN ids go from 1 to 4094")]
pub struct BadVlanId(pub u32);

impl VlanId {
    pub const MIN: Self = Self(NonZeroU16::MIN);
    /// The VLAN of untagged frames on a port that names none, as in IEEE 802.1Q (default PVID 1).
    pub const DEFAULT: Self = Self::MIN;

    pub const fn new(vid: u32) -> Result<Self, BadVlanId> {
        match NonZeroU16::new(vid as u16) {
            Some(v) if vid <= 4094 => Ok(Self(v)),
            _ => Err(BadVlanId(vid)),
        }
    }

    /// The VLAN a tag's 12-bit VID names, if it names a usable one.
    #[inline]
    pub const fn from_vid(vid: u16) -> Option<Self> {
        match NonZeroU16::new(vid) {
            Some(v) if vid <= 4094 => Some(Self(v)),
            _ => None,
        }
    }

    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const WORDS: usize = 64;

/// A set of VLANs: one bit each, 512 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct VlanSet(Box<[u64; WORDS]>);

impl Default for VlanSet {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl VlanSet {
    /// Every VLAN from 1 to 4094.
    pub fn all() -> Self {
        let mut set = Self::default();
        set.insert_range(1, 4094);
        set
    }
    /// Both ends included.
    fn insert_range(&mut self, from: u16, to: u16) {
        for (i, word) in self.0.iter_mut().enumerate() {
            let (start, end) = (i as u16 * 64, i as u16 * 64 + 63);
            if from <= end && start <= to {
                let low = u64::MAX << from.saturating_sub(start);
                let high = u64::MAX >> end.saturating_sub(to);
                *word |= low & high;
            }
        }
    }
    /// The first number from `at` on that is in the set, or is not.
    fn next(&self, at: u16, present: bool) -> Option<u16> {
        let flip = if present { 0 } else { u64::MAX };
        let mut word = at as usize / 64;
        let mut bits = (self.0.get(word)? ^ flip) & u64::MAX << (at % 64);
        while bits == 0 {
            word += 1;
            bits = self.0.get(word)? ^ flip;
        }
        Some(word as u16 * 64 + bits.trailing_zeros() as u16)
    }
    pub fn insert(&mut self, v: VlanId) {
        self.0[v.get() as usize / 64] |= 1 << (v.get() % 64);
    }
    #[inline]
    pub fn contains(&self, v: VlanId) -> bool {
        self.0[v.get() as usize / 64] & (1 << (v.get() % 64)) != 0
    }
    pub fn len(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }
    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = VlanId> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let vid = self.next(at, true)?;
            at = vid + 1;
            VlanId::from_vid(vid)
        })
    }
}

impl FromIterator<VlanId> for VlanSet {
    fn from_iter<I: IntoIterator<Item = VlanId>>(vlans: I) -> Self {
        let mut set = Self::default();
        vlans.into_iter().for_each(|v| set.insert(v));
        set
    }
}

impl fmt::Display for VlanSet {
    /// As a user types it: `10,20-29,30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        let mut comma = "";
        while let Some(from) = self.next(at, true) {
            // 4095 is never in a set, so every run has an end.
            at = self.next(from, false).unwrap_or(4095);
            match at - 1 {
                to if to == from => write!(f, "{comma}{from}")?,
                to => write!(f, "{comma}{from}-{to}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for VlanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// What was typed is no list of VLANs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadVlanList {
    #[error("`{list}` is not a list of VLANs: `{part}` is neither a number nor a range; write 10,20-29,30")]
    Syntax { list: String, part: String },
    #[error("`{list}` is not a list of VLANs: the range `{part}` runs backwards")]
    Backwards { list: String, part: String },
    #[error("`{list}` is not a list of VLANs: {bad}")]
    Vlan { list: String, bad: BadVlanId },
}

impl FromStr for VlanSet {
    type Err = BadVlanList;

    fn from_str(list: &str) -> Result<Self, BadVlanList> {
        let mut set = Self::default();
        for part in list.split(',').map(str::trim) {
            let number = |s: &str| match s.parse::<u32>() {
                Ok(n) if s.bytes().all(|b| b.is_ascii_digit()) => {
                    VlanId::new(n).map_err(|bad| BadVlanList::Vlan { list: list.into(), bad })
                }
                _ => Err(BadVlanList::Syntax { list: list.into(), part: part.into() }),
            };
            let (from, to) = match part.split_once('-') {
                Some((a, b)) => (number(a)?, number(b)?),
                None => (number(part)?, number(part)?),
            };
            if from > to {
                return Err(BadVlanList::Backwards { list: list.into(), part: part.into() });
            }
            set.insert_range(from.get(), to.get());
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_back_as_they_print() {
        for (typed, printed) in
            [("10", "10"), ("30,10,20-22", "10,20-22,30"), ("1-4094", "1-4094"), ("5,6", "5-6")]
        {
            let set: VlanSet = typed.parse().unwrap();
            assert_eq!(set.to_string(), printed);
            assert_eq!(set.to_string().parse::<VlanSet>().unwrap(), set);
        }
        assert_eq!(VlanSet::all(), "1-4094".parse().unwrap());
        assert_eq!(VlanSet::all().len(), 4094);
        assert_eq!(
            VlanSet::all().iter().map(VlanId::get).collect::<Vec<_>>(),
            (1..=4094).collect::<Vec<_>>()
        );
        assert_eq!("64-127".parse::<VlanSet>().unwrap().iter().count(), 64);
    }

    #[test]
    fn bad_lists_say_what_is_bad() {
        for (list, says) in [
            ("", "neither a number"),
            ("10,", "neither a number"),
            ("a", "`a`"),
            ("10-", "`10-`"),
            ("20-10", "backwards"),
            ("0", "VLAN 0 does not exist"),
            ("4095", "VLAN 4095 does not exist"),
            ("65546", "VLAN 65546 does not exist"),
            ("+5", "`+5`"),
            ("1-2-3", "`1-2-3`"),
        ] {
            let e = list.parse::<VlanSet>().unwrap_err().to_string();
            assert!(e.contains(says), "{list}: {e}");
        }
    }
}
