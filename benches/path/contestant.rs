//! Who drains the queue, and of which packets.

/// Packets of one length, in bytes with their IPv4 and UDP headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) usize);

impl Size {
    pub(super) const ALL: [Size; 2] = [Size(64), Size(1_400)];

    pub(super) fn payload(self) -> Vec<u8> {
        vec![0; self.0 - 28]
    }

    /// What the report's keys end in.
    pub(super) fn suffix(self) -> String {
        if self == Size::ALL[0] { String::new() } else { format!("_{}", self.0) }
    }
}

/// Who drains the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Contestant {
    NfqLoop,
    Ceiling,
    CeilingCopying,
    Native,
    NativeEmpty,
    NativeHot,
    Backend,
}

impl Contestant {
    pub(super) const ALL: [Contestant; 7] = [
        Contestant::NfqLoop,
        Contestant::Ceiling,
        Contestant::CeilingCopying,
        Contestant::Native,
        Contestant::NativeEmpty,
        Contestant::NativeHot,
        Contestant::Backend,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Contestant::NfqLoop => "nfq loop, accepts everything",
            Contestant::Ceiling => "ceiling, accepts everything",
            Contestant::CeilingCopying => "ceiling that also writes the addresses",
            Contestant::Native => "kordon native, another address per packet",
            Contestant::NativeEmpty => "the same with empty lists",
            Contestant::NativeHot => "kordon native, one address",
            Contestant::Backend => "kordon on nfq, another address per packet",
        }
    }

    /// Its key in the report.
    pub(super) fn key(self) -> &'static str {
        match self {
            Contestant::NfqLoop => "nfq_loop",
            Contestant::Ceiling => "ceiling",
            Contestant::CeilingCopying => "ceiling_copying",
            Contestant::Native => "native",
            Contestant::NativeEmpty => "native_empty",
            Contestant::NativeHot => "native_hot",
            Contestant::Backend => "nfq_backend",
        }
    }
}
