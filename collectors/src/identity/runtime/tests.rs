use super::*;

const ID: &str = "3f29f1c3a0b14e5d8c7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f";

fn describe(path: &str, content: &str) -> Option<Description> {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), path, content);
    RuntimeFiles::below(root.path()).describe(ID)
}

fn write(root: &Path, path: &str, content: &str) {
    let file = root.join(path.replace("ID", ID));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content.replace("ID", ID)).unwrap();
}

fn pod(container: Option<&str>) -> PodDescription {
    PodDescription {
        name: "web-7d9f".into(),
        namespace: "shop".into(),
        uid: Some("1b4e28ba-2fa1-11d2-883f-b9a761bde3fb".into()),
        container: container.map(str::to_owned),
    }
}

#[test]
fn containerd_tells_of_pods() {
    let spec = r#"{"ociVersion":"1.2.0","process":{},"annotations":{
        "io.kubernetes.cri.container-name":"nginx","io.kubernetes.cri.container-type":"container",
        "io.kubernetes.cri.image-name":"docker.io/library/nginx:1.27","io.kubernetes.cri.sandbox-id":"x",
        "io.kubernetes.cri.sandbox-name":"web-7d9f","io.kubernetes.cri.sandbox-namespace":"shop",
        "io.kubernetes.cri.sandbox-uid":"1b4e28ba-2fa1-11d2-883f-b9a761bde3fb"}}"#;
    for state in ["run/containerd", "run/k3s/containerd"] {
        let path = format!("{state}/io.containerd.runtime.v2.task/k8s.io/ID/config.json");
        let found = describe(&path, spec).unwrap();
        assert_eq!(found.runtime, Runtime::Containerd);
        assert_eq!(found.name.as_deref(), Some("nginx"));
        assert_eq!(found.image.as_deref(), Some("docker.io/library/nginx:1.27"));
        assert_eq!(found.pod, Some(pod(Some("nginx"))));
    }
}

#[test]
fn nerdctl_names_its_containers() {
    let path = "run/containerd/io.containerd.runtime.v2.task/default/ID/config.json";
    let found =
        describe(path, r#"{"annotations":{"nerdctl/name":"web","nerdctl/namespace":"default"}}"#).unwrap();
    assert_eq!((found.name.as_deref(), found.pod), (Some("web"), None));
}

#[test]
fn docker_tells_its_name_image_and_labels() {
    let path = "var/lib/docker/containers/ID/config.v2.json";
    let plain = r#"{"ID":"ID","Name":"/web","Config":{"Image":"nginx:1.27","Labels":null},"State":{}}"#;
    let found = describe(path, plain).unwrap();
    assert_eq!(found.runtime, Runtime::Docker);
    assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("web"), Some("nginx:1.27")));
    assert_eq!(found.pod, None);
    let labelled = r#"{"Name":"/k8s_nginx_web","Config":{"Image":"sha256:ab","Labels":{
        "io.kubernetes.container.name":"nginx","io.kubernetes.pod.name":"web-7d9f",
        "io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.uid":"1b4e28ba-2fa1-11d2-883f-b9a761bde3fb"}}}"#;
    assert_eq!(describe(path, labelled).unwrap().pod, Some(pod(Some("nginx"))));
}

#[test]
fn cri_o_tells_of_pods() {
    let spec = r#"{"annotations":{"io.kubernetes.cri-o.ContainerType":"sandbox","io.kubernetes.cri-o.Name":"k8s_POD_web",
        "io.kubernetes.cri-o.ImageName":"registry.k8s.io/pause:3.10","io.kubernetes.container.name":"POD",
        "io.kubernetes.pod.name":"web-7d9f","io.kubernetes.pod.namespace":"shop",
        "io.kubernetes.pod.uid":"1b4e28ba-2fa1-11d2-883f-b9a761bde3fb"}}"#;
    let found =
        describe("var/lib/containers/storage/overlay-containers/ID/userdata/config.json", spec).unwrap();
    assert_eq!(found.runtime, Runtime::CriO);
    assert_eq!(found.image.as_deref(), Some("registry.k8s.io/pause:3.10"));
    assert_eq!(found.pod, Some(pod(None)), "the pause container has no name in the pod");
}

#[test]
fn podman_keeps_names_beside_the_containers() {
    let root = tempfile::tempdir().unwrap();
    let folder = "var/lib/containers/storage/overlay-containers";
    write(
        root.path(),
        &format!("{folder}/ID/userdata/config.json"),
        r#"{"annotations":{"io.container.manager":"libpod","io.kubernetes.cri-o.TTY":"false"}}"#,
    );
    let list = r#"[{"id":"other"},{"id":"ID","names":["web"],"image":"ab","metadata":
        "{\"image-name\":\"docker.io/library/nginx:latest\",\"name\":\"web\"}"}]"#;
    write(root.path(), &format!("{folder}/containers.json"), list);
    let found = RuntimeFiles::below(root.path()).describe(ID).unwrap();
    assert_eq!(found.runtime, Runtime::Podman);
    assert_eq!(found.name.as_deref(), Some("web"));
    assert_eq!(found.image.as_deref(), Some("docker.io/library/nginx:latest"));
}

#[test]
fn what_is_not_readable_is_not_there() {
    let path = "var/lib/docker/containers/ID/config.v2.json";
    assert_eq!(describe(path, "{"), None);
    assert_eq!(describe(path, "[]"), None);
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join(path.replace("ID", ID));
    fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let files = RuntimeFiles::below(root.path());
    assert_eq!(files.describe(ID), None, "a pipe is not waited for");
    assert_eq!(files.describe("../../etc"), None);
}
