//! The formats of list files and of origin tables, by their names in the configuration.

use std::fmt;

use super::ListKind;

/// How a list file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListFormat {
    /// To be found out from the file.
    Auto,
    /// Prefixes, addresses and ranges, one per line.
    Cidr,
    /// AS numbers, one per line.
    Asn,
    /// ISO 3166 codes of two letters, one per line.
    Country,
    /// FireHOL `.netset` and `.ipset`.
    Netset,
    /// Spamhaus DROP as text.
    Spamhaus,
    /// Spamhaus DROP as JSON lines.
    SpamhausJson,
    /// Spamhaus ASN-DROP.
    SpamhausAsn,
    /// DShield's `block.txt`.
    Dshield,
    /// What `ipset save` writes.
    Ipset,
    /// nftables sets.
    Nft,
    /// PeerGuardian text.
    P2p,
    /// A regional registry's delegated or delegated-extended file.
    Delegated,
}

/// The format of an origin table file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OriginFormat {
    /// To be found out from the file.
    Auto,
    /// `start<TAB>end<TAB>asn<TAB>country<TAB>name`.
    Iptoasn,
    /// `start,end,asn,org`.
    Csv,
    /// CAIDA's `address<TAB>length<TAB>asns`.
    Pfx2as,
    /// bgp.tools' table as JSON lines.
    Bgptools,
    /// GeoLite2 ASN as CSV.
    Geolite2,
    /// A MaxMind database.
    Mmdb,
    /// Routinator's validated ROA payloads as JSON.
    VrpJson,
    /// The same as CSV.
    VrpCsv,
    /// `prefix asn`.
    PrefixAsn,
    /// A regional registry's delegated or delegated-extended file: countries only.
    Delegated,
}

impl ListFormat {
    /// The name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            ListFormat::Auto => "auto",
            ListFormat::Cidr => "cidr",
            ListFormat::Asn => "asn",
            ListFormat::Country => "country",
            ListFormat::Netset => "netset",
            ListFormat::Spamhaus => "spamhaus",
            ListFormat::SpamhausJson => "spamhaus-json",
            ListFormat::SpamhausAsn => "spamhaus-asn",
            ListFormat::Dshield => "dshield",
            ListFormat::Ipset => "ipset",
            ListFormat::Nft => "nft",
            ListFormat::P2p => "p2p",
            ListFormat::Delegated => "delegated",
        }
    }
}

impl ListFormat {
    /// What the lines of a file of this format are, if nobody says.
    pub const fn kind(self) -> ListKind {
        match self {
            ListFormat::Asn | ListFormat::SpamhausAsn => ListKind::Asn,
            ListFormat::Country | ListFormat::Delegated => ListKind::Country,
            ListFormat::Auto
            | ListFormat::Cidr
            | ListFormat::Netset
            | ListFormat::Spamhaus
            | ListFormat::SpamhausJson
            | ListFormat::Dshield
            | ListFormat::Ipset
            | ListFormat::Nft
            | ListFormat::P2p => ListKind::Prefix,
        }
    }
}

impl OriginFormat {
    /// The name in the configuration.
    pub const fn label(self) -> &'static str {
        match self {
            OriginFormat::Auto => "auto",
            OriginFormat::Iptoasn => "iptoasn",
            OriginFormat::Csv => "csv",
            OriginFormat::Pfx2as => "pfx2as",
            OriginFormat::Bgptools => "bgptools",
            OriginFormat::Geolite2 => "geolite2",
            OriginFormat::Mmdb => "mmdb",
            OriginFormat::VrpJson => "vrp-json",
            OriginFormat::VrpCsv => "vrp-csv",
            OriginFormat::PrefixAsn => "prefix-asn",
            OriginFormat::Delegated => "delegated",
        }
    }
}

impl fmt::Display for ListFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl fmt::Display for OriginFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_names_in_the_configuration() {
        for format in ["auto", "cidr", "spamhaus-json", "p2p", "delegated", "netset"] {
            let read: ListFormat = serde_json::from_value(format.into()).unwrap();
            assert_eq!(read.label(), format);
        }
        for format in ["auto", "iptoasn", "pfx2as", "geolite2", "vrp-json", "prefix-asn"] {
            let read: OriginFormat = serde_json::from_value(format.into()).unwrap();
            assert_eq!(read.label(), format);
        }
    }
}
