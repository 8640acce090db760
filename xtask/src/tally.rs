//! Counting tests from what `cargo test` prints.
//!
//! Complications: a test that lacks root returns at once and says `SKIPPED: reason: name`; the test harness
//! calls that passed, and keeps what it said to itself unless asked with `--show-output`. A test program
//! that dies has no result line at all.

use std::collections::BTreeSet;

/// What became of tests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<String>,
    /// Reason and name.
    pub(crate) skipped: BTreeSet<(String, String)>,
    /// The test program that is running, and the tests of it that are not done.
    program: Option<String>,
    skipped_here: usize,
    failed_here: usize,
}

impl Tally {
    /// One line of a `cargo test .. -- --show-output`. Gives a line for people when a program is done.
    pub(crate) fn line(&mut self, line: &str) -> Option<String> {
        let text = line.trim();
        if let Some(program) = started(text) {
            self.program_died();
            self.program = Some(program);
        } else if let Some(said) = text.strip_prefix("SKIPPED: ") {
            let (reason, name) = said.rsplit_once(": ").unwrap_or(("no reason given", said));
            let name = format!("{}: {name}", self.program.as_deref().unwrap_or("?"));
            self.skipped_here += usize::from(self.skipped.insert((reason.into(), name)));
        } else if let Some(rest) = text.strip_prefix("test ")
            && let Some((name, how)) = rest.split_once(" ... ")
        {
            self.test(name, how);
        } else if let Some(counts) = text.strip_prefix("test result: ") {
            return Some(self.result(counts));
        }
        None
    }

    fn test(&mut self, name: &str, how: &str) {
        let place = self.program.as_deref().unwrap_or("?");
        if how == "FAILED" {
            self.failed.push(format!("{place}: {name}"));
            self.failed_here += 1;
        } else if let Some(why) = how.strip_prefix("ignored") {
            let why = why.trim_start_matches(", ");
            let why = if why.is_empty() { "ignored" } else { why };
            self.skipped.insert((why.into(), format!("{place}: {name}")));
        }
    }

    /// `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
    fn result(&mut self, counts: &str) -> String {
        let count = |what: &str| {
            let part = counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(what));
            part.and_then(|n| n.trim().parse::<usize>().ok()).unwrap_or_default()
        };
        let program = self.program.take().unwrap_or_default();
        for _ in self.failed_here..count("failed") {
            self.failed.push(format!("{program}: a test"));
        }
        let passed = count("passed").saturating_sub(self.skipped_here);
        let (failed, skipped) = (count("failed"), count("ignored") + self.skipped_here);
        self.passed += passed;
        (self.skipped_here, self.failed_here) = (0, 0);
        format!("{program}: {passed} passed, {failed} failed, {skipped} skipped")
    }

    /// The program that was running has no result: it crashed.
    pub(crate) fn program_died(&mut self) {
        if let Some(program) = self.program.take() {
            self.failed.push(format!("{program}: ended without a result"));
            (self.skipped_here, self.failed_here) = (0, 0);
        }
    }

    /// One thing that is no `cargo test`.
    pub(crate) fn one(&mut self, name: &str, result: anyhow::Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(e) => {
                println!("{name}: {e:#}");
                self.failed.push(name.into());
            }
        }
    }

    pub(crate) fn skip(&mut self, name: &str, reason: &str) {
        println!("   skipped: {reason}");
        self.skipped.insert((reason.into(), name.into()));
    }

    /// For the end of the run; the last line is for programs, too.
    pub(crate) fn summary(&self) -> String {
        let mut out = String::new();
        for failed in &self.failed {
            out += &format!("failed: {failed}\n");
        }
        for (reason, name) in &self.skipped {
            out += &format!("skipped: {name} ({reason})\n");
        }
        out + &format!("{} passed, {} failed, {} skipped", self.passed, self.failed.len(), self.skipped.len())
    }
}

/// Whether the line tells that a test program is started.
pub(crate) fn is_start(line: &str) -> bool {
    started(line.trim()).is_some()
}

/// `Running tests/bridge.rs (target/debug/deps/bridge-0123456789abcdef)`, `Running unittests src/lib.rs (..)`,
/// `Doc-tests vsw_wire`
fn started(text: &str) -> Option<String> {
    if let Some(name) = text.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (examples in the documentation)"));
    }
    let (source, file) = text.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once(" (")?;
    let stem = file.rsplit('/').next()?;
    let name = stem.rsplit_once('-').map_or(stem, |(name, _)| name);
    Some(format!("{name} ({})", source.trim_start_matches("unittests ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "
     Running unittests src/lib.rs (target/debug/deps/vsw_wire-0123456789abcdef)
running 2 tests
test eth::short ... ok
test eth::wrong ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/tap.rs (target/debug/deps/tap-0123456789abcdef)
test a ... ok
test b ... ok
test c ... ignored, takes an hour
successes:
SKIPPED: needs root: b
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/abort.rs (target/debug/deps/abort-0123456789abcdef)
test a ... thread panicked
   Doc-tests vsw_mem
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn everything_is_counted_once() {
        let mut tally = Tally::default();
        let told: Vec<String> = OUTPUT.lines().filter_map(|l| tally.line(l)).collect();
        assert_eq!(told[0], "vsw_wire (src/lib.rs): 1 passed, 1 failed, 0 skipped");
        assert_eq!(told[1], "tap (tests/tap.rs): 1 passed, 0 failed, 2 skipped");
        assert_eq!(
            tally.summary(),
            "failed: vsw_wire (src/lib.rs): eth::wrong
failed: abort (tests/abort.rs): ended without a result
skipped: tap (tests/tap.rs): b (needs root)
skipped: tap (tests/tap.rs): c (takes an hour)
2 passed, 2 failed, 2 skipped"
        );
    }
}
