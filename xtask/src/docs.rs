//! `docs/reference/vswctl.md` is what `vswctl` says of itself.

use crate::run::{cargo, output, root};
use anyhow::{Context, Result, bail};

pub(crate) fn run(check: bool) -> Result<()> {
    let is = output(&mut cargo(["run", "--quiet", "-p", "vswctl", "--", "reference"]))?;
    let path = root().join("docs/reference/vswctl.md");
    if !check {
        std::fs::create_dir_all(root().join("docs/reference"))?;
        return std::fs::write(&path, is).with_context(|| format!("{} cannot be written", path.display()));
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    if written != is {
        let line = 1 + written.lines().zip(is.lines()).take_while(|(a, b)| a == b).count();
        bail!(
            "docs/reference/vswctl.md is out of date from line {line} on; write it anew with `cargo xtask docs`"
        );
    }
    Ok(())
}
