//! Held bytes to source, destination, protocol and ports; never panics.

/// A packet as the kernel held it: the first bytes of it, and what the kernel said of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held<'a> {
    /// The bytes copied, from the IP header on; at most the queue's copy range.
    pub bytes: &'a [u8],
    /// The packet's length in bytes before the copy was cut.
    pub length: u32,
    /// The kernel flagged it as an aggregate (GSO): a total length of 0 is then a big packet, not garbage.
    pub aggregate: bool,
}

impl<'a> From<&'a [u8]> for Held<'a> {
    /// A whole packet, nothing cut.
    fn from(bytes: &'a [u8]) -> Self {
        Held { bytes, length: bytes.len() as u32, aggregate: false }
    }
}
