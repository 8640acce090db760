//! Reads a payload from its front, and counts what comes with it.

use super::{Fds, MAX_TABLE, ProtocolError, Request};
use crate::memory::RegionSpec;
use std::os::fd::OwnedFd;

/// "A vring address description".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingAddress {
    pub(crate) ring: u32,
    /// Addresses of the front end's own.
    pub(crate) desc: u64,
    pub(crate) used: u64,
    pub(crate) avail: u64,
    /// The guest's address of the used ring, if writes to it are to be logged.
    pub(crate) log: Option<u64>,
}

/// "Inflight description".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InflightArea {
    /// Bytes, and where in the file.
    pub(crate) len: u64,
    pub(crate) offset: u64,
    pub(crate) rings: u16,
    /// Descriptors of each ring.
    pub(crate) size: u16,
    /// The front end's structure ends with padding, as most compilers make it, and so must the reply's.
    pub(crate) padded: bool,
}

/// `VHOST_VRING_F_LOG`, `linux/vhost_types.h`.
const VRING_F_LOG: u32 = 1;
/// SET_VRING_KICK, CALL and ERR: bits of the payload.
const VRING_INDEX: u64 = 0xff;
const VRING_NO_FD: u64 = 1 << 8;
const INFLIGHT: usize = 20;
pub(super) const INFLIGHT_PADDING: usize = 4;

pub(crate) struct Payload<'a> {
    request: u32,
    len: usize,
    rest: &'a [u8],
    fds: Fds,
}

impl<'a> Payload<'a> {
    pub(crate) fn new(request: u32, bytes: &'a [u8], fds: Fds) -> Self {
        Self { request, len: bytes.len(), rest: bytes, fds }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let short = ProtocolError::Length(self.request, self.len);
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ProtocolError> {
        self.bytes().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ProtocolError> {
        self.bytes().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ProtocolError> {
        self.bytes().map(u64::from_ne_bytes)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, ProtocolError> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(ProtocolError::Value(self.request, other.into())),
        }
    }

    /// The first six bytes of a number.
    pub(crate) fn mac(&mut self) -> Result<[u8; 6], ProtocolError> {
        let [a, b, c, d, e, f, _, _] = self.bytes()?;
        Ok([a, b, c, d, e, f])
    }

    pub(crate) fn region(&mut self) -> Result<RegionSpec, ProtocolError> {
        let (guest, size) = (self.u64()?, self.u64()?);
        Ok(RegionSpec { guest, size, user: self.u64()?, offset: self.u64()? })
    }

    /// A descriptor for each region.
    pub(crate) fn table(&mut self) -> Result<Vec<(RegionSpec, OwnedFd)>, ProtocolError> {
        let (count, _padding) = (self.u32()?, self.u32()?);
        if count as usize > MAX_TABLE {
            return Err(ProtocolError::Table(count, MAX_TABLE));
        }
        let mut table = Vec::new();
        for _ in 0..count {
            let region = self.region()?;
            table.push((region, self.fd()?));
        }
        Ok(table)
    }

    /// Front ends send the log's length and offset also if they did not negotiate `LOG_SHMFD`, when the
    /// payload is to be a number.
    pub(crate) fn log_base(&mut self) -> Result<Request, ProtocolError> {
        let len = self.u64()?;
        let offset = if self.rest.is_empty() { 0 } else { self.u64()? };
        Ok(Request::SetLogBase { len, offset, file: self.fds.pop() })
    }

    pub(crate) fn address(&mut self) -> Result<RingAddress, ProtocolError> {
        let (ring, flags) = (self.u32()?, self.u32()?);
        let (desc, used, avail, log) = (self.u64()?, self.u64()?, self.u64()?, self.u64()?);
        if flags & !VRING_F_LOG != 0 {
            return Err(ProtocolError::Value(self.request, flags.into()));
        }
        Ok(RingAddress { ring, desc, used, avail, log: (flags & VRING_F_LOG != 0).then_some(log) })
    }

    pub(crate) fn inflight(&mut self) -> Result<InflightArea, ProtocolError> {
        let padded = self.len == INFLIGHT + INFLIGHT_PADDING;
        let (len, offset, rings, size) = (self.u64()?, self.u64()?, self.u16()?, self.u16()?);
        if padded {
            self.bytes::<INFLIGHT_PADDING>()?;
        }
        Ok(InflightArea { len, offset, rings, size, padded })
    }

    pub(crate) fn vring_fd(
        &mut self,
        request: impl FnOnce(u32, Option<OwnedFd>) -> Request,
    ) -> Result<Request, ProtocolError> {
        let word = self.u64()?;
        if word & !(VRING_INDEX | VRING_NO_FD) != 0 {
            return Err(ProtocolError::Value(self.request, word));
        }
        let fd = if word & VRING_NO_FD == 0 { Some(self.fd()?) } else { None };
        Ok(request((word & VRING_INDEX) as u32, fd))
    }

    /// The next descriptor.
    pub(crate) fn fd(&mut self) -> Result<OwnedFd, ProtocolError> {
        self.fds.pop_at(0).ok_or(ProtocolError::TooFewFds(self.request, 1))
    }

    /// Accepts a descriptor that has no use.
    pub(crate) fn close_one(&mut self) {
        self.fds.pop();
    }

    /// All was read.
    pub(crate) fn end(self) -> Result<(), ProtocolError> {
        if !self.rest.is_empty() {
            return Err(ProtocolError::Length(self.request, self.len));
        }
        match self.fds.len() {
            0 => Ok(()),
            surplus => Err(ProtocolError::TooManyFds(self.request, surplus)),
        }
    }
}
