//! `tracenet top`: processes, connections and hosts by what they do on the network, again and again.

pub mod columns;
pub mod detail;
pub mod fields;
pub mod flows;
pub mod hosts;
pub mod keys;
pub mod listed;
pub mod model;
pub mod names;
pub mod narrowing;
pub mod rates;
pub mod screen;
pub mod text;
