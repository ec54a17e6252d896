//! What watching costs, measured on the machine at hand: small workloads, each next to itself unwatched.

pub mod crew;
pub mod pairs;
pub mod probes;
pub mod report;
pub mod ways;
pub mod worker;
