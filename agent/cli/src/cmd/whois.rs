//! `tracenet whois`: who a process is, from its cgroup up to the service; and the pods that are known for it.

mod pods;
mod process;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tracenet_collectors::identity::Identifier;
use tracenet_collectors::identity::runtime::RuntimeFiles;
use tracenet_collectors::pods::{ApiServer, PodWatch, this_node};
use tracenet_collectors::process::{Proc, ProcessError};

use crate::failure::Failure;
use crate::kube::{self, KubeArgs};
use crate::sinks::warn;

/// How long the first list of pods is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// `tracenet whois`
#[derive(Debug, Args)]
pub struct WhoisArgs {
    /// Processes.
    #[arg(value_name = "PID", required_unless_present = "pods", conflicts_with = "pods",
          value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..))]
    pub pids: Vec<u32>,
    /// One tracenet.identity/1 object a line; with --pods, tracenet.pod/1.
    #[arg(long)]
    pub json: bool,
    /// List the pods of this node instead.
    #[arg(long)]
    pub pods: bool,
    /// Then print each change of them, until Ctrl-C: + is new, ~ has changed, - is gone.
    #[arg(long, requires = "pods")]
    pub watch: bool,
    #[command(flatten)]
    pub kube: KubeArgs,
    /// This node's name in the cluster [default: $NODE_NAME, or the host's name].
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// The pods of all nodes.
    #[arg(long, conflicts_with = "node")]
    pub all_nodes: bool,
    /// Where the host's file system is, for what container runtimes wrote down.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
}

impl WhoisArgs {
    fn watch(&self, api: ApiServer) -> Result<PodWatch, Failure> {
        let node = (!self.all_nodes).then(|| self.node.clone().unwrap_or_else(this_node));
        kube::watch(api, node)
    }
}

/// Tells who the processes are, or which pods there are.
pub fn main(args: &WhoisArgs) -> Result<u8, Failure> {
    let api = args.kube.api();
    if args.pods {
        let api = api.ok_or_else(|| {
            Failure::Usage("no API server: give --kubeconfig or --kube-api, or run in a pod".into())
        })?;
        return pods::main(args, api);
    }
    let watch = api.map(|api| args.watch(api)).transpose()?.map(Arc::new);
    if let Some(watch) = &watch
        && !watch.wait_synced(PATIENCE)
    {
        warn(&format!("without pods: {}", unsynced(watch)));
    }
    let mut identifier = Identifier::new(RuntimeFiles::below(&args.root), watch, true);
    let proc = Proc::default();
    let mut missing = Vec::new();
    for pid in &args.pids {
        let process = match proc.process(*pid) {
            Ok(process) => process,
            Err(ProcessError::NotFound(pid)) => {
                missing.push(pid.to_string());
                continue;
            }
            Err(e @ ProcessError::Denied(_)) => return Err(Failure::Privilege(e.to_string())),
            Err(e) => return Err(Failure::Runtime(e.to_string())),
        };
        let identity = identifier.identify(&process.cgroup, Instant::now());
        let line =
            if args.json { process::json(&process, &identity)? } else { process::line(&process, &identity) };
        if !print(&line)? {
            return Ok(0);
        }
    }
    if missing.is_empty() {
        Ok(0)
    } else {
        Err(Failure::NotFound(format!("no process {}", missing.join(", "))))
    }
}

/// Why there is no complete list.
fn unsynced(watch: &PodWatch) -> String {
    let error = watch.status().last_error;
    error.unwrap_or_else(|| format!("the API server did not send its list within {PATIENCE:?}"))
}

/// Writes lines. False where nobody reads them any more.
fn print(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Failure::Runtime(format!("cannot write standard output: {e}"))),
    }
}

/// A value as a JSON line.
fn json_line(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut line = tracenet_core::json::to_string(value).map_err(|e| Failure::Runtime(e.to_string()))?;
    line.push('\n');
    Ok(line)
}
