//! Where lists and declared cameras stand among the counters.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::config::NamedCamera;
use crate::packet::Addresses;

/// The most list names that one process may see in its life, the empty one (no list) included.
pub const PLACES: usize = 1024;
/// Where declared cameras stand among the counters.
#[derive(Debug, Default)]
pub struct CameraPlaces {
    names: Vec<String>,
    v4: Vec<(u32, u16)>,
    v6: Vec<(u128, u16)>,
}

impl CameraPlaces {
    /// Places for the declared cameras, in their order.
    pub fn new(cameras: &[NamedCamera]) -> Self {
        let mut places = CameraPlaces::default();
        for (place, camera) in cameras.iter().enumerate() {
            places.names.push(camera.name.clone());
            for address in &camera.addresses {
                match address {
                    IpAddr::V4(address) => places.v4.push((address.to_bits(), place as u16)),
                    IpAddr::V6(address) => places.v6.push((address.to_bits(), place as u16)),
                }
            }
        }
        places.v4.sort_unstable();
        places.v6.sort_unstable();
        places
    }

    /// The names, in the order of their places.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The place of the camera that sent a packet; the last one for a camera without a name.
    #[inline]
    pub fn place(&self, addresses: &Addresses) -> usize {
        let found = match addresses {
            Addresses::V4 { source, .. } => find(&self.v4, source.to_bits()),
            Addresses::V6 { source, .. } => find(&self.v6, source.to_bits()),
        };
        found.unwrap_or(self.other())
    }

    /// The name of the camera with this address, if it was declared.
    pub fn name(&self, address: &IpAddr) -> Option<&str> {
        let place = match address {
            IpAddr::V4(address) => find(&self.v4, address.to_bits()),
            IpAddr::V6(address) => find(&self.v6, address.to_bits()),
        };
        place.and_then(|place| self.names.get(place)).map(String::as_str)
    }

    pub(super) fn other(&self) -> usize {
        self.names.len()
    }
}

#[inline]
fn find<B: Ord + Copy>(sorted: &[(B, u16)], bits: B) -> Option<usize> {
    let place = sorted.binary_search_by_key(&bits, |(bits, _)| *bits).ok()?;
    sorted.get(place).map(|(_, place)| usize::from(*place))
}

/// Gives each list name a place among the counters, the same one for as long as the process lives.
#[derive(Debug)]
pub struct ListPlaces(Mutex<Vec<String>>);

impl Default for ListPlaces {
    fn default() -> Self {
        ListPlaces(Mutex::new(vec![String::new()]))
    }
}

impl ListPlaces {
    /// The place of this name; `None` when [`PLACES`] names were seen before it.
    pub fn place(&self, name: &str) -> Option<u16> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = names.iter().position(|known| known == name) {
            return Some(place as u16);
        }
        if names.len() == PLACES {
            return None;
        }
        names.push(name.to_owned());
        Some((names.len() - 1) as u16)
    }

    /// All names so far, in the order of their places; the first is empty: no list.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
