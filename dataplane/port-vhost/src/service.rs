//! The thread that talks to the front ends of all ports.
//!
//! One for the process, however many ports there are: it waits for all their sockets at once (epoll(7)), takes
//! a bounded number of messages from one, and goes on to the next. It connects and listens, tries again when
//! nobody is there, and gives up on who misbehaves.
//!
//! A front end that is started after us is found at once: the folder of its socket is watched (inotify(7)).
//! Where that does not tell, it is found within a second, which is the longest pause between two tries.
//!
//! - `port`: one port's connection, how it comes and goes.
//! - `watch`: folders.
//!
//! Thread-safety: [`Service`] is a handle, to be used from any thread; calls wait for nobody but [`Service::close`].

mod port;
mod watch;

use crate::face::Face;
use crate::shared::Shared;
use crate::socket::Listener;
use port::Port;
use rustix::event::{EventfdFlags, epoll};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use watch::Folders;

/// Told when something changed that `show` would say. Called on the service's thread.
pub type News = Arc<dyn Fn() + Send + Sync>;

/// A folder's or a front end's news come in storms; so often they are passed on at most.
const GATHER: Duration = Duration::from_millis(20);
/// Time that a closing port is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// Events taken at once.
const EVENTS: usize = 64;

/// What the kernel calls the two descriptors that are no port's.
const BELL: u64 = 0;
const FOLDERS: u64 = 1;

/// A port to be served.
#[derive(Debug)]
pub(crate) struct NewPort {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Ours; `None`: we connect.
    pub(crate) listener: Option<Listener>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) face: Arc<Face>,
    pub(crate) mtu: Option<u16>,
}

enum Command {
    Open(u32, Box<NewPort>),
    /// Answered when it is done.
    Close(u32, Sender<()>),
    SetMtu(u32, Option<u16>),
    /// A ring failed, and why.
    Fail(u32, String),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Service {
    commands: Sender<Command>,
    bell: Arc<OwnedFd>,
    next: std::sync::atomic::AtomicU32,
}

impl Service {
    /// # Errors
    /// When the kernel gives no descriptors or no thread.
    pub(crate) fn start(news: News) -> io::Result<Self> {
        let bell = Arc::new(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (commands, inbox) = mpsc::channel();
        let thread = Thread::new(inbox, bell.clone(), news)?;
        std::thread::Builder::new().name("vhost-user".into()).spawn(move || thread.run())?;
        Ok(Self { commands, bell, next: 1.into() })
    }

    fn tell(&self, command: Command) {
        // A thread that is gone has panicked, and the process with it.
        let _ = self.commands.send(command);
        ring(&self.bell);
    }

    /// The number that the port is known by from now on.
    pub(crate) fn open(&self, port: NewPort) -> u32 {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.tell(Command::Open(id, Box::new(port)));
        id
    }

    /// When this returns the socket is closed, and its file is gone if it was ours.
    pub(crate) fn close(&self, id: u32) {
        let (done, wait) = mpsc::channel();
        self.tell(Command::Close(id, done));
        let _ = wait.recv_timeout(PATIENCE);
    }

    pub(crate) fn set_mtu(&self, id: u32, mtu: Option<u16>) {
        self.tell(Command::SetMtu(id, mtu));
    }

    pub(crate) fn fail(&self, id: u32, why: String) {
        self.tell(Command::Fail(id, why));
    }
}

fn ring(bell: &OwnedFd) {
    let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
}

impl Drop for Service {
    fn drop(&mut self) {
        // The thread ends when it finds that nobody can tell it anything any more.
        let (nobody, _) = mpsc::channel();
        self.commands = nobody;
        ring(&self.bell);
    }
}

struct Thread {
    inbox: Receiver<Command>,
    bell: Arc<OwnedFd>,
    epoll: OwnedFd,
    folders: Folders,
    ports: HashMap<u32, Port>,
    news: News,
    /// Something is to be told, not before then.
    pending: bool,
    quiet_until: Instant,
}

impl Thread {
    fn new(inbox: Receiver<Command>, bell: Arc<OwnedFd>, news: News) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let folders = Folders::open()?;
        epoll::add(&epoll, &bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
        epoll::add(&epoll, folders.fd(), epoll::EventData::new_u64(FOLDERS), epoll::EventFlags::IN)?;
        let ports = HashMap::new();
        Ok(Self { inbox, bell, epoll, folders, ports, news, pending: false, quiet_until: Instant::now() })
    }

    fn run(mut self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            self.wait(&mut events);
            for event in events.drain(..) {
                match event.data.u64() {
                    BELL => _ = rustix::io::read(&*self.bell, &mut [0u8; 8]),
                    FOLDERS => self.look_around(),
                    data => {
                        if let Some((port, way)) =
                            port::from_data(data).and_then(|(id, way)| Some((self.ports.get_mut(&id)?, way)))
                        {
                            port.serve(way, &self.epoll);
                        }
                    }
                }
            }
            if !self.obey() {
                return;
            }
            let now = Instant::now();
            for port in self.ports.values_mut() {
                port.retry(now, &self.epoll, &mut self.folders);
                self.pending |= port.show();
            }
            if self.pending && now >= self.quiet_until {
                (self.pending, self.quiet_until) = (false, now + GATHER);
                (self.news)();
            }
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>) {
        let news = self.pending.then_some(self.quiet_until);
        let due = self.ports.values().filter_map(Port::due).chain(news).min();
        let timeout = due.map(|due| {
            let left = due.saturating_duration_since(Instant::now());
            // Rounded up: waking too early would be in vain.
            rustix::event::Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() }
        });
        // Interrupted: what is due is looked at all the same.
        let _ = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), timeout.as_ref());
    }

    /// A socket may have appeared.
    fn look_around(&mut self) {
        let now = Instant::now();
        let ports = &mut self.ports;
        self.folders.read(|folder, name| {
            ports.values_mut().filter(|p| p.is_at(folder, name)).for_each(|p| p.hurry(now));
        });
    }

    /// `false`: there is nobody left to obey.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Open(id, new)) => {
                    self.ports.insert(id, Port::new(id, *new));
                }
                Ok(Command::Close(id, done)) => {
                    if let Some(port) = self.ports.remove(&id) {
                        let others = self.ports.values();
                        self.folders.leave(port.folder(), others.filter_map(Port::folder));
                    }
                    let _ = done.send(());
                }
                Ok(Command::SetMtu(id, mtu)) => {
                    self.ports.get_mut(&id).into_iter().for_each(|p| p.set_mtu(mtu));
                }
                Ok(Command::Fail(id, why)) => {
                    self.ports.get_mut(&id).into_iter().for_each(|p| p.fail(why.clone(), &self.epoll));
                }
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }
}
