#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kordon_fuzz::unpack(bytes));
