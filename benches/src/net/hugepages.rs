//! Huge pages for as long as a peer needs them.
//!
//! How many there are is a setting of the whole machine. It is put back when the guard is dropped; what it was
//! is noted in a folder, so that the next run can put it back after one that was killed.

use super::lab::Folder;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

const SETTING: &str = "/proc/sys/vm/nr_hugepages";
const NOTE: &str = "hugepages";

/// Pages of 2 MiB that DPDK gets: what Open vSwitch takes for two ports, and some.
const PAGES: u64 = 700;

#[derive(Debug)]
pub(crate) struct HugePages {
    before: u64,
    _note: Folder,
}

impl HugePages {
    pub(crate) fn reserve() -> Result<Self> {
        let before: u64 = fs::read_to_string(SETTING)?.trim().parse()?;
        let note = Folder::new(NOTE)?;
        fs::write(note.path().join(NOTE), before.to_string())?;
        let pages = Self { before, _note: note };
        fs::write(SETTING, (before + PAGES).to_string()).context("huge pages need root")?;
        let now: u64 = fs::read_to_string(SETTING)?.trim().parse()?;
        ensure!(now >= before + PAGES / 2, "only {} of {PAGES} huge pages can be had", now - before);
        Ok(pages)
    }
}

impl Drop for HugePages {
    fn drop(&mut self) {
        let _ = fs::write(SETTING, self.before.to_string());
    }
}

/// Puts back what a run changed that is no more, if this is the folder with its note.
pub(crate) fn put_back(folder: &Path) {
    if let Ok(before) = fs::read_to_string(folder.join(NOTE)) {
        let _ = fs::write(SETTING, before);
    }
}
