//! Writes MaxMind databases (format 2.0), for the fixture and for what no writer would write.

/// A network: its bits in a tree of 128 (IPv4 at `::/96`), its length in that tree, AS number and name.
pub(crate) type Network<'a> = (u128, u8, u32, &'a str);

const NONE: usize = usize::MAX;

/// One side of a node.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// No data.
    Empty,
    /// Another node.
    Node(usize),
    /// A record, by its number.
    Record(usize),
}

/// A search tree to be written.
pub(crate) struct Tree {
    /// Its nodes, the first one at the root.
    pub(crate) nodes: Vec<[Side; 2]>,
    records: Vec<(u32, String)>,
}

impl Tree {
    /// The tree of these networks.
    pub(crate) fn of(networks: &[Network<'_>]) -> Tree {
        let mut tree = Tree { nodes: vec![[Side::Empty; 2]], records: Vec::new() };
        for (bits, length, asn, name) in networks {
            tree.records.push((*asn, (*name).to_owned()));
            let record = Side::Record(tree.records.len() - 1);
            tree.put(*bits, *length, record);
        }
        tree
    }

    /// Lets the networks below one prefix be seen below another one, too, as MaxMind does for IPv4.
    pub(crate) fn alias(&mut self, from: (u128, u8), to: (u128, u8)) {
        let node = self.node(from.0, from.1);
        self.put(to.0, to.1, Side::Node(node));
    }

    fn put(&mut self, bits: u128, length: u8, side: Side) {
        let at = self.node(bits, length - 1);
        self.nodes[at][bit(bits, length - 1)] = side;
    }

    /// The node at the end of this prefix.
    fn node(&mut self, bits: u128, length: u8) -> usize {
        let mut at = 0;
        for depth in 0..length {
            let side = bit(bits, depth);
            at = match self.nodes[at][side] {
                Side::Node(next) => next,
                Side::Empty | Side::Record(_) => {
                    self.nodes.push([Side::Empty; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[at][side] = Side::Node(next);
                    next
                }
            };
        }
        at
    }

    /// The database, built at this time.
    pub(crate) fn database(&self, build_epoch: u64) -> Vec<u8> {
        let mut data = Vec::new();
        let mut offsets = Vec::new();
        for (asn, name) in &self.records {
            offsets.push(data.len());
            control(&mut data, 7, 2);
            text(&mut data, "autonomous_system_number");
            number(&mut data, 6, u64::from(*asn));
            text(&mut data, "autonomous_system_organization");
            text(&mut data, name);
        }
        let mut bytes = Vec::new();
        let count = self.nodes.len();
        for node in &self.nodes {
            for side in node {
                let value = match side {
                    Side::Empty => count,
                    Side::Node(next) => *next,
                    Side::Record(record) => {
                        count + 16 + offsets.get(*record).copied().unwrap_or(NONE - count - 16)
                    }
                };
                bytes.extend_from_slice(&(value as u32).to_be_bytes()[1..]);
            }
        }
        bytes.extend_from_slice(&[0; 16]);
        bytes.append(&mut data);
        bytes.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        metadata(&mut bytes, count as u64, build_epoch);
        bytes
    }
}

fn bit(bits: u128, depth: u8) -> usize {
    (bits >> (127 - u32::from(depth)) & 1) as usize
}

fn metadata(bytes: &mut Vec<u8>, node_count: u64, build_epoch: u64) {
    control(bytes, 7, 9);
    text(bytes, "node_count");
    number(bytes, 6, node_count);
    for (name, value) in [
        ("record_size", 24),
        ("ip_version", 6),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        text(bytes, name);
        number(bytes, 5, value);
    }
    text(bytes, "build_epoch");
    number(bytes, 9, build_epoch);
    text(bytes, "database_type");
    text(bytes, "Example-ASN");
    text(bytes, "languages");
    control(bytes, 11, 0);
    text(bytes, "description");
    control(bytes, 7, 0);
}

/// Type and size (MaxMind DB file format specification, "Data Field Format").
fn control(bytes: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, more) = match size {
        0..29 => (size as u8, vec![]),
        29..285 => (29, vec![(size - 29) as u8]),
        285.. => (30, u16::try_from(size - 285).expect("a size of 16 bits").to_be_bytes().to_vec()),
    };
    if kind < 8 {
        bytes.push(kind << 5 | short);
    } else {
        bytes.extend_from_slice(&[short, kind - 7]);
    }
    bytes.extend(more);
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    control(bytes, 2, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn number(bytes: &mut Vec<u8>, kind: u8, value: u64) {
    let all = value.to_be_bytes();
    let significant: Vec<u8> = all.into_iter().skip_while(|b| *b == 0).collect();
    control(bytes, kind, significant.len());
    bytes.extend_from_slice(&significant);
}
