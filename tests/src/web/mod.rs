//! HTTP services under test: their tables, a client, and a target that tells what it got.

mod answer;
pub mod curl;
pub mod kept;
pub mod provider;
mod read;
pub mod secret;
pub mod target;

use serde_json::Value;

use crate::scenario::BACKEND;

/// The table of a service whose target is on the server's loopback, at [`BACKEND`];
/// `lines` go on with it.
pub fn site(name: &str, domain: &str, lines: &str) -> String {
    site_of(name, domain, &format!("http://127.0.0.1:{BACKEND}"), lines)
}

/// The table of a service with this target; `lines` go on with it.
pub fn site_of(name: &str, domain: &str, target: &str, lines: &str) -> String {
    format!("[service.{name}]\ndomain = '{domain}'\ntarget = '{target}'\n{lines}\n")
}

/// The table of a service with these routes, each with lines of its own. Its target is the
/// same, and learns the route by `X-Route`.
pub fn routed(name: &str, domain: &str, routes: &[(&str, &str)]) -> String {
    let routes = routes.iter().map(|(path, lines)| {
        format!(
            "[[service.{name}.route]]\npath = '{path}'\ntarget = 'http://127.0.0.1:{BACKEND}'\n\
             request_headers = {{ X-Route = '{name}{path}' }}\n{lines}\n"
        )
    });
    std::iter::once(format!("[service.{name}]\ndomain = '{domain}'\n")).chain(routes).collect()
}

/// Asserts what fields of a record are; `null`: that it has none of that name.
///
/// # Panics
/// One of them is another.
pub fn assert_fields(record: &Value, expected: &Value) {
    for (field, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(&record[field], value, "{field} of {record}");
    }
}
