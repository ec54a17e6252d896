//! The section of `tracenet agent`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checked::{bytes, quantile, ranged, string_map};
use crate::quantity::{Bytes, Percent};

/// What `tracenet agent` follows, how far, and what it offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Who is followed how far; the first one that fits a process counts.
    pub selectors: Vec<Selector>,
    /// How far those are followed that no selector names.
    pub depth: Depth,
    /// At most so many processes at depth `calls` at a time, 0 to 64; others that are to be are followed at `turns`.
    #[serde(deserialize_with = "ranged::<_, 0, 64>")]
    #[schemars(range(min = 0, max = 64))]
    pub calls_limit: u32,
    /// Which turns become spans.
    pub sampling: Sampling,
    /// What the probes may cost a process, of its own CPU time, 0.01% to 100%: turns of one that they cost more are followed on
    /// fewer of its connections. Null: nobody's are.
    pub budget: Option<Percent>,
    /// Own memory, at least 32MiB: when it is passed, processes are followed less far until it is not.
    #[serde(deserialize_with = "bytes::<_, 33554432, 17179869184>")]
    pub memory_limit: Bytes,
    /// Address of `/metrics`, `/livez` and `/readyz`; null: none is listened on.
    pub listen: Option<SocketAddr>,
    /// Pods of this node.
    pub kubernetes: Kubernetes,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            selectors: Vec::new(),
            depth: Depth::default(),
            calls_limit: 8,
            sampling: Sampling::default(),
            budget: Some(Percent(10_000)),
            memory_limit: Bytes(150 << 20),
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))),
            kubernetes: Kubernetes::default(),
        }
    }
}

impl Agent {
    /// True where somebody may be followed at depth `calls`.
    pub fn follows_calls(&self) -> bool {
        let asked = self.depth == Depth::Calls || self.selectors.iter().any(|s| s.depth == Depth::Calls);
        asked && self.calls_limit > 0
    }
}

/// Processes, by all that is named: what is not named fits everything. Names may hold `*` for any characters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Namespace of the pod.
    pub namespace: Option<String>,
    /// Labels of the pod.
    #[serde(deserialize_with = "string_map")]
    pub pod_labels: BTreeMap<String, String>,
    /// Name of the container, or its id.
    pub container: Option<String>,
    /// The systemd unit, with its suffix.
    pub unit: Option<String>,
    /// Path of the control group, from the root of its hierarchy.
    pub cgroup: Option<String>,
    /// File name of the executable, or its path where this has a slash.
    pub executable: Option<String>,
    /// A TCP port on which the process listens.
    pub port: Option<u16>,
    /// How far they are followed.
    pub depth: Depth,
}

/// How far a process is followed; each includes those before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Not at all, but for the sums that are kept of every process.
    Counters,
    /// Connections that failed, or lost segments.
    Connections,
    /// Turns: the slow ones, those that lost segments, those without an answer, and a share of the others.
    #[default]
    Turns,
    /// As `tracenet attach` does it: every turn with what its time went to, system calls and packets. Each of them costs, and
    /// as long as there is one, every system call of the host costs some 100 ns more.
    Calls,
}

/// Which turns become spans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// A turn is slow that takes longer than this share of its process's, 0.5 to 1.
    #[serde(deserialize_with = "quantile")]
    #[schemars(range(min = 0.5, max = 1.0))]
    pub slow_quantile: f64,
    /// So many slow ones, and as many of the others, become spans each second, of each process and side.
    #[serde(deserialize_with = "ranged::<_, 0, 100000>")]
    #[schemars(range(min = 0, max = 100_000))]
    pub rate_per_second: u32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { slow_quantile: 0.99, rate_per_second: 20 }
    }
}

/// Pods of this node, from the API server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// `auto`: within a cluster.
    pub enabled: Enabled,
    /// Name of the node; null: the variable `NODE_NAME`, else the host's name.
    pub node: Option<String>,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Enabled {
    /// Where it makes sense: `auto`.
    #[default]
    Auto,
    /// Yes: without it there is an error.
    Yes,
    /// No.
    No,
}

impl Serialize for Enabled {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => to.serialize_str("auto"),
            Self::Yes => to.serialize_bool(true),
            Self::No => to.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for Enabled {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Enabled;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("auto, true or false")
            }
            fn visit_bool<E>(self, yes: bool) -> Result<Enabled, E> {
                Ok(if yes { Enabled::Yes } else { Enabled::No })
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Enabled, E> {
                match text {
                    "auto" => Ok(Enabled::Auto),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl JsonSchema for Enabled {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Enabled".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "enum": ["auto", true, false] })
    }
}
