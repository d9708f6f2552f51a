//! Style, script and pictures, embedded.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    extract::Path,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::api::error::ApiError;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($(($name:literal, $kind:ident, $file:literal),)*) => {
        [$(($name, $kind, include_str!(concat!("assets/", $file))),)*]
    };
}

/// Name, media type and content.
static FILES: &[(&str, &str, &str)] = &files![
    ("dashboard.css", CSS, "dashboard.css"),
    ("data.css", CSS, "data.css"),
    ("form.css", CSS, "form.css"),
    ("narrow.css", CSS, "narrow.css"),
    ("page.js", JS, "page.js"),
    ("format.js", JS, "format.js"),
    ("times.js", JS, "times.js"),
    ("columns.js", JS, "columns.js"),
    ("rows.js", JS, "rows.js"),
    ("events.js", JS, "events.js"),
    ("charts.js", JS, "charts.js"),
    ("lists.js", JS, "lists.js"),
    ("map.js", JS, "map.js"),
    ("overview.js", JS, "overview.js"),
    ("flows.js", JS, "flows.js"),
    ("mark.svg", SVG, "mark.svg"),
    ("uplot.css", CSS, "vendor/uPlot.min.css"),
    ("uplot.js", JS, "vendor/uPlot.min.js"),
    ("world.svg", SVG, "vendor/world.svg"),
];
/// A flag a line: its country's code, a tab, the picture.
const FLAGS: &str = include_str!("assets/vendor/flags.tsv");

/// By name.
static BY_NAME: LazyLock<HashMap<String, (&str, &str)>> = LazyLock::new(|| {
    let files = FILES.iter().map(|(name, kind, content)| ((*name).to_owned(), (*kind, *content)));
    let flags = FLAGS.lines().filter_map(|line| line.split_once('\t'));
    let flags = flags.map(|(code, picture)| (format!("flags/{code}.svg"), (SVG, picture)));
    files.chain(flags).collect()
});

/// The address of the folder they are in: it is another one where any of them is, since script
/// and style name each other.
static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (_, _, content) in FILES {
        hash.update(content);
    }
    hash.update(FLAGS);
    format!("/assets/{}", URL_SAFE_NO_PAD.encode(&hash.finalize()[..9]))
});

/// The address of the folder of every file.
pub(super) fn folder() -> &'static str {
    &FOLDER
}

/// The address of a country's flag, where it has one.
pub(super) fn flag(country: &str) -> Option<String> {
    let name = format!("flags/{country}.svg");
    BY_NAME.contains_key(&name).then(|| format!("{}/{name}", folder()))
}

/// Answers with one. An address is good for one content for ever.
pub(super) async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    match BY_NAME.get(&name).filter(|_| folder().strip_prefix("/assets/") == Some(&version)) {
        Some((kind, content)) => {
            let forever = "public, max-age=31536000, immutable";
            ([(CONTENT_TYPE, *kind), (CACHE_CONTROL, forever)], *content).into_response()
        }
        None => ApiError::new(StatusCode::NOT_FOUND, "no such file").into_response(),
    }
}
