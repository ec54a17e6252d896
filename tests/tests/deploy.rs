//! What is in deploy/ is what Kubernetes, Prometheus, systemd and a container runtime take, by their own tools.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use serde::Deserialize as _;
use serde_yaml::Value;
use tempfile::TempDir;
use tracenet_tests::harness::{self, Need};
use tracenet_tests::{agent, case, collector, dashboards, helm, repository};

const HELM: &[Need] = &[Need::Kubernetes];
const PROMTOOL: &[Need] = &[Need::Tool("promtool")];

fn main() -> ExitCode {
    harness::main(vec![
        case!(helm_finds_no_fault_with_the_chart, HELM),
        case!(profiles_ask_for_their_capabilities_and_no_more, HELM),
        case!(objects_keep_to_kubernetes_schemas, &[Need::Kubernetes, Need::Venv]),
        case!(plain_manifests_are_the_chart_rendered, HELM),
        case!(values_that_make_no_sense_are_refused, HELM),
        case!(the_agent_takes_every_configuration, HELM),
        case!(pods_restart_when_their_configuration_changes, HELM),
        case!(probes_go_where_the_endpoint_is, HELM),
        case!(a_spool_has_a_volume_and_its_configuration, HELM),
        case!(a_pod_monitor_needs_an_address_that_prometheus_reaches, HELM),
        case!(alerts_ring_for_their_trouble_and_for_nothing_else, PROMTOOL),
        case!(prometheus_takes_the_configuration_of_the_laptop, PROMTOOL),
        case!(dashboards_are_what_the_generator_writes, &[Need::Tool("python3")]),
        case!(expressions_of_dashboards_are_promql, PROMTOOL),
        case!(expressions_name_metrics_that_exist, &[]),
        case!(systemd_takes_the_unit, &[Need::Tool("systemd-analyze")]),
        case!(the_laptop_listens_on_loopback_only, &[]),
    ])
}

const PROFILES: [&str; 3] = ["minimal", "netns", "conntrack"];

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What a successful command wrote.
fn said(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn helm_template(values: &[&str]) -> Output {
    // A home of its own: helm reads and writes caches and plugins there.
    let home = TempDir::new().expect("a folder");
    let mut command = Command::new(helm());
    command.env("HOME", home.path()).env_remove("KUBECONFIG");
    command.args(["template", "tracenet"]).arg(deploy("helm/tracenet")).args(["--namespace", "tracenet"]);
    command.args(values).output().expect("helm starts")
}

fn rendered(values: &[&str]) -> String {
    let output = helm_template(values);
    assert!(output.status.success(), "{values:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The objects of a file with several.
fn objects(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("YAML"))
        .filter(|object| !object.is_null())
        .collect()
}

fn object(text: &str, kind: &str) -> Value {
    objects(text).into_iter().find(|o| o["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_sequence().map_or(Vec::new(), |list| list.iter().filter_map(Value::as_str).collect())
}

fn helm_finds_no_fault_with_the_chart() {
    for profile in PROFILES {
        let home = TempDir::new().expect("a folder");
        let mut lint = Command::new(helm());
        lint.env("HOME", home.path()).args(["lint", "--strict", "--set", &format!("profile={profile}")]);
        said(lint.arg(deploy("helm/tracenet")));
    }
}

fn profiles_ask_for_their_capabilities_and_no_more() {
    let minimal = ["BPF", "PERFMON", "NET_RAW", "SYS_PTRACE", "DAC_READ_SEARCH"];
    for (profile, more) in
        PROFILES.into_iter().zip([&[][..], &["SYS_ADMIN"], &["SYS_ADMIN", "NET_ADMIN", "SYSLOG"]])
    {
        let pod = &object(&rendered(&["--set", &format!("profile={profile}")]), "DaemonSet")["spec"]["template"]
            ["spec"];
        assert!(pod["hostPID"] == true && pod["hostNetwork"] == true);
        assert_eq!(pod["dnsPolicy"], "ClusterFirstWithHostNet");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["containers"].as_sequence().map(Vec::len), Some(1));
        let security = &pod["containers"][0]["securityContext"];
        assert_eq!(strings(&security["capabilities"]["drop"]), ["ALL"]);
        assert_eq!(strings(&security["capabilities"]["add"]), [&minimal[..], more].concat(), "{profile}");
        assert!(security["privileged"] == false && security["readOnlyRootFilesystem"] == true);
        assert!(security["allowPrivilegeEscalation"] == false);
        // Nothing of the host can be written through a mount.
        for mount in pod["containers"][0]["volumeMounts"].as_sequence().expect("mounts") {
            assert_eq!(mount["readOnly"], true, "{mount:?}");
        }
    }
    let rules = &object(&rendered(&[]), "ClusterRole")["rules"];
    assert_eq!(rules.as_sequence().map(Vec::len), Some(1));
    assert_eq!(strings(&rules[0]["resources"]), ["pods"]);
    assert_eq!(strings(&rules[0]["verbs"]), ["get", "list", "watch"]);
    let none = rendered(&["--set", "kubernetes.enabled=false"]);
    assert!(!none.contains("ClusterRole") && none.contains("automountServiceAccountToken: false"));
}

fn objects_keep_to_kubernetes_schemas() {
    let folder = TempDir::new().expect("a folder");
    let full = [
        "--set=seccomp=Unconfined,image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "--set=endpoint.address=::,updateStrategy.maxUnavailable=1,affinity.nodeAffinity=null",
        "--set=image.pullSecrets[0].name=a,env[0].name=B,env[0].value=c,podLabels.d=e,podAnnotations.f=g",
        "--set=serviceAccount.create=false,serviceAccount.name=other,seLinuxOptions.type=spc_t",
        "--set=config.agent.selectors[0].namespace=shop,config.agent.selectors[0].depth=connections",
        "--set=spool.volume=hostPath",
    ];
    let mut files = vec![deploy("manifests/namespace.yaml")];
    let profiles = PROFILES.map(|profile| format!("--set=profile={profile}"));
    let in_pod = vec!["--set=spool.volume=emptyDir"];
    for (n, values) in profiles.iter().map(|p| vec![p.as_str()]).chain([full.to_vec(), in_pod]).enumerate() {
        let file = folder.path().join(format!("{n}.yaml"));
        std::fs::write(&file, rendered(&values)).expect("written");
        files.push(file);
    }
    let validate = collector::python().with_file_name("kubernetes-validate");
    said(Command::new(validate).args(["--strict", "-k", "1.37.0"]).args(&files));
}

fn plain_manifests_are_the_chart_rendered() {
    for profile in PROFILES {
        let file = deploy("manifests").join(format!("tracenet-{profile}.yaml"));
        let same = read(&file) == rendered(&["--set", &format!("profile={profile}")]);
        assert!(same, "{} is not the chart's: run deploy/manifests/render", file.display());
    }
}

fn values_that_make_no_sense_are_refused() {
    for (value, named) in [
        ("profile=root", "profile"),
        ("config.agent.depth=deep", "depth"),
        ("config.agent.depth=full", "depth"),
        ("config.agent.selectors[0].depth=connections,config.agent.selectors[0].pid=7", "pid"),
        ("config.agent.selectors[0].namespace=shop", "depth"),
        ("config.agent.calls_limit=65", "calls_limit"),
        ("config.agent.sampling.slow_quantile=2", "slow_quantile"),
        ("config.agent.memory_limit=lots", "memory_limit"),
        ("config.export.otlp.endpoint=collector:4317", "endpoint"),
        ("config.export.metrics.interval=10", "interval"),
        ("spool.volume=pvc", "volume"),
        ("spool.bytes=8MiB", "bytes"),
        ("spool.bytes=256M", "bytes"),
        ("spool.hostPath=spool", "hostPath"),
        ("endpoint.port=70000", "port"),
        ("endpoint.address=localhost", "address"),
        ("image.digest=latest", "digest"),
        ("seccomp=none", "seccomp"),
        ("updateStrategy.maxUnavailable=0", "maxUnavailable"),
        ("privileged=true", "privileged"),
    ] {
        let output = helm_template(&["--set", value]);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && why.contains(named), "{value}: {why}");
    }
}

fn the_agent_takes_every_configuration() {
    let folder = TempDir::new().expect("a folder");
    let check = |text: &str| {
        let file = folder.path().join("tracenet.yaml");
        std::fs::write(&file, text).expect("the folder can be written");
        said(agent::command().args(["config", "check"]).arg(&file));
    };
    check(&read(&deploy("compose/tracenet.yaml")));
    let selectors =
        "--set=config.agent.selectors[0].namespace=shop,config.agent.selectors[0].depth=connections";
    let calls = "--set=config.agent.selectors[0].executable=nginx,config.agent.selectors[0].depth=calls,config.agent.calls_limit=64";
    for values in [&[][..], &[selectors], &[calls], &["--set=config.agent.depth=counters,endpoint.port=9465"]]
    {
        let map = object(&rendered(values), "ConfigMap");
        check(map["data"]["tracenet.yaml"].as_str().expect("a file"));
    }
}

fn pods_restart_when_their_configuration_changes() {
    let checksum = |values: &[&str]| {
        let set = object(&rendered(values), "DaemonSet");
        set["spec"]["template"]["metadata"]["annotations"]["checksum/config"].as_str().map(str::to_owned)
    };
    let before = checksum(&[]).expect("a checksum");
    assert_eq!(Some(&before), checksum(&["--set", "podLabels.a=b"]).as_ref());
    for value in
        ["config.agent.depth=connections", "config.export.otlp.endpoint=http://a:4317", "endpoint.port=9465"]
    {
        assert_ne!(Some(&before), checksum(&["--set", value]).as_ref(), "{value}");
    }
    let map = object(&rendered(&["--set", "config.export.otlp.endpoint=http://a:4317"]), "ConfigMap");
    let config: Value =
        serde_yaml::from_str(map["data"]["tracenet.yaml"].as_str().expect("text")).expect("YAML");
    assert_eq!(config["export"]["otlp"]["endpoint"], "http://a:4317");
    assert_eq!(config["agent"]["kubernetes"]["enabled"], true);
}

fn probes_go_where_the_endpoint_is() {
    for (address, listen, host) in [
        ("127.0.0.1", "127.0.0.1:9464", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0:9464", "127.0.0.1"),
        ("::", "[::]:9464", "::1"),
        ("10.1.2.3", "10.1.2.3:9464", "10.1.2.3"),
    ] {
        let all = rendered(&["--set", &format!("endpoint.address={address}")]);
        let map = object(&all, "ConfigMap");
        let config: Value =
            serde_yaml::from_str(map["data"]["tracenet.yaml"].as_str().expect("text")).expect("YAML");
        assert_eq!(config["agent"]["listen"], listen);
        let container = &object(&all, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
        for (probe, path) in
            [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
        {
            let get = &container[probe]["httpGet"];
            assert!(
                get["host"] == host && get["path"] == path && get["port"] == "metrics",
                "{probe}: {get:?}"
            );
        }
        assert_eq!(container["ports"][0]["containerPort"], 9464);
    }
}

fn a_spool_has_a_volume_and_its_configuration() {
    let folder = TempDir::new().expect("a folder");
    let spool = |values: &str| {
        let all = rendered(&["--set", values]);
        let map = object(&all, "ConfigMap");
        let text = map["data"]["tracenet.yaml"].as_str().expect("text").to_owned();
        let file = folder.path().join("tracenet.yaml");
        std::fs::write(&file, &text).expect("the folder can be written");
        said(agent::command().args(["config", "check"]).arg(&file));
        let config: Value = serde_yaml::from_str(&text).expect("YAML");
        let pod = object(&all, "DaemonSet")["spec"]["template"]["spec"].clone();
        let named = |list: &Value| {
            let all = list.as_sequence().expect("a list").iter();
            all.filter(|one| one["name"] == "spool").cloned().collect::<Vec<_>>()
        };
        let mounts = named(&pod["containers"][0]["volumeMounts"]);
        (config["export"]["otlp"].clone(), named(&pod["volumes"]), mounts)
    };
    let (otlp, volumes, mounts) = spool("spool.volume=none");
    assert!(otlp["spool"].is_null() && volumes.is_empty() && mounts.is_empty());
    // Room for blocks and damaged files: the kubelet evicts a pod that takes more.
    for (bytes, limit) in [("256MiB", "448Mi"), ("16MiB", "148Mi"), ("2GiB", "2688Mi")] {
        let values =
            format!("spool.volume=emptyDir,spool.bytes={bytes},config.export.otlp.endpoint=http://a:4317");
        let (otlp, volumes, mounts) = spool(&values);
        assert_eq!((&otlp["spool"]["bytes"], &otlp["endpoint"]), (&bytes.into(), &"http://a:4317".into()));
        let directory = Path::new(otlp["spool"]["directory"].as_str().expect("a path"));
        // What is mounted others may look into.
        assert_eq!(directory.parent(), mounts[0]["mountPath"].as_str().map(Path::new));
        assert!(mounts[0]["readOnly"].is_null(), "{mounts:?}");
        assert_eq!(volumes[0]["emptyDir"]["sizeLimit"], limit);
    }
    let (_, volumes, mounts) = spool("spool.volume=hostPath,spool.hostPath=/data/spans");
    assert_eq!((volumes.len(), mounts.len()), (1, 1));
    assert_eq!(volumes[0]["hostPath"]["path"], "/data/spans");
    assert_eq!(volumes[0]["hostPath"]["type"], "DirectoryOrCreate");
}

fn a_pod_monitor_needs_an_address_that_prometheus_reaches() {
    let refused = helm_template(&["--set", "podMonitor.enabled=true"]);
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && why.contains("endpoint.address"), "{why}");
    let monitor =
        object(&rendered(&["--set", "podMonitor.enabled=true,endpoint.address=0.0.0.0"]), "PodMonitor");
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "metrics");
    let set = object(&rendered(&[]), "DaemonSet");
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], set["spec"]["selector"]["matchLabels"]);
}

fn alerts_ring_for_their_trouble_and_for_nothing_else() {
    said(Command::new("promtool").args(["check", "rules"]).arg(deploy("prometheus/alerts.yaml")));
    said(Command::new("promtool").args(["test", "rules"]).arg(deploy("prometheus/alerts_test.yaml")));
    // None is without a test, one way and the other.
    let rules: Value = serde_yaml::from_str(&read(&deploy("prometheus/alerts.yaml"))).expect("YAML");
    let tests = read(&deploy("prometheus/alerts_test.yaml"));
    let groups = rules["groups"].as_sequence().expect("groups");
    for rule in groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules")) {
        let name = rule["alert"].as_str().expect("a name");
        assert!(tests.matches(&format!("alertname: {name}")).count() >= 2, "{name} has no tests");
    }
}

fn prometheus_takes_the_configuration_of_the_laptop() {
    // Side by side, as in the container.
    let folder = TempDir::new().expect("a folder");
    for file in ["compose/prometheus.yaml", "prometheus/alerts.yaml"] {
        let name = Path::new(file).file_name().expect("a name");
        std::fs::copy(deploy(file), folder.path().join(name)).expect("copied");
    }
    let config = folder.path().join("prometheus.yaml");
    let found = said(Command::new("promtool").args(["check", "config"]).arg(config));
    assert!(found.contains("1 rule files found"), "{found}");
}

fn dashboards_are_what_the_generator_writes() {
    let folder = TempDir::new().expect("a folder");
    said(Command::new("python3").arg("-B").arg(deploy("grafana/generate.py")).arg(folder.path()));
    let names = |path: &Path| -> BTreeSet<_> {
        std::fs::read_dir(path).expect("a folder").flatten().map(|file| file.file_name()).collect()
    };
    let kept = deploy("grafana/dashboards");
    assert_eq!(names(folder.path()), names(&kept));
    for name in names(&kept) {
        let same = read(&kept.join(&name)) == read(&folder.path().join(&name));
        assert!(same, "{name:?} is not what deploy/grafana/generate.py writes: run it");
    }
    for (name, dashboard) in dashboards::all() {
        let links = dashboard.to_string();
        assert!(name == "agent.json" || links.contains("/explore?"), "{name}: no way to the traces");
        // In one grid, nothing on top of something else.
        let mut taken = BTreeSet::new();
        for panel in dashboard["panels"].as_array().expect("panels") {
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a number");
            assert!(at("x") + at("w") <= 24);
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    assert!(taken.insert((x, y)), "{name}: {}", panel["title"]);
                }
            }
        }
    }
}

fn expressions_of_dashboards_are_promql() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("rules.yaml");
    let rules: Vec<serde_json::Value> = dashboards::expressions()
        .iter()
        .enumerate()
        .map(|(n, (panel, expression))| {
            serde_json::json!({"record": format!("e{n}"), "expr": expression, "labels": {"panel": panel}})
        })
        .collect();
    assert!(rules.len() > 50, "{}", rules.len());
    let groups = serde_json::json!({"groups": [{"name": "dashboards", "rules": rules}]});
    // JSON is YAML.
    std::fs::write(&file, groups.to_string()).expect("written");
    said(Command::new("promtool").args(["check", "rules"]).arg(&file));
}

/// Metrics as Prometheus names them, without unit and suffixes: those of tracenet's own list, and what comes from
/// elsewhere.
fn metric_names() -> Vec<String> {
    let source = read(&repository().join("otel/src/names.rs"));
    let list =
        source.split_once("pub mod metric {").and_then(|(_, rest)| rest.split_once("\n}")).expect("a list").0;
    let own = list
        .lines()
        .filter_map(|line| Some(line.split_once(": &str = \"")?.1.split('"').next()?.replace('.', "_")));
    // Of OpenTelemetry's own, and of Prometheus'.
    let others = [
        "process_network_io",
        "process_cpu_time",
        "process_memory_usage",
        "otel_sdk_exporter_span_exported",
        "otel_sdk_exporter_span_inflight",
        "otel_sdk_exporter_metric_data_point_exported",
        "otel_sdk_processor_span_queue_size",
        "otel_sdk_processor_span_queue_capacity",
        "target_info",
        "up",
        "scrape_samples_scraped",
        "scrape_duration_seconds",
    ];
    own.chain(others.map(str::to_owned)).collect()
}

fn expressions_name_metrics_that_exist() {
    let names = metric_names();
    assert!(names.contains(&"tracenet_turn_duration".to_owned()));
    let suffixes = [
        "",
        "_total",
        "_bytes",
        "_seconds_total",
        "_bytes_total",
        "_seconds_bucket",
        "_seconds_count",
        "_seconds_sum",
    ];
    let exists = |metric: &str| {
        names
            .iter()
            .any(|name| metric.strip_prefix(name.as_str()).is_some_and(|rest| suffixes.contains(&rest)))
    };
    let rules: Value = serde_yaml::from_str(&read(&deploy("prometheus/alerts.yaml"))).expect("YAML");
    let groups = rules["groups"].as_sequence().expect("groups");
    let alerts = groups.iter().flat_map(|group| group["rules"].as_sequence().expect("rules")).map(|rule| {
        (
            rule["alert"].as_str().expect("a name").to_owned(),
            rule["expr"].as_str().expect("an expression").to_owned(),
        )
    });
    let mut seen = BTreeSet::new();
    for (place, expression) in dashboards::expressions().into_iter().chain(alerts) {
        // A metric's name stands before its selector, or is one of those that need none.
        for (at, _) in expression.match_indices(['{', '[']) {
            let begin =
                expression[..at].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |n| n + 1);
            let metric = &expression[begin..at];
            if !metric.is_empty() {
                assert!(exists(metric), "{place}: {metric}");
                seen.insert(metric.to_owned());
            }
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}

fn systemd_takes_the_unit() {
    let folder = TempDir::new().expect("a folder");
    let unit = read(&deploy("systemd/tracenet.service"));
    let installed = "ExecStart=/usr/local/bin/tracenet ";
    assert!(unit.contains(installed), "where `make install` puts it");
    let file = folder.path().join("tracenet.service");
    let here = format!("ExecStart={} ", agent::binary().display());
    std::fs::write(&file, unit.replace(installed, &here)).expect("written");
    let complaints = said(Command::new("systemd-analyze").arg("verify").arg(&file));
    let ours: Vec<&str> = complaints.lines().filter(|line| line.contains("tracenet")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

fn the_laptop_listens_on_loopback_only() {
    let compose: Value = serde_yaml::from_str(&read(&deploy("compose/compose.yaml"))).expect("YAML");
    let services = compose["services"].as_mapping().expect("services");
    for (name, service) in services {
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name:?}: {port}");
        }
        for mount in strings(&service["volumes"]) {
            let (from, _) = mount.split_once(':').expect("from and to");
            assert!(mount.ends_with(":ro"), "{name:?}: {mount}");
            assert!(from.starts_with('/') || deploy("compose").join(from).exists(), "{name:?}: {from}");
        }
        // Without ports of their own they have the host's network, and are told where to listen.
        if service["network_mode"] == "host" && name != "agent" {
            let all = serde_yaml::to_string(service).expect("YAML");
            assert!(all.contains("127.0.0.1"), "{name:?}");
        }
    }
    let agent: Value = serde_yaml::from_str(&read(&deploy("compose/tracenet.yaml"))).expect("YAML");
    let scraped: Value = serde_yaml::from_str(&read(&deploy("compose/prometheus.yaml"))).expect("YAML");
    assert_eq!(scraped["scrape_configs"][0]["static_configs"][0]["targets"][0], agent["agent"]["listen"]);
    assert!(services["agent"]["privileged"].is_null() && strings(&services["agent"]["cap_drop"]) == ["ALL"]);
}
