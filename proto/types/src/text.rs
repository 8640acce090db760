//! What checked texts have in common.

/// Makes a tuple of a text, which has a `new` that checks it, read, compare and print as the text does.
macro_rules! is_text {
    ($name:ident, $bad:ident) => {
        impl std::str::FromStr for $name {
            type Err = $bad;
            fn from_str(s: &str) -> Result<Self, $bad> {
                Self::new(s)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}
pub(crate) use is_text;
