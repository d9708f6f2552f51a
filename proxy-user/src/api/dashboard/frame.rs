//! What is around every page.

use super::{assets, viewer::Viewer};

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    /// Of the heading it stands under; "": none.
    pub(super) group: &'static str,
}

pub(super) const OVERVIEW: Place = Place { path: "/", name: "Overview", group: "" };
pub(super) const EVENTS: Place =
    Place { path: "/activity/proxy-events", name: "Proxy Events", group: "Activity" };
pub(super) const AUDIT: Place = Place { path: "/activity/audit", name: "Audit", group: "Activity" };
pub(super) const FLOWS: Place = Place { path: "/flows", name: "Flows", group: "Now" };
pub(super) const SERVICES: Place = Place { path: "/services", name: "Services", group: "Now" };
pub(super) const EXPLAIN: Place = Place { path: "/explain", name: "Explain", group: "Policy" };

const PLACES: [Place; 6] = [OVERVIEW, EVENTS, AUDIT, FLOWS, SERVICES, EXPLAIN];

/// The frame of one page.
pub(super) struct Frame {
    here: Place,
    /// The token's name.
    pub(super) viewer: String,
    /// The address of the folder of style and script.
    pub(super) assets: &'static str,
}

impl Frame {
    pub(super) fn new(here: Place, viewer: &Viewer) -> Self {
        Self { here, viewer: viewer.name.clone(), assets: assets::folder() }
    }

    pub(super) fn title(&self) -> &'static str {
        self.here.name
    }

    /// The navigation: headings, and what stands under them.
    pub(super) fn groups() -> impl Iterator<Item = (&'static str, &'static [Place])> + use<> {
        PLACES
            .chunk_by(|one, next| one.group == next.group)
            .map(|places| (places.first().map_or("", |place| place.group), places))
    }

    pub(super) fn is_here(&self, place: &Place) -> bool {
        self.here == *place
    }
}
