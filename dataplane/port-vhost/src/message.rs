//! Vhost-user messages as they are on the wire: QEMU, `docs/interop/vhost-user.rst`, "Message Specification".
//!
//! A header of three 32-bit words, then a payload; numbers are in the machine's byte order. Descriptors come as
//! ancillary data (`SCM_RIGHTS`). A front end is not trusted: every length is compared with what the request
//! calls for, and descriptors are counted. One that is not accounted for is closed, with its message.
//!
//! Plain data: no state, no threads.

mod error;
mod payload;

pub(crate) use error::ProtocolError;
pub(crate) use payload::{InflightArea, RingAddress};

use crate::memory::RegionSpec;
use arrayvec::ArrayVec;
use payload::Payload;
use std::os::fd::OwnedFd;

/// Bytes in front of each payload.
pub(crate) const HEADER: usize = 12;
/// Bytes of a payload that is read at all; the longest that a network device needs is a memory table.
pub(crate) const MAX_PAYLOAD: usize = 4096;
/// Memory regions in one table, and so descriptors in one message. The protocol says eight; rust-vmm sends up
/// to 32.
pub(crate) const MAX_TABLE: usize = 32;

const VERSION: u32 = 1;
const VERSION_MASK: u32 = 3;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// Descriptors that came with a message.
pub(crate) type Fds = ArrayVec<OwnedFd, MAX_TABLE>;

/// What stands in front of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) request: u32,
    pub(crate) need_reply: bool,
    /// Bytes of payload.
    pub(crate) size: usize,
}

impl Header {
    /// # Errors
    /// When it is another version's, a reply, or of a payload that is too long. Then nobody knows where the
    /// next message begins.
    pub(crate) fn parse(bytes: [u8; HEADER]) -> Result<Self, ProtocolError> {
        let [request, flags, size] =
            [0, 4, 8].map(|at| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        if flags & VERSION_MASK != VERSION {
            return Err(ProtocolError::Version(flags & VERSION_MASK));
        }
        if flags & REPLY != 0 {
            return Err(ProtocolError::NotARequest(request));
        }
        if size as usize > MAX_PAYLOAD {
            return Err(ProtocolError::TooLong(size));
        }
        Ok(Self { request, need_reply: flags & NEED_REPLY != 0, size: size as usize })
    }
}

/// What a front end asks for. Vrings are named by their index.
#[derive(Debug)]
pub(crate) enum Request {
    GetFeatures,
    SetFeatures(u64),
    SetOwner,
    ResetOwner,
    SetMemTable(Vec<(RegionSpec, OwnedFd)>),
    /// With a file only if `LOG_SHMFD` was negotiated.
    SetLogBase {
        len: u64,
        offset: u64,
        file: Option<OwnedFd>,
    },
    SetLogFd,
    SetVringNum {
        ring: u32,
        size: u32,
    },
    SetVringAddr(RingAddress),
    SetVringBase {
        ring: u32,
        base: u32,
    },
    GetVringBase {
        ring: u32,
    },
    SetVringKick {
        ring: u32,
        fd: Option<OwnedFd>,
    },
    SetVringCall {
        ring: u32,
        fd: Option<OwnedFd>,
    },
    SetVringErr {
        ring: u32,
        fd: Option<OwnedFd>,
    },
    GetProtocolFeatures,
    SetProtocolFeatures(u64),
    GetQueueNum,
    SetVringEnable {
        ring: u32,
        on: bool,
    },
    SendRarp([u8; 6]),
    NetSetMtu(u64),
    GetInflightFd(InflightArea),
    SetInflightFd(InflightArea, OwnedFd),
    ResetDevice,
    GetMaxMemSlots,
    AddMemReg(RegionSpec, OwnedFd),
    RemMemReg(RegionSpec),
    SetStatus(u64),
    GetStatus,
}

/// Numbers of requests, "Front-end message types".
pub(crate) mod id {
    pub(crate) const GET_FEATURES: u32 = 1;
    pub(crate) const SET_FEATURES: u32 = 2;
    pub(crate) const SET_OWNER: u32 = 3;
    pub(crate) const RESET_OWNER: u32 = 4;
    pub(crate) const SET_MEM_TABLE: u32 = 5;
    pub(crate) const SET_LOG_BASE: u32 = 6;
    pub(crate) const SET_LOG_FD: u32 = 7;
    pub(crate) const SET_VRING_NUM: u32 = 8;
    pub(crate) const SET_VRING_ADDR: u32 = 9;
    pub(crate) const SET_VRING_BASE: u32 = 10;
    pub(crate) const GET_VRING_BASE: u32 = 11;
    pub(crate) const SET_VRING_KICK: u32 = 12;
    pub(crate) const SET_VRING_CALL: u32 = 13;
    pub(crate) const SET_VRING_ERR: u32 = 14;
    pub(crate) const GET_PROTOCOL_FEATURES: u32 = 15;
    pub(crate) const SET_PROTOCOL_FEATURES: u32 = 16;
    pub(crate) const GET_QUEUE_NUM: u32 = 17;
    pub(crate) const SET_VRING_ENABLE: u32 = 18;
    pub(crate) const SEND_RARP: u32 = 19;
    pub(crate) const NET_SET_MTU: u32 = 20;
    pub(crate) const GET_INFLIGHT_FD: u32 = 31;
    pub(crate) const SET_INFLIGHT_FD: u32 = 32;
    pub(crate) const RESET_DEVICE: u32 = 34;
    pub(crate) const GET_MAX_MEM_SLOTS: u32 = 36;
    pub(crate) const ADD_MEM_REG: u32 = 37;
    pub(crate) const REM_MEM_REG: u32 = 38;
    pub(crate) const SET_STATUS: u32 = 39;
    pub(crate) const GET_STATUS: u32 = 40;

    /// Whether the answer is more than a yes or no, so that it cannot say no.
    pub(crate) fn is_question(request: u32) -> bool {
        matches!(
            request,
            GET_FEATURES
                | GET_VRING_BASE
                | GET_PROTOCOL_FEATURES
                | GET_QUEUE_NUM
                | GET_INFLIGHT_FD
                | GET_MAX_MEM_SLOTS
                | GET_STATUS
        )
    }
}

impl Request {
    /// # Errors
    /// What is wrong with it. All its descriptors are closed then.
    pub(crate) fn parse(request: u32, payload: &[u8], fds: Fds) -> Result<Self, ProtocolError> {
        let mut p = Payload::new(request, payload, fds);
        let parsed = match request {
            id::GET_FEATURES => Self::GetFeatures,
            id::SET_FEATURES => Self::SetFeatures(p.u64()?),
            id::SET_OWNER => Self::SetOwner,
            id::RESET_OWNER => Self::ResetOwner,
            id::SET_MEM_TABLE => Self::SetMemTable(p.table()?),
            id::SET_LOG_BASE => p.log_base()?,
            id::SET_LOG_FD => {
                // Nobody is told of changes to the log: whoever migrates reads it in rounds.
                p.fd()?;
                Self::SetLogFd
            }
            id::SET_VRING_NUM => Self::SetVringNum { ring: p.u32()?, size: p.u32()? },
            id::SET_VRING_ADDR => Self::SetVringAddr(p.address()?),
            id::SET_VRING_BASE => Self::SetVringBase { ring: p.u32()?, base: p.u32()? },
            id::GET_VRING_BASE => {
                let ring = p.u32()?;
                p.u32()?;
                Self::GetVringBase { ring }
            }
            id::SET_VRING_KICK => p.vring_fd(|ring, fd| Self::SetVringKick { ring, fd })?,
            id::SET_VRING_CALL => p.vring_fd(|ring, fd| Self::SetVringCall { ring, fd })?,
            id::SET_VRING_ERR => p.vring_fd(|ring, fd| Self::SetVringErr { ring, fd })?,
            id::GET_PROTOCOL_FEATURES => Self::GetProtocolFeatures,
            id::SET_PROTOCOL_FEATURES => Self::SetProtocolFeatures(p.u64()?),
            id::GET_QUEUE_NUM => Self::GetQueueNum,
            id::SET_VRING_ENABLE => Self::SetVringEnable { ring: p.u32()?, on: p.bool()? },
            id::SEND_RARP => Self::SendRarp(p.mac()?),
            id::NET_SET_MTU => Self::NetSetMtu(p.u64()?),
            id::GET_INFLIGHT_FD => Self::GetInflightFd(p.inflight()?),
            id::SET_INFLIGHT_FD => Self::SetInflightFd(p.inflight()?, p.fd()?),
            id::RESET_DEVICE => Self::ResetDevice,
            id::GET_MAX_MEM_SLOTS => Self::GetMaxMemSlots,
            id::ADD_MEM_REG => {
                p.u64()?;
                Self::AddMemReg(p.region()?, p.fd()?)
            }
            id::REM_MEM_REG => {
                p.u64()?;
                let region = p.region()?;
                // "the back-end MAY accept messages with one file descriptor", of older front ends.
                p.close_one();
                Self::RemMemReg(region)
            }
            id::SET_STATUS => Self::SetStatus(p.u64()?),
            id::GET_STATUS => Self::GetStatus,
            other => return Err(ProtocolError::Unknown(other)),
        };
        p.end()?;
        Ok(parsed)
    }
}

/// What goes back to the front end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) bytes: ArrayVec<u8, { HEADER + 24 }>,
    pub(crate) file: Option<OwnedFd>,
}

/// The answer to a question for a number, and how a request is acknowledged: 0 is a yes.
pub(crate) fn number(request: u32, n: u64) -> Reply {
    reply(request, &[&n.to_ne_bytes()], None)
}

/// "A vring state description".
pub(crate) fn vring_state(request: u32, ring: u32, n: u32) -> Reply {
    reply(request, &[&ring.to_ne_bytes(), &n.to_ne_bytes()], None)
}

/// A region of `len` bytes, which is all of the file, for the rings that were asked for.
pub(crate) fn inflight(wanted: InflightArea, len: u64, file: OwnedFd) -> Reply {
    let padding = [0; payload::INFLIGHT_PADDING];
    let (rings, size) = (wanted.rings.to_ne_bytes(), wanted.size.to_ne_bytes());
    let padding = if wanted.padded { &padding[..] } else { &[] };
    reply(id::GET_INFLIGHT_FD, &[&len.to_ne_bytes(), &[0; 8], &rings, &size, padding], Some(file))
}

fn reply(request: u32, payload: &[&[u8]], file: Option<OwnedFd>) -> Reply {
    let size = payload.iter().map(|part| part.len() as u32).sum::<u32>();
    let mut bytes = ArrayVec::new();
    for word in [request, VERSION | REPLY, size] {
        bytes.extend(word.to_ne_bytes());
    }
    payload.iter().for_each(|part| bytes.extend(part.iter().copied()));
    Reply { bytes, file }
}

#[cfg(test)]
mod tests;
