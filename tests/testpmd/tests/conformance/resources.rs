//! What a process holds.

use std::fs;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) descriptors: usize,
    /// Mapped regions: a guest's memory that was not unmapped is one.
    pub(crate) mappings: usize,
    pub(crate) threads: usize,
    /// VmRSS.
    pub(crate) resident_kb: usize,
}

impl Resources {
    #[track_caller]
    pub(crate) fn of(pid: u32) -> Self {
        let count = |what: &str| fs::read_dir(format!("/proc/{pid}/{what}")).expect("it runs").count();
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let resident = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Self {
            descriptors: count("fd"),
            mappings: maps.lines().count(),
            threads: count("task"),
            resident_kb: resident.and_then(|kb| kb.trim().parse().ok()).expect("VmRSS"),
        }
    }
}
