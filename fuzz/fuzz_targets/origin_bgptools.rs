#![no_main]

use kordon::config::OriginFormat;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kordon_fuzz::origin(OriginFormat::Bgptools, bytes));
