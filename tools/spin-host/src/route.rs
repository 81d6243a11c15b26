//! The routes of `[[trigger.http]]`: exact ones, and prefixes that end in `/...`.
//!
//! Out of scope: named segments (`/users/:id`).

use anyhow::{Result, ensure};

#[derive(Debug)]
pub struct Route {
    /// As the manifest writes it.
    pub raw: String,
    pub component: String,
    /// Without `/...` and without a slash at the end.
    prefix: String,
    wildcard: bool,
}

impl Route {
    pub fn parse(raw: &str, component: &str) -> Result<Self> {
        ensure!(raw.starts_with('/'), "the route {raw:?} does not begin with a slash");
        let (prefix, wildcard) = match raw.strip_suffix("/...") {
            Some(prefix) => (prefix, true),
            None => (without_end_slash(raw), false),
        };
        ensure!(
            !prefix.contains("/:") && !prefix.contains('*') && !prefix.contains("..."),
            "the route {raw:?} has a pattern that this host does not know (it knows exact routes and a /... at the end)"
        );
        Ok(Self { raw: raw.to_owned(), component: component.to_owned(), prefix: prefix.to_owned(), wildcard })
    }

    /// Brings routes into the order to try them in: exact ones first, then the longest prefix.
    pub fn sort(routes: &mut [Self]) {
        routes.sort_by_key(|route| (route.wildcard, std::cmp::Reverse(route.prefix.len())));
    }

    /// What of `path` the wildcard stands for (nothing for an exact route), or `None` when the route does not match.
    pub fn matches<'path>(&self, path: &'path str) -> Option<&'path str> {
        if !self.wildcard {
            return (without_end_slash(path) == self.prefix).then_some("");
        }
        let rest = path.strip_prefix(&self.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// As the manifest writes it, less the wildcard.
    pub fn raw_prefix(&self) -> &str {
        self.raw.strip_suffix("/...").unwrap_or(&self.raw)
    }
}

fn without_end_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component_for(path: &str, routes: &[(&str, &str)]) -> Option<String> {
        let mut routes: Vec<_> = routes.iter().map(|(raw, id)| Route::parse(raw, id).expect(raw)).collect();
        Route::sort(&mut routes);
        routes.into_iter().find(|route| route.matches(path).is_some()).map(|route| route.component)
    }

    #[test]
    fn exact_routes_go_before_prefixes_and_long_prefixes_before_short_ones() {
        let routes = [("/...", "all"), ("/a/...", "a"), ("/a/b/...", "ab"), ("/a/b", "exact")];
        for (path, id) in
            [("/", "all"), ("/ab", "all"), ("/a", "a"), ("/a/x", "a"), ("/a/b", "exact"), ("/a/b/c", "ab")]
        {
            assert_eq!(component_for(path, &routes).as_deref(), Some(id), "{path}");
        }
    }

    #[test]
    fn a_path_outside_every_route_has_no_component() {
        assert_eq!(component_for("/c", &[("/a", "a"), ("/b/...", "b")]), None);
    }

    #[test]
    fn the_wildcards_part_keeps_its_slashes() {
        let all = Route::parse("/...", "x").expect("valid");
        assert_eq!(all.matches("/"), Some("/"));
        assert_eq!(all.matches("/foo/bar/"), Some("/foo/bar/"));
        let foo = Route::parse("/foo/...", "x").expect("valid");
        assert_eq!(foo.matches("/foo"), Some(""));
        assert_eq!(foo.matches("/foo/bar"), Some("/bar"));
    }

    #[test]
    fn unknown_patterns_are_refused() {
        for bad in ["foo", "/users/:id", "/a/*", "/.../b"] {
            Route::parse(bad, "x").expect_err(bad);
        }
    }
}
