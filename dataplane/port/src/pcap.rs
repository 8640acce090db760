//! A port that plays one capture file and records another: bring a customer's trace, see what comes out.
//!
//! The classic pcap format, microseconds or nanoseconds, either byte order, link type Ethernet
//! (draft-ietf-opsawg-pcap, section 4 and 5). For tests: reads everything at the start, and writes
//! synchronously. Owned by one worker.

use crate::sim::{SimFrame, load};
use crate::{Io, PortError, PortQueue};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use vsw_mem::{Batch, MAX_FRAME};
use vsw_types::DropReason;

const MAGIC_MICROS: u32 = 0xa1b2_c3d4;
const MAGIC_NANOS: u32 = 0xa1b2_3c4d;
const LINKTYPE_ETHERNET: u32 = 1;

/// Every frame of a capture, in order, as far as it was captured.
///
/// # Errors
/// When it is no capture of Ethernet frames, or ends in the middle of one.
pub fn read(mut from: impl Read) -> io::Result<Vec<Vec<u8>>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut header = [0; 24];
    from.read_exact(&mut header)?;
    let magic = [header[0], header[1], header[2], header[3]];
    let little = match (u32::from_le_bytes(magic), u32::from_be_bytes(magic)) {
        (MAGIC_MICROS | MAGIC_NANOS, _) => true,
        (_, MAGIC_MICROS | MAGIC_NANOS) => false,
        _ => return Err(bad("not a pcap file (pcapng has to be converted first)")),
    };
    let word = |b: &[u8]| {
        let b = [b[0], b[1], b[2], b[3]];
        if little { u32::from_le_bytes(b) } else { u32::from_be_bytes(b) }
    };
    if word(&header[20..]) & 0xffff != LINKTYPE_ETHERNET {
        return Err(bad("a capture of something else than Ethernet"));
    }
    let mut frames = Vec::new();
    let mut record = [0; 16];
    loop {
        match from.read(&mut record[..1])? {
            0 => return Ok(frames),
            _ => from.read_exact(&mut record[1..])?,
        }
        let captured = word(&record[8..]) as usize;
        if captured > MAX_FRAME {
            return Err(bad("a record is longer than a frame can be"));
        }
        let mut frame = vec![0; captured];
        from.read_exact(&mut frame)?;
        frames.push(frame);
    }
}

/// Writes a capture's header.
///
/// # Errors
/// What writing says.
pub fn write_header(to: &mut impl Write) -> io::Result<()> {
    to.write_all(&MAGIC_MICROS.to_le_bytes())?;
    to.write_all(&[2, 0, 4, 0])?; // version 2.4
    to.write_all(&[0; 8])?; // time zone and accuracy, always 0
    to.write_all(&(MAX_FRAME as u32).to_le_bytes())?;
    to.write_all(&LINKTYPE_ETHERNET.to_le_bytes())
}

/// Appends one frame, with a time of 0: a test has no clock.
///
/// # Errors
/// What writing says.
pub fn write_frame(to: &mut impl Write, segments: impl Iterator<Item = impl AsRef<[u8]>>) -> io::Result<()> {
    let bytes: Vec<u8> = segments.flat_map(|s| s.as_ref().to_vec()).collect();
    let len = (bytes.len() as u32).to_le_bytes();
    to.write_all(&[0; 8])?;
    to.write_all(&len)?;
    to.write_all(&len)?;
    to.write_all(&bytes)
}

/// Plays `input`, records to `output`.
#[derive(Debug)]
pub struct PcapQueue {
    input: VecDeque<Vec<u8>>,
    output: BufWriter<File>,
}

impl PcapQueue {
    /// # Errors
    /// When `input` is no capture or `output` cannot be written.
    pub fn open(input: &Path, output: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(output)?);
        write_header(&mut file)?;
        Ok(Self { input: read(io::BufReader::new(File::open(input)?))?.into(), output: file })
    }
}

impl PortQueue for PcapQueue {
    fn recv(&mut self, into: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        while !into.is_full() {
            let Some(bytes) = self.input.pop_front() else { break };
            match load(&SimFrame::from(&bytes[..]), &mut io.frames) {
                Some(frame) => into.push(frame),
                None => io.count(DropReason::NoFrame, 1),
            }
        }
        Ok(())
    }

    fn send(&mut self, from: &mut Batch, io: &mut Io) -> Result<(), PortError> {
        for frame in from.drain(..) {
            write_frame(&mut self.output, frame.segments()).map_err(|e| PortError::dead(&e))?;
            io.frames.recycle(frame);
        }
        Ok(())
    }

    fn flush(&mut self, _: &mut Io) {
        // A full disk shows at the next write.
        let _ = self.output.flush();
    }

    fn readiness(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_in_either_byte_order() {
        let frames = [vec![1; 60], vec![2; 1514]];
        let mut file = Vec::new();
        write_header(&mut file).unwrap();
        for f in &frames {
            write_frame(&mut file, std::iter::once(f)).unwrap();
        }
        assert_eq!(read(&file[..]).unwrap(), frames);
        // The same capture from a big-endian machine.
        let mut big = Vec::new();
        for word in file[..24].chunks(4) {
            big.extend(word.iter().rev());
        }
        let mut at = 24;
        for f in &frames {
            for word in file[at..at + 16].chunks(4) {
                big.extend(word.iter().rev());
            }
            big.extend(f);
            at += 16 + f.len();
        }
        assert_eq!(read(&big[..]).unwrap(), frames);
    }

    #[test]
    fn garbage_is_refused() {
        assert!(read(&[0; 24][..]).is_err());
        assert!(read(&[1, 2][..]).is_err());
        let mut file = Vec::new();
        write_header(&mut file).unwrap();
        file.extend([0xff; 16]);
        assert!(read(&file[..]).is_err(), "a record of 4 GiB");
    }
}
