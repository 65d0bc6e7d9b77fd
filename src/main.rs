//! The `trustline` binary.

fn main() {}
