//! References of container images: `registry:5000/name:tag@sha256:...` (github.com/distribution/reference).

/// An image reference, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// Repository with its registry, as it was written; empty where only a digest was.
    pub name: String,
    /// Tag.
    pub tag: Option<String>,
    /// Digest, such as `sha256:...`.
    pub digest: Option<String>,
}

impl Image {
    /// Takes a reference apart; anything has at least a name or a digest, except an empty text.
    pub fn parse(reference: &str) -> Self {
        // Where a runtime only knows the image's id.
        let is_id = |hex: &str| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if reference.strip_prefix("sha256:").is_some_and(is_id) {
            return Self { digest: Some(reference.to_owned()), ..Self::default() };
        }
        let (rest, digest) = match reference.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (reference, None),
        };
        // A colon before the last slash is that of the registry's port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        Self { name: name.to_owned(), tag, digest }
    }

    /// `service.version` by the conventions' order: tag and digest, digest, tag.
    pub fn version(&self) -> Option<String> {
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => Some(format!("{tag}@{digest}")),
            (None, Some(one)) | (Some(one), None) => Some(one.clone()),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        for (reference, name, tag, digest) in [
            ("nginx", "nginx", None, None),
            ("nginx:1.27", "nginx", Some("1.27"), None),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause", Some("3.10"), None),
            ("localhost:5000/web", "localhost:5000/web", None, None),
            ("localhost:5000/web:v1@sha256:ab", "localhost:5000/web", Some("v1"), Some("sha256:ab")),
            ("web@sha256:ab", "web", None, Some("sha256:ab")),
            ("sha256:ab12", "", None, Some("sha256:ab12")),
            ("sha256:latest", "sha256", Some("latest"), None),
            ("", "", None, None),
        ] {
            let image = Image::parse(reference);
            assert_eq!(image.name, name, "{reference}");
            assert_eq!(image.tag.as_deref(), tag, "{reference}");
            assert_eq!(image.digest.as_deref(), digest, "{reference}");
        }
        assert_eq!(Image::parse("web:v1@sha256:ab").version().as_deref(), Some("v1@sha256:ab"));
        assert_eq!(Image::parse("web").version(), None);
    }
}
