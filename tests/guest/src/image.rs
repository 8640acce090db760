//! What `make-guest` made.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use vsw_netns::{Lab, root};

/// A host with both daemons running, on which guests can be started. `None`, and a word about it, without
/// root or without a guest.
pub fn lab(test: &str) -> Option<Lab> {
    if !root(test) {
        return None;
    }
    if let Err(why) = image() {
        eprintln!("SKIPPED: {why}: {test}");
        return None;
    }
    Lab::new(test)
}

/// The folder with `vmlinuz`, `initrd` and `qemu`; or why there is none.
pub(crate) fn image() -> &'static Result<PathBuf, String> {
    static IMAGE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("make-guest");
        // Making it takes a network: that is for whoever starts the tests to decide.
        let out = Command::new(script).arg("--check").stdin(Stdio::null()).output();
        let out = out.map_err(|e| format!("make-guest cannot be run, {e}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match out.status.success() {
            true => Ok(PathBuf::from(text(&out.stdout))),
            false => Err(text(&out.stderr).trim_start_matches("make-guest: ").replace(": ", ", ")),
        }
    })
}
