//! Names of bridges and ports, which are names of network interfaces too.

/// The name of a bridge, a port or an interface: what the kernel accepts as an interface name
/// (`dev_valid_name`, net/core/dev.c: 1 to 15 bytes, not `.` or `..`, no `/`, `:` or white space), and
/// printable ASCII besides, so that it can be typed, logged and put into a file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

/// The longest name: bytes. Linux IFNAMSIZ is 16 with the terminating zero.
const MAX: usize = 15;

/// What was typed cannot be the name of an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("the name is empty; it needs 1 to 15 characters")]
    Empty,
    #[error("`{0}` is longer than 15 characters, the most that an interface name can have")]
    TooLong(String),
    #[error("`{0}` contains {1:?}; an interface name is printable ASCII without spaces, `/` and `:`")]
    Character(String, char),
    #[error("`{0}` is not allowed as an interface name")]
    Reserved(String),
}

impl Name {
    pub fn new(name: &str) -> Result<Self, BadName> {
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if let Some(c) = name.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '/' | ':' | '%')) {
            return Err(BadName::Character(name.to_owned(), c));
        }
        if name.len() > MAX {
            return Err(BadName::TooLong(name.to_owned()));
        }
        if matches!(name, "." | ".." | "all" | "default") || name.starts_with('-') {
            return Err(BadName::Reserved(name.to_owned()));
        }
        Ok(Self(name.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

crate::text::is_text!(Name, BadName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        for good in ["br0", "tap0", "a", "exactly15bytes_", "eth0.10", "vm-1"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "a b", "a/b", "a:b", "sixteen_bytes___", "tab\t", "ü", "n%d", "-x", "all"]
        {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }
}
