//! `tracenet agent`: from the command line to the loop.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tracenet_collectors::clock;
use tracenet_collectors::identity::Identifier;
use tracenet_collectors::identity::runtime::RuntimeFiles;
use tracenet_collectors::pods::{PodWatch, this_node};
use tracenet_config::Config;
use tracenet_config::agent::Enabled;
use tracenet_otel::Telemetry;
use tracenet_otel::serve::{Limits, Server};
use tracenet_probes::{Options, Session};

use crate::agent::calls::Rights;
use crate::agent::confine;
use crate::agent::export::Export;
use crate::agent::health::Health;
use crate::agent::node::{Node, Parts};
use crate::agent::people::{self, People};
use crate::agent::rules::Rules;
use crate::agent::selection;
use crate::failure::Failure;
use crate::kube::{self, KubeArgs};
use crate::privilege::{self, Effective, WANTED};
use crate::settings;
use crate::sinks;

/// `tracenet agent`
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// YAML file; read again on SIGHUP and when it has changed.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where spans and metrics go: http://HOST:4317 (gRPC), http://HOST:4318 (HTTP), file:PATH.
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// Where the host's file system is, for what container runtimes wrote down.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    #[command(flatten)]
    pub kube: KubeArgs,
    /// One JSON object a line on standard error, instead of text.
    #[arg(long)]
    pub log_json: bool,
}

/// Runs until it is told to end.
pub fn main(args: &AgentArgs) -> Result<u8, Failure> {
    let mut config = match &args.config {
        Some(path) => Config::load(path).map_err(|e| Failure::Usage(e.to_string()))?,
        None => Config::default(),
    };
    if let Some(url) = &args.otlp {
        settings::export_to(&mut config, url.clone());
    }
    let effective = Effective::read();
    if let Some(name) = effective.missing_for_bpf() {
        let remedy = privilege::remedy(name);
        return Err(Failure::Privilege(format!(
            "{name} is missing, so no eBPF probe can be loaded: {remedy}"
        )));
    }
    for capability in WANTED.iter().filter(|c| matches!(c.name, "CAP_SYS_PTRACE" | "CAP_DAC_READ_SEARCH")) {
        if !effective.has(capability.bit) {
            tracing::warn!("{} is missing: without it there is no {}", capability.name, capability.feature);
        }
    }
    if !people::sees_all() {
        tracing::warn!(
            "this is not the host's PID namespace: processes are known by their names alone, and connections opened before \
             by those of this namespace (hostPID of a pod, --pid=host of a container)"
        );
    }
    let signals =
        SignalFd::with_flags(&crate::signals::block(false)?, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(|e| Failure::Runtime(format!("cannot create a signalfd: {e}")))?;

    // One ring is for what comes with each call: nothing does.
    let first_turns = config.agent.sampling.rate_per_second;
    let options = Options {
        wide: Some(selection::probed(config.agent.depth)),
        first_turns,
        ring_bytes: 1 << 16,
        ..Options::default()
    };
    let session = Session::open(&options).map_err(|e| crate::trace::probe_failure(&e))?;
    for hook in session.status().iter().filter(|h| !h.attached) {
        tracing::warn!(
            "{} is not attached, so there is no {} (tracenet doctor tells more)",
            hook.hook,
            hook.feature
        );
    }
    let rules = Rules::start().unwrap_or_else(|e| {
        tracing::warn!("which rules drop packets is not told: {e}");
        None
    });
    // Before there is any other thread: each has capabilities of its own.
    let calls = config.agent.follows_calls();
    for trouble in confine::confine(calls) {
        tracing::warn!("{trouble}");
    }
    let rights = Rights::look(calls);
    sinks::warn_by_log();
    let pods = watch(args, &config)?;
    let identifier = Identifier::new(RuntimeFiles::below(&args.root), pods.clone(), true);
    let export = Export::start(&config)?;
    let host = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok());
    let mut telemetry = Telemetry::new(export.sink(), export.options(), host, clock::mono_now());
    telemetry.tell_calls();
    let health = Arc::new(Health::new(telemetry.expose(), pods.clone()));
    let server = config
        .agent
        .listen
        .map(|address| Server::start(address, Limits::default(), Arc::clone(&health) as _))
        .transpose()
        .map_err(|e| Failure::Runtime(e.to_string()))?;
    let at = server.as_ref().map_or_else(String::new, |s| format!(", http://{}/metrics", s.address()));
    tracing::info!("every process is followed{at}");
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);

    let people = People::new(identifier, pods.is_some());
    let (file, otlp) = (args.config.clone(), args.otlp.clone());
    let parts = Parts { config, file, otlp, session, rules, people, rights, telemetry, export, health };
    let end = Node::new(parts).run(&signals)?;
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    if end.lost > 0 {
        tracing::warn!("{} spans were not exported, {} were", end.lost, end.sent);
    }
    if end.spooled > 0 {
        tracing::info!("{} spans are in the spool, for the next run", end.spooled);
    }
    Ok(0)
}

/// The pods of this node, where there is a cluster.
fn watch(args: &AgentArgs, config: &Config) -> Result<Option<Arc<PodWatch>>, Failure> {
    let kubernetes = &config.agent.kubernetes;
    if kubernetes.enabled == Enabled::No {
        return Ok(None);
    }
    let Some(api) = args.kube.api() else {
        return match kubernetes.enabled {
            Enabled::Yes => Err(Failure::Usage(
                "agent.kubernetes.enabled is true, but there is no API server: give --kubeconfig or --kube-api, or run in a pod"
                    .into(),
            )),
            _ => Ok(None),
        };
    };
    let node = Some(kubernetes.node.clone().unwrap_or_else(this_node));
    kube::watch(api, node).map(|watch| Some(Arc::new(watch)))
}
