//! tracenet's configuration file: one YAML file with every option of `attach`, `run` and the agent.
//!
//! [`Config`] has plain public fields with the defaults filled in; flags are laid over it by whoever parses them.
//! Nothing here expands: no environment, no includes, no YAML aliases.
#![forbid(unsafe_code)]

pub mod agent;
mod checked;
mod parse;
mod quantity;
mod schema;

pub use parse::{Error, MAX_FILE_BYTES};
pub use quantity::{Bytes, Percent, QuantityError, Time, parse_bytes, parse_duration, parse_percent};
pub use schema::*;

/// The commented example file. It says every default, so that it changes nothing as it stands.
pub fn example() -> &'static str {
    include_str!("../tracenet.yaml")
}

/// JSON schema (draft 2020-12) of the file, for editors.
pub fn schema_json() -> String {
    let schema = schemars::schema_for!(Config);
    format!("{:#}", schema.as_value())
}
