//! What a packet can hide: IPv4 addresses in IPv6 ones, headers that send it elsewhere, who sent it.

/// How an IPv4 address stands in an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Embedding {
    /// `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2): an API's notation, never on a wire.
    Mapped,
    /// `::a.b.c.d` (RFC 4291 section 2.5.5.1), deprecated.
    Compatible,
    /// `::ffff:0:a.b.c.d` (RFC 2765).
    Translated,
    /// `2002:aabb:ccdd::/48` (RFC 3056).
    SixToFour,
    /// `64:ff9b::/96` and configured prefixes (RFC 6052), `64:ff9b:1::/48` (RFC 8215).
    Nat64,
    /// The server of a Teredo address, bits 32 to 63 of `2001::/32` (RFC 4380 section 4).
    TeredoServer,
    /// The client of a Teredo address, its last 32 bits, inverted.
    TeredoClient,
    /// The last 32 bits of an interface identifier `0:5efe` or `200:5efe` (RFC 5214 section 6.1).
    Isatap,
}

impl Embedding {
    /// The label value in messages.
    pub const fn label(self) -> &'static str {
        match self {
            Embedding::Mapped => "mapped",
            Embedding::Compatible => "compatible",
            Embedding::Translated => "translated",
            Embedding::SixToFour => "6to4",
            Embedding::Nat64 => "nat64",
            Embedding::TeredoServer => "teredo server",
            Embedding::TeredoClient => "teredo client",
            Embedding::Isatap => "isatap",
        }
    }

    /// An address of this form has no business on a wire, whatever it embeds.
    pub const fn is_martian(self) -> bool {
        match self {
            Embedding::Mapped | Embedding::Compatible => true,
            Embedding::Translated
            | Embedding::SixToFour
            | Embedding::Nat64
            | Embedding::TeredoServer
            | Embedding::TeredoClient
            | Embedding::Isatap => false,
        }
    }
}

/// A header that sends a packet elsewhere than its destination says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Redirect {
    /// IPv4 option 131, loose source and record route (RFC 791).
    LooseSourceRoute,
    /// IPv4 option 137, strict source and record route (RFC 791).
    StrictSourceRoute,
    /// IPv6 routing header type 0 (RFC 2460, deprecated by RFC 5095).
    Routing0,
    /// IPv6 routing header type 2, of Mobile IPv6 (RFC 6275).
    Routing2,
    /// IPv6 routing header type 4, segment routing (RFC 8754).
    Routing4,
    /// An IPv6 routing header of any other type.
    RoutingOther,
}

impl Redirect {
    /// The label value in messages.
    pub const fn label(self) -> &'static str {
        match self {
            Redirect::LooseSourceRoute => "loose source route",
            Redirect::StrictSourceRoute => "strict source route",
            Redirect::Routing0 => "routing header 0",
            Redirect::Routing2 => "routing header 2",
            Redirect::Routing4 => "routing header 4",
            Redirect::RoutingOther => "routing header",
        }
    }

    /// It is Mobile IPv6's, which leads to another address of the same host.
    pub const fn is_mobile_ipv6(self) -> bool {
        matches!(self, Redirect::Routing2)
    }
}

/// What is wrong with a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forgery {
    /// Its address is in no camera network of the interface that it came by.
    Network,
    /// Its address is a declared camera's, its MAC address is not.
    Mac,
    /// Its MAC address is a declared camera's, its address is not.
    Address,
}

impl Forgery {
    /// The words in messages.
    pub const fn label(self) -> &'static str {
        match self {
            Forgery::Network => "address of no camera network of its interface",
            Forgery::Mac => "a camera's address with another MAC address",
            Forgery::Address => "a camera's MAC address with another address",
        }
    }
}
