//! What a guest or its VMM did that cannot be gone along with, by name. Each is at worst the end of one
//! connection or of one ring, never of anything else.

/// Why a connection or a ring is not served any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    // The memory table.
    #[error("memory region {0:#x} + {1:#x} has no bytes, or does not fit into an address space")]
    RegionBounds(u64, u64),
    #[error("memory regions overlap at {0:#x}")]
    RegionOverlap(u64),
    #[error("memory region at {0:#x} lies outside its file of {1} bytes")]
    RegionFile(u64, u64),
    #[error("memory region at {0:#x} cannot be mapped: {1}")]
    RegionMap(u64, String),
    #[error("there is no memory region at {0:#x} + {1:#x}")]
    NoRegion(u64, u64),
    #[error("more than {0} memory regions")]
    TooManyRegions(usize),
    // Where a ring is.
    #[error("vring {0} is more than this port has")]
    NoSuchRing(usize),
    #[error("a ring of {0} descriptors: it must have 1 to 32,768, a power of two unless packed")]
    RingSize(u32),
    #[error("the ring's {0} at {1:#x} is not in the guest's memory, or not aligned")]
    RingAddress(&'static str, u64),
    #[error("a notification descriptor that is no eventfd")]
    NotEventfd,
    // What is in a ring.
    #[error("the guest made {0} descriptors available in a ring of {1}")]
    TooManyAvailable(u16, u16),
    #[error("descriptor {0} in a ring of {1}")]
    NoSuchDescriptor(u32, u32),
    #[error("a descriptor chain that is a loop, or longer than the ring")]
    LongChain,
    #[error("a descriptor of {1} bytes at {0:#x} is not in the guest's memory")]
    OutOfMemory(u64, u32),
    #[error("a descriptor to be read where one to be written is due")]
    Direction,
    #[error("an indirect descriptor table inside another, chained, of {0} bytes, or not negotiated")]
    Indirect(u32),
    #[error("a buffer of {0} bytes is too small for the virtio-net header")]
    ShortBuffer(u32),
    // The other tables.
    #[error("the dirty-page log of {0} bytes cannot be mapped, or is too small: {1}")]
    Log(u64, String),
    #[error("the in-flight region: {0}")]
    InFlight(&'static str),
}
