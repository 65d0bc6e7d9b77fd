#![no_main]

#[path = "../../tests/junk/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decoders::mapping_file(input));
