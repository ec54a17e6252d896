//! Which API server is asked, and as whom.

use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// Where the API server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiServer {
    /// The cluster in which this process runs, as its pod's service account.
    InCluster,
    /// That of a kubeconfig's current context: this file, or those that `KUBECONFIG` names.
    Kubeconfig(Option<PathBuf>),
    /// A URL, without any credentials: `kubectl proxy`, for example.
    Url(String),
}

impl ApiServer {
    /// What the environment names: the cluster of this pod, or `KUBECONFIG`. A user's `~/.kube/config` is not used
    /// without being asked.
    pub fn found() -> Option<Self> {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("KUBERNETES_SERVICE_HOST") {
            Some(Self::InCluster)
        } else {
            set("KUBECONFIG").then_some(Self::Kubeconfig(None))
        }
    }

    /// A client, with credentials read anew.
    pub(super) async fn client(&self) -> Result<Client, String> {
        let mut config = self.config().await?;
        // Attempts are paced and counted in one place.
        config.default_retry = false;
        Client::try_from(config).map_err(|e| format!("cannot talk to the API server: {}", chain(&e)))
    }

    async fn config(&self) -> Result<Config, String> {
        match self {
            Self::InCluster => Config::incluster().map_err(|e| {
                format!("no service account: {} (is automountServiceAccountToken off?)", chain(&e))
            }),
            Self::Kubeconfig(file) => {
                let read = |path: &Path| {
                    Kubeconfig::read_from(path).map_err(|e| format!("{}: {}", path.display(), chain(&e)))
                };
                let kubeconfig = match file {
                    Some(path) => read(path)?,
                    None => Kubeconfig::read().map_err(|e| format!("KUBECONFIG: {}", chain(&e)))?,
                };
                let options = KubeConfigOptions::default();
                let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
                config.map_err(|e| format!("kubeconfig: {}", chain(&e)))
            }
            Self::Url(url) => {
                let uri = url.parse().map_err(|e| format!("{url} is no URL: {e}"))?;
                Ok(Config::new(uri))
            }
        }
    }
}

/// The name of this node: `NODE_NAME`, which the chart sets by the downward API, or else the host's name.
pub fn this_node() -> String {
    let named = std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| {
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
        host.unwrap_or_default().to_lowercase()
    })
}

/// An error and what caused it, in one line, without what one says of the other twice.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}
