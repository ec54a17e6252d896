//! Where spans and metrics go, and how that changes while the agent runs.

use std::time::Duration;

use tracenet_config::{Config, Export as Section};
use tracenet_otel::{ExportOptions, ExportReport, Exporter};

use crate::failure::Failure;
use crate::settings;

/// The exporter, and what it was made of.
pub struct Export {
    exporter: Exporter,
    options: ExportOptions,
    section: Section,
}

/// What the flag, the environment and the file say.
fn options(config: &Config) -> Result<ExportOptions, Failure> {
    match settings::export(config)? {
        Some(options) => Ok(options),
        None => settings::without_export(config),
    }
}

impl Export {
    /// Starts the thread.
    pub fn start(config: &Config) -> Result<Self, Failure> {
        let options = options(config)?;
        let exporter = Exporter::start(&options).map_err(|e| Failure::Runtime(e.to_string()))?;
        Ok(Self { exporter, options, section: config.export.clone() })
    }

    /// What it was started with.
    pub fn options(&self) -> &ExportOptions {
        &self.options
    }

    /// True where the file says something else than when it was started.
    pub fn differs(&self, config: &Config) -> bool {
        self.section != config.export
    }

    /// Where to put spans.
    pub fn sink(&self) -> tracenet_otel::Sink {
        self.exporter.sink()
    }

    /// Sends what is left and ends.
    pub fn shutdown(self) -> ExportReport {
        let patience: Duration = self.section.otlp.shutdown_timeout.0;
        self.exporter.shutdown(patience)
    }
}
