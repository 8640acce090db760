//! How a network namespace is named.

use std::fmt;
use std::path::PathBuf;

/// A network namespace, by the name `ip netns` gave it, by a process in it, or by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Netns {
    Name(String),
    Pid(u32),
    Path(PathBuf),
}

impl Netns {
    /// All digits: a process id. With a slash: an absolute path. Else a name under `/run/netns`.
    pub(crate) fn parse(s: &str) -> Result<Self, &'static str> {
        if s.is_empty() {
            return Err("it is empty");
        }
        if s.bytes().all(|b| b.is_ascii_digit()) {
            return match s.parse() {
                Ok(pid @ 1..) => Ok(Self::Pid(pid)),
                _ => Err("it is no process id"),
            };
        }
        if s.starts_with('/') {
            return if s.contains('\0') { Err("it contains a zero byte") } else { Ok(Self::Path(s.into())) };
        }
        if s == "." || s == ".." || s.contains(['/', '\0']) || s.len() > 255 {
            return Err("it is neither a name as `ip netns` shows, a process id, nor an absolute path");
        }
        Ok(Self::Name(s.to_owned()))
    }

    /// The file that stands for the namespace.
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Name(name) => PathBuf::from("/run/netns").join(name),
            Self::Pid(pid) => PathBuf::from(format!("/proc/{pid}/ns/net")),
            Self::Path(path) => path.clone(),
        }
    }
}

impl fmt::Display for Netns {
    /// As it was typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Pid(pid) => write!(f, "{pid}"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}
