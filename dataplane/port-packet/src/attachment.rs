//! What a port changes about an interface that is not ours: it takes its frames from the host's stack,
//! and may set its MTU. Undone on drop; noted beforehand, in case that never comes.

use crate::journal::{Entry, Journal, Note};
use crate::not_attached;
use vsw_port::PortError;
use vsw_port_os::link::{Link, Links};
use vsw_port_os::tc::{self, IngressDrop, Method};

pub(crate) struct Attachment {
    // Undone in this order, and the note last.
    _ingress: IngressDrop,
    mtu: Mtu,
    note: Note,
    qdisc: bool,
}

/// The interface, and its MTU when it was attached.
struct Mtu {
    links: Links,
    link: Link,
    set: Option<u32>,
}

impl Attachment {
    pub(crate) fn new(
        links: Links,
        link: Link,
        mtu: Option<u16>,
        journal: &Journal,
        method: Method,
    ) -> Result<Self, PortError> {
        let name = link.name.clone();
        let failed = |e| not_attached(&name, &e);
        let qdisc = !tc::has_qdisc(&links, link.index).map_err(failed)?;
        let note = journal.note(&name, Entry { index: link.index, mtu: None, qdisc }).map_err(|e| {
            let cause = format!("what is done to {name} cannot be noted: {e}");
            PortError::missing(cause, "make room in the run directory")
        })?;
        let ingress = tc::drop_ingress(link.index, method).map_err(|e| match e.raw_os_error() {
            Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => PortError::refused(
                format!("the kernel cannot keep the frames of {name} from the host's stack: {e}"),
                "it needs bpf(2), and tcx (Linux 6.6) or sch_ingress and cls_bpf",
            ),
            _ => failed(e),
        })?;
        let mut new = Self { _ingress: ingress, mtu: Mtu { links, link, set: None }, note, qdisc };
        new.set_mtu(mtu)?;
        Ok(new)
    }

    pub(crate) fn links(&self) -> &Links {
        &self.mtu.links
    }

    /// As it was before.
    pub(crate) fn link(&self) -> &Link {
        &self.mtu.link
    }

    /// Sets the MTU, or puts back the one before.
    pub(crate) fn set_mtu(&mut self, mtu: Option<u16>) -> Result<(), PortError> {
        let Mtu { links, link, set } = &mut self.mtu;
        let wanted = mtu.map(u32::from);
        if *set == wanted {
            return Ok(());
        }
        let entry = |set: Option<u32>| Entry {
            index: link.index,
            mtu: set.map(|set| (set, link.mtu)),
            qdisc: self.qdisc,
        };
        let name = &link.name;
        let done = self
            .note
            .write(entry(wanted.or(*set)))
            .and_then(|()| links.set_mtu(name, wanted.unwrap_or(link.mtu)));
        if let Err(e) = done {
            let _ = self.note.write(entry(*set));
            let cause = format!("{name} does not take an MTU of {}: {e}", wanted.unwrap_or(link.mtu));
            return Err(PortError::refused(cause, "choose another --mtu"));
        }
        *set = wanted;
        Ok(())
    }
}

impl Drop for Mtu {
    fn drop(&mut self) {
        let Some(set) = self.set else { return };
        // Unless its owner has changed it since. Nothing to put back when it is gone.
        if let Ok(now) = self.links.by_index(self.link.index)
            && now.mtu == set
        {
            let _ = self.links.set_mtu(&now.name, self.link.mtu);
        }
    }
}
