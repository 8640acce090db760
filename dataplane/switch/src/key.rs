//! What of a frame the decision may look at.

use vsw_types::{DropReason, Mac48, PortIdx};
use vsw_wire::eth::{self, HEADER_LEN};
use vsw_wire::vlan::Tag;

/// Everything a stage may read of a frame, but for the size that guards count: what is not in the key cannot
/// change the verdict. It is complete on
/// purpose, so that verdicts could be remembered by it if one day there is policy that must be searched
/// for (`docs/adr/0004-decide-every-packet.md`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowKey {
    pub dst: Mac48,
    pub src: Mac48,
    pub in_port: PortIdx,
    /// Behind at most two tags.
    pub ethertype: u16,
    /// The first tag, if the frame has one.
    pub outer: Option<Tag>,
    /// The second.
    pub inner: Option<Tag>,
}

impl FlowKey {
    /// Reads the key from the first bytes of a frame.
    ///
    /// # Errors
    /// [`DropReason::Runt`] or [`DropReason::TruncatedTag`].
    #[inline]
    pub fn extract(in_port: PortIdx, bytes: &[u8]) -> Result<Self, DropReason> {
        let Some(header) = bytes.first_chunk::<HEADER_LEN>() else { return Err(DropReason::Runt) };
        let (dst, src, ethertype) = eth::header(header);
        let mut key = Self { dst, src, in_port, ethertype, outer: None, inner: None };
        if eth::is_tag(ethertype) {
            (key.outer, key.ethertype) = tag(bytes, 14, ethertype)?;
            if eth::is_tag(key.ethertype) {
                (key.inner, key.ethertype) = tag(bytes, 18, key.ethertype)?;
            }
        }
        Ok(key)
    }
}

/// The tag whose TCI is at `at`, and the type behind it.
fn tag(bytes: &[u8], at: usize, tpid: u16) -> Result<(Option<Tag>, u16), DropReason> {
    let Some([a, b, c, d]) = bytes.get(at..at + 4) else { return Err(DropReason::TruncatedTag) };
    Ok((Some(Tag::new(tpid, u16::from_be_bytes([*a, *b]))), u16::from_be_bytes([*c, *d])))
}
