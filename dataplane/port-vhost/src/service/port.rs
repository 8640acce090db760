//! One port's connection to its front end: how it comes, goes, and comes again.
//!
//! A port has one front end at a time. In server mode another one is turned away, as long as the first is
//! there. One that breaks the protocol, or the rings, is given up, and let in again after a pause that grows
//! each time: a hostile guest costs a connection now and then, and no more.
//!
//! Thread-safety: owned by the service thread.

use super::NewPort;
use super::watch::{Folder, Folders};
use crate::connection::{Connection, End};
use crate::face::View;
use crate::retry::Retry;
use crate::session::Session;
use crate::socket;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// Which of a port's descriptors has something to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Connection,
    Listener,
}

/// The word that the kernel gives back. Ports are numbered from 1.
fn data(id: u32, way: Way) -> EventData {
    EventData::new_u64(u64::from(id) << 1 | u64::from(way == Way::Listener))
}

pub(super) fn from_data(data: u64) -> Option<(u32, Way)> {
    let way = if data & 1 == 0 { Way::Connection } else { Way::Listener };
    Some((u32::try_from(data >> 1).ok().filter(|id| *id > 0)?, way))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Port {
    id: u32,
    new: NewPort,
    connection: Option<Connection>,
    /// When to connect, or to accept, again.
    retry: Retry,
    folder: Option<Folder>,
    obstacle: Option<String>,
    failed: Option<String>,
    /// One was turned away since the last was let in.
    crowded: bool,
}

impl Port {
    pub(super) fn new(id: u32, new: NewPort) -> Self {
        let retry = Retry::new(Instant::now());
        Self { id, new, connection: None, retry, folder: None, obstacle: None, failed: None, crowded: false }
    }

    pub(super) fn folder(&self) -> Option<Folder> {
        self.folder
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.retry.due
    }

    pub(super) fn is_at(&self, folder: Folder, name: &OsStr) -> bool {
        self.folder == Some(folder) && self.new.path.file_name() == Some(name)
    }

    pub(super) fn hurry(&mut self, now: Instant) {
        self.retry.hurry(now);
    }

    pub(super) fn set_mtu(&mut self, mtu: Option<u16>) {
        self.new.mtu = mtu;
        self.connection.iter_mut().for_each(|c| c.session.set_mtu(mtu));
    }

    /// Puts on the port's face how it is. `true`: that is news.
    pub(super) fn show(&self) -> bool {
        let connected = self.connection.as_ref().map(|c| c.session.facts());
        let (obstacle, failed) = (self.obstacle.clone(), self.failed.clone());
        self.new.face.set(View { connected, obstacle, failed })
    }

    /// Does what is due.
    pub(super) fn retry(&mut self, now: Instant, epoll: &OwnedFd, folders: &mut Folders) {
        if !self.retry.is_due(now) {
            return;
        }
        if let Some(listener) = &self.new.listener {
            match epoll::add(epoll, listener, data(self.id, Way::Listener), EventFlags::IN) {
                Ok(()) | Err(Errno::EXIST) => self.retry.rest(),
                Err(_) => self.retry.later(now),
            }
            return;
        }
        // Before looking: what comes after that is told.
        self.folder = self.new.path.parent().and_then(|folder| folders.watch(folder));
        match socket::dial(&self.new.path) {
            Ok(stream) => self.welcome(stream, epoll),
            Err(e) => {
                let path = self.new.path.display();
                self.obstacle = (!socket::may_come(e)).then(|| format!("{path} cannot be connected to: {e}"));
                self.retry.later(now);
            }
        }
    }

    fn welcome(&mut self, stream: OwnedFd, epoll: &OwnedFd) {
        let now = Instant::now();
        if let Err(e) = epoll::add(epoll, &stream, data(self.id, Way::Connection), EventFlags::IN) {
            self.obstacle = Some(format!("its connection cannot be waited for: {e}"));
            return self.retry.later(now);
        }
        (self.obstacle, self.crowded) = (None, false);
        if self.new.listener.is_none() {
            self.retry.rest();
        }
        info!("port {}: a front end is connected at {}", self.new.name, self.new.path.display());
        let session = Session::new(self.new.shared.clone(), self.new.mtu);
        self.connection = Some(Connection::new(stream, session));
    }

    /// One of its descriptors is readable.
    pub(super) fn serve(&mut self, way: Way, epoll: &OwnedFd) {
        match way {
            Way::Listener => self.accept(epoll),
            Way::Connection => {
                let Some(connection) = &mut self.connection else { return };
                let end = match connection.serve(&self.new.name) {
                    Ok(()) => {
                        // It does again what it failed to do before.
                        if self.new.shared.is_running() {
                            connection.worked = true;
                            self.failed = None;
                        }
                        return;
                    }
                    Err(end) => end,
                };
                match end {
                    End::Closed => self.end(epoll),
                    End::Socket(e) => {
                        debug!("port {}: {e}", self.new.name);
                        self.end(epoll);
                    }
                    End::Protocol(e) => self.fail(format!("the front end sent {e}"), epoll),
                }
            }
        }
    }

    fn accept(&mut self, epoll: &OwnedFd) {
        let Some(listener) = &self.new.listener else { return };
        match listener.accept() {
            Ok(stream) if self.connection.is_none() => self.welcome(stream, epoll),
            Ok(stream) => {
                drop(stream);
                if !std::mem::replace(&mut self.crowded, true) {
                    let path = self.new.path.display();
                    warn!("port {}: another front end came to {path}, and was turned away", self.new.name);
                }
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            Err(e) => {
                // There are no descriptors left: trying on would keep the processor busy, and help nobody.
                self.obstacle = Some(format!("nobody can be let in: {e}"));
                self.bar(epoll);
                self.retry.later(Instant::now());
            }
        }
    }

    /// Nobody is let in before it is time to try again.
    fn bar(&self, epoll: &OwnedFd) {
        self.new.listener.iter().for_each(|l| _ = epoll::delete(epoll, l.as_fd()));
    }

    /// Closes the connection; it held for so long, and whether a guest used it.
    fn drop_connection(&mut self, epoll: &OwnedFd) -> Option<(Duration, bool)> {
        let connection = self.connection.take()?;
        let _ = epoll::delete(epoll, &connection);
        Some((connection.since.elapsed(), connection.worked || self.new.shared.is_running()))
    }

    /// The front end went.
    fn end(&mut self, epoll: &OwnedFd) {
        let Some((held, worked)) = self.drop_connection(epoll) else { return };
        info!("port {}: the front end is gone", self.new.name);
        if self.new.listener.is_none() {
            self.retry.ended(Instant::now(), held, worked);
        }
    }

    /// The front end is given up for a while.
    pub(super) fn fail(&mut self, why: String, epoll: &OwnedFd) {
        let Some((held, _)) = self.drop_connection(epoll) else { return };
        warn!("port {}: {why}; the connection is closed", self.new.name);
        self.failed = Some(why);
        self.bar(epoll);
        self.retry.failed(Instant::now(), held);
    }
}
