//! Notes of what must be undone about an interface, for the process that follows a killed one.
//!
//! One small file per interface, written before anything is changed and removed after it was undone.
//! Files of different interfaces are independent, so threads need no lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use vsw_port_os::link::Links;
use vsw_port_os::tc;

const PREFIX: &str = "packet-";

#[derive(Debug)]
pub(crate) struct Journal {
    folder: PathBuf,
}

/// What is to be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) index: u32,
    /// The MTU that we set, and the one before.
    pub(crate) mtu: Option<(u32, u32)>,
    /// An ingress queueing discipline, if there is one, came with us.
    pub(crate) qdisc: bool,
}

/// The file of one interface; removed on drop.
#[derive(Debug)]
pub(crate) struct Note(PathBuf);

impl Journal {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// # Errors
    /// When it cannot be written; nothing may be changed then.
    pub(crate) fn note(&self, name: &str, entry: Entry) -> io::Result<Note> {
        fs::create_dir_all(&self.folder)?;
        let note = Note(self.folder.join(format!("{PREFIX}{name}")));
        note.write(entry)?;
        Ok(note)
    }

    /// Undoes what is noted. A sentence for each thing that was there to be undone.
    pub(crate) fn recover(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut done = Vec::new();
        for file in files.flatten() {
            let path = file.path();
            let name = file.file_name();
            let Some(name) = name.to_str().and_then(|n| n.strip_prefix(PREFIX)) else { continue };
            match read(&path).map(|entry| undo(name, entry, &mut done)) {
                // One that was not finished was not acted upon.
                None | Some(Ok(())) => drop(Note(path)),
                Some(Err(e)) => {
                    done.push(format!("what an earlier run left on {name} could not be undone: {e}"));
                }
            }
        }
        done
    }
}

impl Note {
    pub(crate) fn write(&self, entry: Entry) -> io::Result<()> {
        let Entry { index, mtu, qdisc } = entry;
        let (set, before) = mtu.unwrap_or_default();
        fs::write(&self.0, format!("{index} {set} {before} {} end\n", u32::from(qdisc)))
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn read(path: &Path) -> Option<Entry> {
    let text = fs::read_to_string(path).ok()?;
    let words: Vec<_> = text.split_whitespace().collect();
    let [index, set, before, qdisc, "end"] = words[..] else { return None };
    let (set, before) = (set.parse().ok()?, before.parse().ok()?);
    let mtu = (set != 0).then_some((set, before));
    Some(Entry { index: index.parse().ok()?, mtu, qdisc: qdisc == "1" })
}

fn undo(name: &str, entry: Entry, done: &mut Vec<String>) -> io::Result<()> {
    let links = Links::open()?;
    // Gone, and what was changed with it; or another of that name.
    let Ok(link) = links.by_name(name) else { return Ok(()) };
    if link.index != entry.index {
        return Ok(());
    }
    if tc::remove_filter(&links, link.index)? {
        // Without our filter, one that is there came later, from somebody else.
        if entry.qdisc {
            tc::remove_qdisc(&links, link.index)?;
        }
        done.push(format!("removed the ingress filter that an earlier run left on {name}"));
    }
    if let Some((set, before)) = entry.mtu
        && link.mtu == set
        && set != before
    {
        links.set_mtu(name, before)?;
        done.push(format!("put the MTU of {name} back to {before}, which an earlier run had set to {set}"));
    }
    Ok(())
}
