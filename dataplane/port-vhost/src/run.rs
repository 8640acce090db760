//! A ring that is being served: where it is, what is lent from it, and what was negotiated.

use crate::fault::Fault;
use crate::features::Terms;
use crate::inflight::Note;
use crate::loans::{Grave, Loans};
use crate::log::{DirtyLog, UsedLog};
use crate::memory::Memory;
use crate::ring::{Chains, Ring};
use crate::shared::RingSetup;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) ring: Ring,
    pub(crate) chains: Chains,
    pub(crate) memory: Arc<Memory>,
    pub(crate) loans: Loans,
    pub(crate) terms: Terms,
    pub(crate) log: Option<Arc<DirtyLog>>,
    /// The guest's notifications; `None`: there are none, the ring is to be polled.
    pub(crate) kick: Option<OwnedFd>,
    /// The guest was asked to notify.
    pub(crate) armed: bool,
    setup: RingSetup,
}

impl Run {
    /// `writable`: the ring's buffers are for us to write.
    pub(crate) fn new(
        setup: RingSetup,
        terms: Terms,
        (memory, log, note): (Arc<Memory>, Option<Arc<DirtyLog>>, Note),
        kick: Option<OwnedFd>,
        writable: bool,
    ) -> Result<Self, Fault> {
        let ring = Ring::new(setup, terms.features, &memory, used_log(setup, terms, log.as_ref()), note)?;
        let size = setup.size as u16;
        Ok(Self {
            ring,
            chains: Chains::new(size, writable),
            loans: Loans::new(size, memory.clone()),
            memory,
            terms,
            log: log.filter(|_| terms.logs()),
            kick,
            armed: true,
            setup,
        })
    }

    /// Goes on in another table of memory.
    pub(crate) fn relocate(&mut self, memory: Arc<Memory>) -> Result<Option<Grave>, Fault> {
        let grave = self.loans.settle(&mut self.ring);
        self.ring.relocate(self.setup, &memory)?;
        self.loans = Loans::new(self.setup.size as u16, memory.clone());
        self.memory = memory;
        Ok(grave)
    }

    /// Goes on under other terms: logging comes and goes while a ring runs.
    pub(crate) fn renew(&mut self, terms: Terms, log: Option<Arc<DirtyLog>>) {
        self.terms = terms;
        self.ring.set_log(used_log(self.setup, terms, log.as_ref()));
        self.log = log.filter(|_| terms.logs());
    }

    /// Notes that the guest's memory was written.
    #[inline]
    pub(crate) fn wrote(&self, guest: u64, len: u64) {
        if let Some(log) = &self.log {
            log.mark(guest, len);
        }
    }
}

fn used_log(setup: RingSetup, terms: Terms, log: Option<&Arc<DirtyLog>>) -> UsedLog {
    UsedLog::new(log.filter(|_| terms.logs()).cloned(), setup.log)
}
