//! What probes and scrapers are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracenet_collectors::clock::mono_now;
use tracenet_collectors::pods::PodWatch;
use tracenet_otel::prometheus::{Exposition, Format};
use tracenet_otel::serve::Pages;

/// The loop says that it lives several times a second; after so long it hangs.
const HANGS_NS: u64 = 30_000_000_000;

/// What the loop says of itself, and the endpoint passes on.
pub struct Health {
    exposition: Arc<Exposition>,
    pods: Option<Arc<PodWatch>>,
    alive: AtomicU64,
}

impl Health {
    pub fn new(exposition: Arc<Exposition>, pods: Option<Arc<PodWatch>>) -> Self {
        Self { exposition, pods, alive: AtomicU64::new(mono_now().0) }
    }

    /// The loop goes round.
    pub fn alive(&self) {
        self.alive.store(mono_now().0, Ordering::Relaxed);
    }
}

impl Pages for Health {
    fn metrics(&self, format: Format) -> String {
        self.exposition.render(format)
    }

    fn live(&self) -> Result<(), String> {
        let silent = mono_now().0.saturating_sub(self.alive.load(Ordering::Relaxed));
        if silent < HANGS_NS {
            Ok(())
        } else {
            Err(format!("the agent has done nothing for {} s", silent / 1_000_000_000))
        }
    }

    fn ready(&self) -> Result<(), String> {
        match &self.pods {
            Some(pods) if !pods.status().synced => {
                let error = pods.status().last_error;
                Err(error.unwrap_or_else(|| "the list of pods has not come yet".into()))
            }
            _ => Ok(()),
        }
    }
}
