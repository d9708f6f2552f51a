//! Metrics whose values are known already.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

/// Names and values of the labels of one sample.
pub(super) type Labels<const N: usize> = [(&'static str, String); N];

/// What one scrape shows.
pub(super) struct Sheet(Registry);

impl Sheet {
    pub(super) fn new() -> Self {
        Self(Registry::with_prefix("weir"))
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstGauge::new(value));
    }

    /// A counter; the encoding adds `_total` to its name.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstCounter::new(value));
    }

    pub(super) fn gauges<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) {
        let family = Family::<Labels<N>, Gauge<u64, AtomicU64>>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }

    /// Counters; the encoding adds `_total` to their name.
    pub(super) fn counters<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<N>, u64)>,
    ) {
        let family = Family::<Labels<N>, Counter>::default();
        for (labels, value) in samples {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    /// In the text format of `OpenMetrics`.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0)?;
        Ok(text)
    }
}
