//! `tracenet top`: processes by what they do on the network, again and again.

pub mod connections;
pub mod fields;
pub mod keys;
pub mod model;
pub mod screen;
pub mod text;
