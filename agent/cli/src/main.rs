//! tracenet: the command line.
fn main() {}
