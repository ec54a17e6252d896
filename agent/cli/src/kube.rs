//! Which API server is asked for pods, by the command line or the surroundings.

use std::path::PathBuf;

use clap::Args;
use tracenet_collectors::pods::{ApiServer, CAPACITY, Options, PodWatch};

use crate::failure::Failure;

/// The API server.
#[derive(Debug, Args)]
pub struct KubeArgs {
    /// Ask the API server of this file's current context [default: the cluster of this pod, or $KUBECONFIG].
    #[arg(long, value_name = "FILE", conflicts_with = "kube_api")]
    pub kubeconfig: Option<PathBuf>,
    /// Ask the API server at this URL, without credentials, such as http://127.0.0.1:8001 of kubectl proxy.
    #[arg(long, value_name = "URL")]
    pub kube_api: Option<String>,
}

impl KubeArgs {
    /// `None` where neither a flag nor the surroundings name one.
    pub fn api(&self) -> Option<ApiServer> {
        let file = self.kubeconfig.clone().map(|file| ApiServer::Kubeconfig(Some(file)));
        file.or_else(|| self.kube_api.clone().map(ApiServer::Url)).or_else(ApiServer::found)
    }
}

/// Watches the pods of a node, or of all nodes.
pub fn watch(api: ApiServer, node: Option<String>) -> Result<PodWatch, Failure> {
    PodWatch::start(Options { api, node, capacity: CAPACITY })
        .map_err(|e| Failure::Runtime(format!("cannot start the watch of pods: {e}")))
}
