//! Commands, and what they printed.

use std::process::{Command, Output, Stdio};

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    /// -1 if a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Typed {
    pub fn of(command: &mut Command) -> Self {
        Self::from(command.stdin(Stdio::null()).output().expect("it starts"))
    }
    pub fn ok(&self) -> bool {
        self.status == 0
    }
}

impl From<Output> for Typed {
    fn from(o: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { status: o.status.code().unwrap_or(-1), stdout: text(o.stdout), stderr: text(o.stderr) }
    }
}

/// Runs a command line, which must succeed, and gives what it printed.
#[track_caller]
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let typed = Typed::of(Command::new(words.next().expect("a program")).args(words));
    assert!(typed.ok(), "{line}: {}{}", typed.stdout, typed.stderr);
    typed.stdout
}
