//! The Grafana dashboards of `deploy/`, and the PromQL in them.

use serde_json::Value;

use crate::repository;

/// Every dashboard with its file's name.
pub fn all() -> Vec<(String, Value)> {
    let files =
        std::fs::read_dir(repository().join("deploy/grafana/dashboards")).expect("a folder").flatten();
    let mut all: Vec<(String, Value)> = files
        .map(|file| {
            let text = std::fs::read_to_string(file.path()).expect("a dashboard");
            (file.file_name().to_string_lossy().into_owned(), serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(all.len(), 5);
    all
}

/// Every expression of panels and variables, with the place it is from and a value for each of Grafana's own variables.
pub fn expressions() -> Vec<(String, String)> {
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let mut found = Vec::new();
    for (file, dashboard) in all() {
        for panel in list(&dashboard["panels"]) {
            for target in list(&panel["targets"]) {
                let expression = target["expr"].as_str().expect("an expression");
                let expression = expression.replace("$__rate_interval", "5m").replace("$__range", "1h");
                found.push((format!("{file}: {}", panel["title"]), expression));
            }
        }
        for variable in list(&dashboard["templating"]["list"]) {
            // label_values(SELECTOR, LABEL) is Grafana's; the selector may be a name alone.
            let query = variable["query"]["query"].as_str().unwrap_or_default();
            let Some(inside) = query.strip_prefix("label_values(") else { continue };
            let selector = inside.rsplit_once(',').expect("a selector and a label").0;
            let braces = if selector.contains('{') { "" } else { "{}" };
            found.push((format!("{file}: {}", variable["name"]), format!("{selector}{braces}")));
        }
    }
    found
}
