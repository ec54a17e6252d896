//! Objects as a real server sends them: pods with the parts that a client has to skip, discovery, statuses.

use serde_json::{Value, json};

use super::store::Stored;

/// 64 hexadecimal digits for a container: not random, so that tests can tell them.
pub fn container_id(seed: u64) -> String {
    (1..=4u64).map(|i| format!("{:016x}", seed.wrapping_add(i).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
}

/// A pod of the deployment `web`, the size of a real one. `number` makes its name, UID and container's id.
pub fn pod(namespace: &str, number: u64, node: &str) -> Value {
    let hash = "7d9f8c6b5";
    let owner = format!("web-{hash}");
    let uid = format!("1b4e28ba-2fa1-11d2-883f-{number:012x}");
    let name = format!("{owner}-{number:05}");
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10,
        "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3});
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-30T18:00:09Z"});
    json!({
        "metadata": {
            "name": name, "generateName": format!("{owner}-"), "namespace": namespace, "uid": uid,
            "creationTimestamp": "2026-11-30T18:00:00Z",
            "labels": {"app.kubernetes.io/name": "web", "app.kubernetes.io/version": "1.27.3",
                "pod-template-hash": hash},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-30T18:00:00Z",
                "resource.opentelemetry.io/deployment.environment.name": "test"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner,
                "uid": "7c1f0f3a-4c1b-4b1e-9d4e-0d7a4d0c3a11", "controller": true, "blockOwnerDeletion": true}],
            "managedFields": [{"manager": "kubelet", "operation": "Update", "apiVersion": "v1",
                "time": "2026-11-30T18:00:09Z", "fieldsType": "FieldsV1", "subresource": "status",
                "fieldsV1": {"f:status": {"f:conditions": {"k:{\"type\":\"Ready\"}": {".": {}, "f:status": {}}},
                    "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {}, "f:startTime": {}}}}],
        },
        "spec": {
            "nodeName": node, "serviceAccountName": "default", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30, "enableServiceLinks": true,
            "containers": [{"name": "nginx", "image": "registry.example/shop/nginx:1.27.3",
                "imagePullPolicy": "IfNotPresent", "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                "env": [{"name": "MODE", "value": "test"}], "resources": {"requests": {"cpu": "100m"}},
                "livenessProbe": probe, "readinessProbe": probe, "terminationMessagePath": "/dev/termination-log",
                "volumeMounts": [{"name": "kube-api-access", "readOnly": true,
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}]}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}]}}],
        },
        "status": {
            "phase": "Running", "qosClass": "Burstable", "hostIP": "10.0.0.1", "podIP": "10.1.2.3",
            "podIPs": [{"ip": "10.1.2.3"}], "startTime": "2026-11-30T18:00:01Z",
            "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady")],
            "containerStatuses": [{"name": "nginx", "ready": true, "started": true, "restartCount": 0,
                "image": "registry.example/shop/nginx:1.27.3", "imageID": "registry.example/shop/nginx@sha256:ab",
                "containerID": format!("containerd://{}", container_id(number)),
                "state": {"running": {"startedAt": "2026-11-30T18:00:08Z"}}, "lastState": {}}],
        },
    })
}

/// An object by itself has its type in it.
pub fn typed(pod: &Stored) -> String {
    format!(r#"{{"kind":"Pod","apiVersion":"v1",{}"#, &pod.text[1..])
}

/// A line of a watch.
pub fn event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// The object of a bookmark.
pub fn bookmark(version: u64) -> String {
    json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string(),
        "creationTimestamp": null}, "spec": {"containers": null}, "status": {}})
    .to_string()
}

/// A `metav1.Status` that says no.
pub fn failure(code: u16, reason: &str, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code})
    .to_string()
}

/// The documents by which clients find out what there is.
pub fn discovery(path: &str, address: &str) -> Option<String> {
    let document = match path {
        "/version" => {
            json!({"major": "1", "minor": "37", "gitVersion": "v1.37.1", "gitCommit": "0", "goVersion": "go1.27.2",
            "gitTreeState": "clean", "buildDate": "2026-10-01T00:00:00Z", "compiler": "gc", "platform": "linux/amd64"})
        }
        "/api" => json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]}),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
        "/api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [{"name": "pods",
            "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["get", "list", "watch"],
            "shortNames": ["po"], "categories": ["all"]}]}),
        _ => return None,
    };
    Some(document.to_string())
}
