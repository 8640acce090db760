//! What a port changed about its interface, and how that is put back.
//!
//! A change is written to a journal file before it is made; when the port goes, the old value is put
//! back and the file removed. A process that was killed leaves the file, and the next one puts things
//! back ([`recover`]). A value that somebody else has changed since is left to him.
//!
//! The journal's directory should not outlive a boot (`/run`). One file an interface; lines of a word and
//! numbers. Thread-safety: a [`Settings`] belongs to one port; housekeeping only.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vsw_port_os::ethtool::{self, Channels};
use vsw_port_os::link::{Link, Links};
use vsw_types::MacAddr;

const PREFIX: &str = "afxdp-";
/// How often, and after what time each, channels are tried to be set.
const TRIES: u32 = 25;
const PAUSE: Duration = Duration::from_millis(20);

/// An old value and the one put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change<T> {
    was: T,
    set: T,
}

/// What was changed about which interface.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Record {
    ifindex: u32,
    mac: Option<MacAddr>,
    mtu: Option<Change<u32>>,
    channels: Option<Change<Channels>>,
    /// VLAN tags were stripped, and are no more.
    unstripped: bool,
}

/// The settings of one interface that a port has changed; put back when dropped.
#[derive(Debug)]
pub(crate) struct Settings {
    links: Links,
    journal: PathBuf,
    record: Record,
}

impl Settings {
    /// Nothing is changed yet.
    pub(crate) fn new(directory: &Path, links: Links, link: &Link) -> Self {
        let journal = directory.join(format!("{PREFIX}{}", link.name));
        let record = Record { ifindex: link.index, mac: link.mac, ..Record::default() };
        Self { links, journal, record }
    }

    /// Makes the MTU `to`, or what it was before with `None`.
    pub(crate) fn set_mtu(&mut self, to: Option<u32>) -> io::Result<()> {
        let link = self.links.by_index(self.record.ifindex)?;
        let was = self.record.mtu.map_or(link.mtu, |c| c.was);
        let set = to.unwrap_or(was);
        if set == link.mtu {
            return Ok(());
        }
        self.change(
            |r| r.mtu = (set != was).then_some(Change { was, set }),
            |links| links.set_mtu(&link.name, set),
        )
    }

    /// Makes the channels `set` where they were `was`.
    pub(crate) fn set_channels(&mut self, name: &str, was: Channels, set: Channels) -> io::Result<()> {
        self.change(|r| r.channels = Some(Change { was, set }), |links| resize(links, name, was, set))
    }

    /// Has the NIC leave VLAN tags in the frames: XDP sees nothing of a tag that was taken off. An error
    /// says that it goes on taking them off.
    pub(crate) fn keep_vlan_tags(&mut self, name: &str) -> io::Result<()> {
        if !ethtool::strips_vlan(&self.links, name).unwrap_or(false) {
            return Ok(());
        }
        self.change(|r| r.unstripped = true, |links| ethtool::set_strips_vlan(links, name, false))
    }

    /// First into the journal, then done; if that fails, out of the journal again.
    fn change(
        &mut self,
        note: impl FnOnce(&mut Record),
        make: impl FnOnce(&Links) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.record.clone();
        note(&mut self.record);
        let result = self.write().and_then(|()| make(&self.links));
        if result.is_err() {
            self.record = before;
            self.write()?;
        }
        result
    }

    /// A reader finds all of it or what was there before.
    fn write(&self) -> io::Result<()> {
        let draft = self.journal.with_extension("new");
        let why = |e: io::Error| {
            io::Error::new(e.kind(), format!("cannot write the journal {}: {e}", self.journal.display()))
        };
        fs::write(&draft, self.record.to_text()).map_err(why)?;
        fs::rename(&draft, &self.journal).map_err(why)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.record.put_back(&self.links);
        let _ = fs::remove_file(&self.journal); // none if nothing was ever changed
    }
}

/// Puts back what ports of an earlier process left changed. A sentence for each interface.
pub(crate) fn recover(directory: &Path) -> Vec<String> {
    let (Ok(entries), Ok(links)) = (fs::read_dir(directory), Links::open()) else {
        return Vec::new(); // no directory: nothing was ever changed
    };
    let mut sentences = Vec::new();
    for path in entries.flatten().map(|e| e.path()) {
        let Some(name) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix(PREFIX))
        else {
            continue;
        };
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(&path);
        let Some(record) = Record::from_text(&text) else { continue };
        let done = record.put_back(&links);
        if !done.is_empty() {
            sentences
                .push(format!("put back what an earlier run had changed on {name}: {}", done.join(", ")));
        }
    }
    sentences
}

/// Sets channels that are `from` to `to`. Tries for a while: as long as the kernel has not quite let go of a
/// closed AF_XDP socket, it insists on the channel below it.
fn resize(links: &Links, name: &str, from: Channels, to: Channels) -> io::Result<()> {
    let mut tries = 1;
    loop {
        if ethtool::channels(links, name)?.0 != from {
            return Err(io::Error::other("somebody else is changing its channels"));
        }
        match ethtool::set_channels(links, name, to) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

impl Record {
    /// Puts back what is still as it was set, if the interface is still the same. What was done.
    fn put_back(&self, links: &Links) -> Vec<String> {
        let mut done = Vec::new();
        let Some(link) = links.by_index(self.ifindex).ok().filter(|link| link.mac == self.mac) else {
            return done;
        };
        if let Some(Change { was, set }) = self.channels
            && resize(links, &link.name, set, was).is_ok()
        {
            done.push("its channels".to_owned());
        }
        if let Some(Change { was, set }) = self.mtu
            && link.mtu == set
            && links.set_mtu(&link.name, was).is_ok()
        {
            done.push(format!("its MTU to {was}"));
        }
        if self.unstripped
            && ethtool::strips_vlan(links, &link.name).is_ok_and(|strips| !strips)
            && ethtool::set_strips_vlan(links, &link.name, true).is_ok()
        {
            done.push("the stripping of VLAN tags".to_owned());
        }
        done
    }

    fn to_text(&self) -> String {
        let mut text = format!("ifindex {}\n", self.ifindex);
        // Writing to a String does not fail.
        if let Some(mac) = self.mac {
            let _ = writeln!(text, "mac {}", mac.to_u48());
        }
        if let Some(Change { was, set }) = self.mtu {
            let _ = writeln!(text, "mtu {was} {set}");
        }
        if let Some(Change { was, set }) = self.channels {
            let (w, s) = (was, set);
            let _ =
                writeln!(text, "channels {} {} {} {} {} {}", w.rx, w.tx, w.combined, s.rx, s.tx, s.combined);
        }
        if self.unstripped {
            text.push_str("unstripped\n");
        }
        text
    }

    /// `None` for what [`Record::to_text`] did not write.
    fn from_text(text: &str) -> Option<Self> {
        let mut record = Self::default();
        for line in text.lines() {
            let (word, numbers) = line.split_once(' ').unwrap_or((line, ""));
            let numbers: Vec<u64> =
                numbers.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
            let small: Vec<u32> = numbers.iter().map(|n| *n as u32).collect();
            match (word, small.as_slice()) {
                ("ifindex", &[ifindex]) => record.ifindex = ifindex,
                ("mac", [_]) => record.mac = Some(MacAddr::from_u48(numbers[0])),
                ("mtu", &[was, set]) => record.mtu = Some(Change { was, set }),
                ("channels", &[a, b, c, d, e, f]) => {
                    let was = Channels { rx: a, tx: b, combined: c };
                    record.channels = Some(Change { was, set: Channels { rx: d, tx: e, combined: f } });
                }
                ("unstripped", []) => record.unstripped = true,
                _ => return None,
            }
        }
        (record.ifindex != 0).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_being_written() {
        let full = Record {
            ifindex: 7,
            mac: Some(MacAddr([2, 0xfe, 0, 0, 0, 9])),
            mtu: Some(Change { was: 1500, set: 9000 }),
            channels: Some(Change {
                was: Channels { rx: 1, tx: 2, combined: 3 },
                set: Channels { rx: 4, tx: 5, combined: 6 },
            }),
            unstripped: true,
        };
        let bare = Record { ifindex: 1, ..Record::default() };
        for record in [full, bare] {
            assert_eq!(Record::from_text(&record.to_text()), Some(record));
        }
    }

    #[test]
    fn a_broken_journal_is_not_believed() {
        for text in ["", "mtu 1 2\n", "ifindex x", "ifindex 1\nmtu 1", "ifindex 1\nchannels 1 2 3", "\u{0}"] {
            assert_eq!(Record::from_text(text), None, "{text:?}");
        }
    }
}
