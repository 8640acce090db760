//! A connection to a front end: messages come out of a stream of bytes.
//!
//! Nothing here waits. What is there of a message is kept until the rest comes; who sends half of one, or too
//! many, or does not read the replies, holds up nobody but itself.
//!
//! Each read ends where a header or a payload ends, so that descriptors are those of the message at hand: the
//! kernel gives them with the first byte that they were sent with (unix(7), `SCM_RIGHTS`).
//!
//! Thread-safety: owned by the service thread.

use crate::message::{Fds, HEADER, Header, MAX_PAYLOAD, MAX_TABLE, ProtocolError};
use crate::session::{Outcome, Session};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;
use tracing::{debug, warn};

/// Messages taken at a time: then it is the next connection's turn.
const BUDGET: usize = 32;
/// Refusals of one connection that are worth a line in the log.
const TOLD: u32 = 8;

/// Why a connection is over.
#[derive(Debug)]
pub(crate) enum End {
    /// The front end went.
    Closed,
    Socket(Errno),
    Protocol(ProtocolError),
}

impl From<ProtocolError> for End {
    fn from(e: ProtocolError) -> Self {
        Self::Protocol(e)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: OwnedFd,
    pub(crate) session: Session,
    /// Of the message at hand.
    header: Option<Header>,
    buffer: Box<[u8; HEADER + MAX_PAYLOAD]>,
    have: usize,
    fds: Fds,
    refused: u32,
    pub(crate) since: Instant,
    /// A guest used it.
    pub(crate) worked: bool,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    /// `stream` does not block.
    pub(crate) fn new(stream: OwnedFd, session: Session) -> Self {
        Self {
            stream,
            session,
            header: None,
            buffer: Box::new([0; HEADER + MAX_PAYLOAD]),
            have: 0,
            fds: Fds::new(),
            refused: 0,
            since: Instant::now(),
            worked: false,
        }
    }

    /// Takes what is there, up to [`BUDGET`]. `port`: for the log.
    ///
    /// # Errors
    /// When the connection is over.
    pub(crate) fn serve(&mut self, port: &str) -> Result<(), End> {
        for _ in 0..BUDGET {
            let Some(header) = self.header()? else { return Ok(()) };
            if !self.fill(HEADER + header.size)? {
                return Ok(());
            }
            (self.header, self.have) = (None, 0);
            let payload = &self.buffer[HEADER..HEADER + header.size];
            let outcome = self.session.message(header, payload, std::mem::take(&mut self.fds));
            self.answer(outcome, port)?;
        }
        Ok(())
    }

    /// `None`: it is not there yet.
    fn header(&mut self) -> Result<Option<Header>, End> {
        if self.header.is_none() && self.fill(HEADER)? {
            let bytes = self.buffer.first_chunk().expect("the buffer is longer than a header");
            self.header = Some(Header::parse(*bytes)?);
        }
        Ok(self.header)
    }

    fn answer(&mut self, outcome: Outcome, port: &str) -> Result<(), End> {
        let reply = match outcome {
            Outcome::Silent => return Ok(()),
            Outcome::Reply(reply) => reply,
            Outcome::End(e) => return Err(e.into()),
            Outcome::Refused(reply, e) => {
                self.refused = self.refused.saturating_add(1);
                match self.refused {
                    n if n < TOLD => warn!("port {port}: the front end sent {e}; it was told so"),
                    TOLD => warn!("port {port}: the front end sent {e}; more of this is not logged"),
                    _ => debug!("port {port}: the front end sent {e}"),
                }
                reply
            }
        };
        // Who waits for each reply has room for it.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let file = reply.file.as_ref().map(|f| [f.as_fd()]);
        if let Some(file) = &file {
            ancillary.push(SendAncillaryMessage::ScmRights(file));
        }
        let bytes = [IoSlice::new(&reply.bytes)];
        match sendmsg(&self.stream, &bytes, &mut ancillary, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(n) if n == reply.bytes.len() => Ok(()),
            Ok(_) | Err(Errno::AGAIN) => Err(ProtocolError::Unread.into()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(End::Closed),
            Err(e) => Err(End::Socket(e)),
        }
    }

    /// Reads until there are `want` bytes. `false`: not yet.
    fn fill(&mut self, want: usize) -> Result<bool, End> {
        while self.have < want {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_TABLE))];
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let room = &mut self.buffer[self.have..want];
            let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
            let received = match recvmsg(&self.stream, &mut [IoSliceMut::new(room)], &mut ancillary, flags) {
                Ok(received) => received,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => continue,
                Err(Errno::CONNRESET) => return Err(End::Closed),
                Err(e) => return Err(End::Socket(e)),
            };
            for message in ancillary.drain() {
                let RecvAncillaryMessage::ScmRights(fds) = message else { continue };
                for fd in fds {
                    self.fds.try_push(fd).map_err(|_| ProtocolError::TooManyDescriptors)?;
                }
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(ProtocolError::TooManyDescriptors.into());
            }
            if received.bytes == 0 {
                return Err(End::Closed);
            }
            self.have += received.bytes;
        }
        Ok(true)
    }
}
