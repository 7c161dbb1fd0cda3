#![no_main]

use kordon::config::{ListFormat, ListKind};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kordon_fuzz::list(
    ListFormat::Delegated,
    ListKind::Country,
    bytes
));
