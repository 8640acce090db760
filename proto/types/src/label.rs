//! Names of things that are not interfaces: QoS profiles and classes.

/// 1 to 32 printable ASCII characters that have no meaning in a list of classes or in a shell's word.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Box<str>);

const MAX: usize = 32;

/// What was typed is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLabel {
    #[error("the name is empty; it needs 1 to 32 characters")]
    Empty,
    #[error("the name `{0}` is longer than 32 characters")]
    TooLong(String),
    #[error("the name `{0}` contains {1:?}; use letters, digits and any of . _ + - @")]
    Character(String, char),
    #[error("the name `{0}` is not allowed")]
    Reserved(String),
}

impl Label {
    pub fn new(name: &str) -> Result<Self, BadLabel> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._+-@".contains(c);
        match name.chars().find(|c| !good(*c)) {
            _ if name.is_empty() => Err(BadLabel::Empty),
            Some(c) => Err(BadLabel::Character(name.to_owned(), c)),
            None if name.len() > MAX => Err(BadLabel::TooLong(name.to_owned())),
            // An option, or what says that there is no profile.
            None if name.starts_with('-') || name == "none" => Err(BadLabel::Reserved(name.to_owned())),
            None => Ok(Self(name.into())),
        }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

crate::text::is_text!(Label, BadLabel);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words() {
        for good in ["gold", "voice+bulk", "a", "tenant-7_x.y@z"] {
            assert_eq!(Label::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "none", "-x", "a b", "a;b", "a:b", "a,b", "a=b", "a/b", "ü", &"x".repeat(33)] {
            assert!(Label::new(bad).is_err(), "{bad:?}");
        }
    }
}
