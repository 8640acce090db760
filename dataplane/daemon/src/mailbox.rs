//! The way to the switch thread, and the two threads that wait on its behalf: for the kernel's news of
//! links, and for the workers'.

use crate::message::Message;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;
use vsw_engine::Event;
use vsw_port_os::link::Watch;

/// News of links come in storms (a port is many messages): this long they are gathered.
const GATHER: Duration = Duration::from_millis(20);

/// Where messages are put. Clones lead to the same thread.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(Sender<Message>);

impl Mailbox {
    pub(crate) fn new() -> (Self, Receiver<Message>) {
        let (sender, messages) = mpsc::channel();
        (Self(sender), messages)
    }

    /// Has news of links and of the workers put there, too.
    pub(crate) fn collect(&self, events: Receiver<Event>) -> Result<()> {
        let watch = Watch::open().context("links: the kernel does not tell of changes")?;
        let links = self.0.clone();
        std::thread::Builder::new().name("links".into()).spawn(move || tell_of_links(&watch, &links))?;
        let workers = self.0.clone();
        std::thread::Builder::new().name("events".into()).spawn(move || {
            for event in events {
                if workers.send(Message::Worker(event)).is_err() {
                    return;
                }
            }
        })?;
        Ok(())
    }

    /// `false`: the switch thread is gone.
    pub(crate) fn send(&self, message: Message) -> bool {
        self.0.send(message).is_ok()
    }

    pub(crate) fn stop(&self) {
        self.send(Message::Stop);
    }
}

fn tell_of_links(watch: &Watch, switch: &Sender<Message>) {
    loop {
        let waited = poll(&mut [PollFd::from_borrowed_fd(watch.fd(), PollFlags::IN)], None);
        if waited.is_err_and(|e| e != rustix::io::Errno::INTR) {
            return;
        }
        std::thread::sleep(GATHER);
        if watch.drain() && switch.send(Message::LinksChanged).is_err() {
            return;
        }
    }
}
