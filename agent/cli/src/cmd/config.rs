//! `tracenet config`

use std::io::{self, Write};

use tracenet_config::Config;

use crate::args::ConfigAction;
use crate::failure::Failure;

/// Checks a file, or prints the schema or the example.
pub fn main(action: ConfigAction) -> Result<u8, Failure> {
    let text = match action {
        ConfigAction::Check { file } => {
            let config = Config::load(&file).map_err(|e| Failure::Usage(e.to_string()))?;
            crate::settings::selection(&config)?;
            format!("{}: valid\n", file.display())
        }
        ConfigAction::Schema => tracenet_config::schema_json() + "\n",
        ConfigAction::Example => tracenet_config::example().to_owned(),
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Runtime(format!("cannot write standard output: {e}")))
        }
        _ => Ok(0),
    }
}
