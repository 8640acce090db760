//! A session with a front end whose requests are any bytes.

use super::{Outcome, Session};
use crate::message::{Fds, HEADER, Header, MAX_TABLE};
use crate::shared::Shared;
use rustix::event::EventfdFlags;
use rustix::fs::MemfdFlags;
use std::os::fd::OwnedFd;

/// Requests in one session.
const MOST: usize = 64;
/// Bytes of the memory that the front end shares.
const MEMORY: u64 = 1 << 16;

/// What a front end may send along: memory, an event, and what is neither.
fn descriptor(kind: u8, memory: &OwnedFd) -> Option<OwnedFd> {
    match kind {
        b'm' => memory.try_clone().ok(),
        b'e' => rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok(),
        b'n' => std::fs::File::open("/dev/null").ok().map(OwnedFd::from),
        _ => None,
    }
}

/// Each request: how many descriptors, a letter for the kind of each, then header and payload as on the wire.
/// Returns how many requests were accepted.
///
/// # Panics
/// When a reply is not one that the protocol knows.
#[allow(unreachable_pub)] // a fuzz target reaches it
pub fn requests(data: &[u8]) -> usize {
    let Ok(shared) = Shared::new(2) else { return 0 };
    let Ok(memory) = rustix::fs::memfd_create("fuzz", MemfdFlags::CLOEXEC) else { return 0 };
    if rustix::fs::ftruncate(&memory, MEMORY).is_err() {
        return 0;
    }
    let mut session = Session::new(shared.clone(), Some(9000));
    let (mut rest, mut accepted) = (data, 0);
    for _ in 0..MOST {
        let Some((count, after)) = rest.split_first() else { break };
        let count = usize::from(*count).min(MAX_TABLE).min(after.len());
        let (kinds, after) = after.split_at(count);
        let Some((header, after)) = after.split_first_chunk::<HEADER>() else { break };
        let Ok(header) = Header::parse(*header) else { break };
        let (payload, after) = after.split_at(header.size.min(after.len()));
        rest = after;
        let fds: Fds = kinds.iter().filter_map(|kind| descriptor(*kind, &memory)).collect();
        match session.message(header, payload, fds) {
            Outcome::Silent => accepted += 1,
            Outcome::Reply(reply) => {
                accepted += 1;
                assert_eq!(reply.bytes[..4], header.request.to_ne_bytes(), "the request is answered");
                let size = (reply.bytes.len() - HEADER) as u32;
                assert_eq!(reply.bytes[8..12], size.to_ne_bytes(), "the length is right");
            }
            Outcome::Refused(reply, _) => assert_eq!(reply.bytes.len(), HEADER + 8),
            Outcome::End(_) => break,
        }
        let facts = session.facts();
        assert!(facts.pairs <= 2);
    }
    drop(session);
    assert!(!shared.is_running(), "nothing runs without a front end");
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::id;

    fn request(to: &mut Vec<u8>, id: u32, fds: &[u8], payload: &[u8]) {
        to.push(fds.len() as u8);
        to.extend(fds);
        for word in [id, 1, payload.len() as u32] {
            to.extend(word.to_ne_bytes());
        }
        to.extend(payload);
    }

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_ne_bytes()).collect()
    }

    /// Two words in one.
    fn pair(a: u32, b: u32) -> u64 {
        u64::from_ne_bytes([a.to_ne_bytes(), b.to_ne_bytes()].concat().try_into().unwrap())
    }

    /// A front end that starts a pair of rings, `features` negotiated; kept inputs begin like this.
    fn start(features: u64, base: u32) -> Vec<u8> {
        let mut all = Vec::new();
        request(&mut all, id::GET_FEATURES, b"", &[]);
        request(&mut all, id::SET_PROTOCOL_FEATURES, b"", &bytes(&[1 << 3 | 1 << 15 | 1]));
        request(&mut all, id::SET_OWNER, b"", &[]);
        request(&mut all, id::SET_FEATURES, b"", &bytes(&[features]));
        request(&mut all, id::SET_MEM_TABLE, b"m", &bytes(&[pair(1, 0), 0, MEMORY, 0, 0]));
        for ring in [0, 1] {
            let at = u64::from(ring) << 13;
            request(&mut all, id::SET_VRING_CALL, b"e", &bytes(&[ring.into()]));
            request(&mut all, id::SET_VRING_NUM, b"", &bytes(&[pair(ring, 64)]));
            request(&mut all, id::SET_VRING_BASE, b"", &bytes(&[pair(ring, base)]));
            let areas = [pair(ring, 0), at, at + 0x1000, at + 0x800, 0];
            request(&mut all, id::SET_VRING_ADDR, b"", &bytes(&areas));
            request(&mut all, id::SET_VRING_KICK, b"e", &bytes(&[ring.into()]));
        }
        all
    }

    #[test]
    fn honest_requests_are_accepted() {
        for (features, base) in [(1 << 32, 0), (1 << 32 | 1 << 34, 1 << 15)] {
            let all = start(features, base);
            assert_eq!(requests(&all), 15);
            // Cut anywhere it is half a request, which is none.
            for len in 0..all.len() {
                assert!(requests(&all[..len]) < 15);
            }
        }
    }
}
