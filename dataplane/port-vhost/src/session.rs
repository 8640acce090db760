//! One connection: what the front end said so far, and what follows from it.
//!
//! A state machine over requests: each has an answer or none, and some have an effect on the port's rings, which
//! are [`Shared`] with the workers. It knows nothing of sockets.
//!
//! A ring is started when it has everything: its size, its addresses, where it goes on, its kick, and the
//! memory that it lies in; in which order they came does not matter. It stops when the front end asks where it
//! is. What a running ring may be given anew is its kick and whether it is logged; then it is stopped and goes
//! on at the same place.
//!
//! Thread-safety: owned by the service thread. Dropping it ends the use of everything that the front end gave.

use crate::fault::Fault;
use crate::features::LOG_ALL;
use crate::inflight::InFlight;
use crate::memory::{MAX_REGIONS, Memory};
use crate::message::{self, Fds, Header, ProtocolError, Reply, Request, RingAddress, id};
use crate::offer::{self, protocol};
use crate::ring::F_RING_PACKED;
use crate::shared::{RingSetup, Shared};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Descriptors of a ring: virtio 1.2, 2.7 and 2.8.10.1.
const MOST_DESCRIPTORS: u32 = 32_768;
/// Bytes of L3 payload.
const LEAST_MTU: u64 = 68;

/// How the guest says that there is work.
#[derive(Debug)]
enum Kick {
    Event(OwnedFd),
    /// Not at all.
    Polled,
}

#[derive(Debug, Default)]
struct Vring {
    size: Option<u32>,
    address: Option<RingAddress>,
    base: Option<u32>,
    kick: Option<Kick>,
    /// As told; see [`Session::is_enabled`].
    enabled: Option<bool>,
    runs: bool,
}

/// What others want to know of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Virtio features; `None` before they are negotiated.
    pub(crate) features: Option<u64>,
    /// Bytes of L3 payload that the front end told its guest.
    pub(crate) mtu: Option<u16>,
    /// Queue pairs that run and are enabled, both ways.
    pub(crate) pairs: u16,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    Silent,
    Reply(Reply),
    /// The front end is told that it was refused.
    Refused(Reply, ProtocolError),
    /// There is no way to tell: the connection is to end.
    End(ProtocolError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    rings: Vec<Vring>,
    memory: Arc<Memory>,
    /// Whether it was given.
    has_memory: bool,
    features: Option<u64>,
    protocol: u64,
    /// Virtio 1.2, 2.1.
    status: u64,
    mtu: Option<u16>,
    /// The port's own, if it is configured.
    most_mtu: Option<u16>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.disconnect();
    }
}

impl Session {
    /// `mtu`: as configured.
    pub(crate) fn new(shared: Arc<Shared>, mtu: Option<u16>) -> Self {
        let rings = (0..shared.rings()).map(|_| Vring::default()).collect();
        Self {
            shared,
            rings,
            memory: Arc::default(),
            has_memory: false,
            features: None,
            protocol: 0,
            status: 0,
            mtu: None,
            most_mtu: mtu,
        }
    }

    pub(crate) fn facts(&self) -> Facts {
        let on = |ring: &Vring| ring.runs && self.is_enabled(ring);
        let pairs = self.rings.chunks(2).filter(|pair| pair.iter().all(on)).count() as u16;
        Facts { features: self.features, mtu: self.mtu, pairs }
    }

    /// Another MTU was configured.
    pub(crate) fn set_mtu(&mut self, mtu: Option<u16>) {
        self.most_mtu = mtu;
    }

    /// Takes a whole message.
    pub(crate) fn message(&mut self, header: Header, payload: &[u8], fds: Fds) -> Outcome {
        let handled = Request::parse(header.request, payload, fds).and_then(|request| self.handle(request));
        let acked = header.need_reply && self.protocol & protocol::REPLY_ACK != 0;
        match handled {
            Ok(Some(reply)) => Outcome::Reply(reply),
            Ok(None) if acked => Outcome::Reply(message::number(header.request, 0)),
            Ok(None) => Outcome::Silent,
            Err(e) if acked && !id::is_question(header.request) => {
                Outcome::Refused(message::number(header.request, 1), e)
            }
            Err(e) => Outcome::End(e),
        }
    }

    fn handle(&mut self, request: Request) -> Result<Option<Reply>, ProtocolError> {
        let number = |id, n| Ok(Some(message::number(id, n)));
        match request {
            Request::GetFeatures => return number(id::GET_FEATURES, offer::FEATURES),
            Request::SetFeatures(features) => self.set_features(features)?,
            // Deprecated: "It is recommended that back-ends either ignore this message".
            Request::SetOwner | Request::ResetOwner | Request::SetLogFd => {}
            Request::SetMemTable(table) => self.set_memory(Memory::new(table)?)?,
            Request::SetLogBase { len, offset, file } => return self.set_log(len, offset, file),
            Request::SetVringNum { ring, size } => self.set_size(ring, size)?,
            Request::SetVringAddr(address) => self.set_address(address)?,
            Request::SetVringBase { ring, base } => {
                self.stopped(ring)?.base = Some(base);
                self.try_start(ring)?;
            }
            Request::GetVringBase { ring } => return self.stop(ring),
            Request::SetVringKick { ring, fd } => self.set_kick(ring, fd)?,
            Request::SetVringCall { ring, fd } => {
                self.ring(ring)?;
                self.shared.set_call(ring as usize, fd)?;
            }
            Request::SetVringErr { ring, fd } => {
                self.ring(ring)?;
                self.shared.set_err(ring as usize, fd)?;
            }
            Request::GetProtocolFeatures => return number(id::GET_PROTOCOL_FEATURES, protocol::FEATURES),
            Request::SetProtocolFeatures(features) => match features & !protocol::FEATURES {
                0 => self.protocol = features,
                others => return Err(ProtocolError::ProtocolFeatures(others)),
            },
            Request::GetQueueNum => return number(id::GET_QUEUE_NUM, self.rings.len() as u64 / 2),
            Request::SetVringEnable { ring, on } => {
                self.ring(ring)?.enabled = Some(on);
                self.shared.enable(ring as usize, on);
            }
            Request::SendRarp(mac) => {
                self.needs(protocol::RARP, id::SEND_RARP)?;
                self.shared.announce(mac);
            }
            Request::NetSetMtu(mtu) => self.set_guest_mtu(mtu)?,
            Request::GetInflightFd(wanted) => {
                self.needs(protocol::INFLIGHT_SHMFD, id::GET_INFLIGHT_FD)?;
                let (file, len) = InFlight::create(wanted.rings, wanted.size)?;
                return Ok(Some(message::inflight(wanted, len, file)));
            }
            Request::SetInflightFd(told, file) => {
                self.needs(protocol::INFLIGHT_SHMFD, id::SET_INFLIGHT_FD)?;
                let region = InFlight::map(&file, told.offset, told.len, told.rings, told.size)?;
                self.shared.set_inflight(region);
            }
            Request::ResetDevice => {
                self.needs(protocol::RESET_DEVICE, id::RESET_DEVICE)?;
                self.reset();
            }
            Request::GetMaxMemSlots => return number(id::GET_MAX_MEM_SLOTS, MAX_REGIONS as u64),
            Request::AddMemReg(region, file) => {
                self.needs(protocol::CONFIGURE_MEM_SLOTS, id::ADD_MEM_REG)?;
                self.set_memory(self.memory.with(region, file)?)?;
            }
            Request::RemMemReg(region) => {
                self.needs(protocol::CONFIGURE_MEM_SLOTS, id::REM_MEM_REG)?;
                self.set_memory(self.memory.without(region)?)?;
            }
            Request::SetStatus(status) => {
                self.needs(protocol::STATUS, id::SET_STATUS)?;
                self.status =
                    u8::try_from(status).map_err(|_| ProtocolError::Value(id::SET_STATUS, status))?.into();
            }
            Request::GetStatus => {
                self.needs(protocol::STATUS, id::GET_STATUS)?;
                return number(id::GET_STATUS, self.status);
            }
        }
        Ok(None)
    }

    fn needs(&self, feature: u64, request: u32) -> Result<(), ProtocolError> {
        match self.protocol & feature {
            0 => Err(ProtocolError::NotNegotiated(request)),
            _ => Ok(()),
        }
    }

    fn ring(&mut self, ring: u32) -> Result<&mut Vring, ProtocolError> {
        let none = Fault::NoSuchRing(ring as usize);
        Ok(self.rings.get_mut(ring as usize).ok_or(none)?)
    }

    /// A ring that must not run now.
    fn stopped(&mut self, ring: u32) -> Result<&mut Vring, ProtocolError> {
        match self.ring(ring)? {
            vring if vring.runs => Err(ProtocolError::Runs(ring)),
            vring => Ok(vring),
        }
    }

    /// "If VHOST_USER_F_PROTOCOL_FEATURES has not been negotiated, the ring starts directly in the enabled
    /// state", else disabled.
    fn is_enabled(&self, ring: &Vring) -> bool {
        let negotiated = self.features.unwrap_or(0) & offer::PROTOCOL_FEATURES != 0;
        ring.enabled.unwrap_or(!negotiated)
    }

    fn set_features(&mut self, new: u64) -> Result<(), ProtocolError> {
        let others = new & !offer::FEATURES;
        if others != 0 {
            return Err(ProtocolError::Features(others));
        }
        // Rings are laid out by them. Logging comes and goes while they run.
        let changed = (self.features.unwrap_or(0) ^ new) & !(LOG_ALL | offer::PROTOCOL_FEATURES);
        if changed != 0 && self.rings.iter().any(|r| r.runs) {
            return Err(ProtocolError::FeaturesInUse);
        }
        self.features = Some(new);
        self.shared.set_features(new);
        Ok(())
    }

    fn set_memory(&mut self, memory: Memory) -> Result<(), ProtocolError> {
        (self.memory, self.has_memory) = (Arc::new(memory), true);
        self.shared.set_memory(self.memory.clone())?;
        (0..self.rings.len() as u32).try_for_each(|ring| self.try_start(ring))
    }

    fn set_log(
        &mut self,
        len: u64,
        offset: u64,
        file: Option<OwnedFd>,
    ) -> Result<Option<Reply>, ProtocolError> {
        self.shared.set_log(&file.ok_or(ProtocolError::NoLogFile)?, offset, len)?;
        let answered = self.protocol & protocol::LOG_SHMFD != 0;
        Ok(answered.then(|| message::number(id::SET_LOG_BASE, 0)))
    }

    fn set_size(&mut self, ring: u32, size: u32) -> Result<(), ProtocolError> {
        if size == 0 || size > MOST_DESCRIPTORS {
            return Err(Fault::RingSize(size).into());
        }
        self.stopped(ring)?.size = Some(size);
        self.try_start(ring)
    }

    fn set_address(&mut self, address: RingAddress) -> Result<(), ProtocolError> {
        let ring = address.ring;
        let vring = self.ring(ring)?;
        let elsewhere = vring.address.is_none_or(|old| RingAddress { log: address.log, ..old } != address);
        if vring.runs && elsewhere {
            return Err(ProtocolError::Runs(ring));
        }
        let changed = vring.address.replace(address) != Some(address);
        if changed { self.restart(ring) } else { Ok(()) }
    }

    fn set_kick(&mut self, ring: u32, fd: Option<OwnedFd>) -> Result<(), ProtocolError> {
        self.ring(ring)?.kick = Some(fd.map_or(Kick::Polled, Kick::Event));
        self.restart(ring)
    }

    /// Starts a ring, or has a running one go on in its new way.
    fn restart(&mut self, ring: u32) -> Result<(), ProtocolError> {
        let vring = &mut self.rings[ring as usize];
        if std::mem::take(&mut vring.runs) {
            match self.shared.stop(ring as usize) {
                Some(base) => vring.base = Some(base),
                // It had failed.
                None => vring.kick = None,
            }
        }
        self.try_start(ring)
    }

    fn try_start(&mut self, ring: u32) -> Result<(), ProtocolError> {
        let vring = &self.rings[ring as usize];
        let (Some(size), Some(at), Some(base), Some(kick)) =
            (vring.size, vring.address, vring.base, &vring.kick)
        else {
            return Ok(());
        };
        if vring.runs || !self.has_memory {
            return Ok(());
        }
        let kick = match kick {
            Kick::Polled => None,
            Kick::Event(fd) => Some(fd.try_clone().map_err(|e| ProtocolError::NoDescriptor(e.to_string()))?),
        };
        let base = whole_base(base, self.features.unwrap_or(0));
        let setup = RingSetup { size, desc: at.desc, avail: at.avail, used: at.used, log: at.log, base };
        let started = self.shared.start(ring as usize, setup, kick);
        let enabled = self.is_enabled(&self.rings[ring as usize]);
        let vring = &mut self.rings[ring as usize];
        match started {
            Ok(()) => {
                vring.runs = true;
                self.shared.enable(ring as usize, enabled);
                Ok(())
            }
            Err(fault) => {
                // Tried again with another kick, not by whatever comes next.
                vring.kick = None;
                Err(fault.into())
            }
        }
    }

    fn stop(&mut self, ring: u32) -> Result<Option<Reply>, ProtocolError> {
        let vring = self.ring(ring)?;
        vring.runs = false;
        vring.kick = None;
        let told = vring.base;
        let base = self.shared.stop(ring as usize).or(told).unwrap_or(0);
        self.rings[ring as usize].base = Some(base);
        Ok(Some(message::vring_state(id::GET_VRING_BASE, ring, base)))
    }

    fn set_guest_mtu(&mut self, mtu: u64) -> Result<(), ProtocolError> {
        self.needs(protocol::MTU, id::NET_SET_MTU)?;
        let bytes = u16::try_from(mtu).ok().filter(|_| mtu >= LEAST_MTU).ok_or(ProtocolError::Mtu(mtu))?;
        if let Some(most) = self.most_mtu.filter(|most| bytes > *most) {
            return Err(ProtocolError::MtuTooLarge(mtu, most));
        }
        self.mtu = Some(bytes);
        Ok(())
    }

    /// "disable all rings and reset all internal device state". What was agreed on for the connection, and the
    /// memory, which is kept by messages of its own, stay.
    fn reset(&mut self) {
        for (ring, vring) in self.rings.iter_mut().enumerate() {
            self.shared.stop(ring);
            self.shared.enable(ring, false);
            *vring = Vring::default();
        }
        (self.features, self.status) = (None, 0);
        self.shared.set_features(0);
    }
}

/// Where a ring goes on, told in full. Of a packed ring QEMU tells two places of 16 bits, where the driver's
/// next descriptor is and where the device's next goes; virtio-user, and QEMU after a back end that did so, only
/// the first. Between two back ends they are the same: what was taken has been used.
fn whole_base(base: u32, features: u64) -> u32 {
    let half = base & 0xffff;
    if features & F_RING_PACKED != 0 && base == half { half << 16 | half } else { base }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
