#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracenet_tests::fuzz::recording(data));
