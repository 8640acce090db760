//! What a front end did against the protocol, by name.

use crate::fault::Fault;

/// Why a request is refused, or a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    // Messages that nobody can read; the connection ends.
    #[error("a message of protocol version {0}; this is version 1")]
    Version(u32),
    #[error("a reply to request {0}, which was never asked")]
    NotARequest(u32),
    #[error("a message of {0} bytes")]
    TooLong(u32),
    #[error("more descriptors with one message than any request has")]
    TooManyDescriptors,
    #[error("it does not read its replies")]
    Unread,
    // Requests that are not as they should be.
    #[error("request {0}, which is unknown or was not offered")]
    Unknown(u32),
    #[error("request {0} with a payload of {1} bytes, which is not its length")]
    Length(u32, usize),
    #[error("request {0} with {1} descriptors too few")]
    TooFewFds(u32, usize),
    #[error("request {0} with {1} descriptors too many")]
    TooManyFds(u32, usize),
    #[error("a memory table of {0} regions; at most {1} are taken")]
    Table(u32, usize),
    #[error("request {0} with the number {1}, which has no meaning there")]
    Value(u32, u64),
    // Requests that do not fit what was said before.
    #[error("features {0:#x} were never offered")]
    Features(u64),
    #[error("protocol features {0:#x} were never offered")]
    ProtocolFeatures(u64),
    #[error("request {0}, which needs a protocol feature that was not negotiated")]
    NotNegotiated(u32),
    #[error("vring {0} runs; stop it before it is changed")]
    Runs(u32),
    #[error("features are changed while rings run")]
    FeaturesInUse,
    #[error("a dirty-page log without a file, which is of no use to another process")]
    NoLogFile,
    #[error("an MTU of {0}; it must be 68 to 65535")]
    Mtu(u64),
    #[error("an MTU of {0}, which is more than the {1} of this port")]
    MtuTooLarge(u64, u16),
    #[error("no descriptors are left: {0}")]
    NoDescriptor(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}
