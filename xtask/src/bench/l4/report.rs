//! What the figures come to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        goal,
        stats::{median, median_with_confidence},
    },
    Figures,
    loads::{Figure, Load},
    records::Recorded,
    ways::Way,
};

const CARRYING: &[Load] = &[Load::Bulk, Load::Streams, Load::Requests];
const OF_TCP: &[Load] = &[Load::Bulk, Load::Streams, Load::Requests, Load::Connections];

/// A way's rate is at least so many times another's, under these loads.
const GOALS: [(Way, f64, Way, &[Load]); 7] = [
    (Way::Kernel, 0.97, Way::Routing, CARRYING),
    (Way::Kernel, 0.95, Way::Routing, &[Load::Connections]),
    (Way::Kernel, 1.0, Way::Nftables, &Load::ALL),
    (Way::Kernel, 2.0, Way::Haproxy, CARRYING),
    (Way::Kernel, 2.0, Way::Nginx, CARRYING),
    (Way::Relay, 1.0, Way::Haproxy, OF_TCP),
    (Way::Guard, 0.97, Way::Direct, &Load::ALL),
];

/// The median of the ratios within rounds, and between which two it is with 95 % confidence.
type Ratio = (f64, [f64; 2]);

/// Prints medians and how far each way is from its limit, and gives all with the rounds.
pub(super) fn figures(figures: &Figures) -> Vec<Value> {
    let mut results = Vec::new();
    for load in Load::ALL {
        let (rate, cpu) = load.units();
        println!("{}: {rate}, of its limit (95 %), CPU seconds {cpu}", load.name());
        for way in Way::ALL {
            let medians: Vec<_> = figures
                .iter()
                .filter(|((of, _, by), _)| (*of, *by) == (load, way))
                .map(|((_, figure, _), rounds)| (figure.name(), median(rounds), rounds))
                .collect();
            if medians.is_empty() {
                continue;
            }
            let to_limit = ratio(figures, load, way, way.limit());
            println!("  {:9} {}", way.name(), told(&medians, to_limit));
            let values = medians.into_iter().map(|(name, median, rounds)| {
                (name.to_owned(), json!({ "median": median, "rounds": rounds }))
            });
            results.push(json!({
                "load": load.name(),
                "way": way.name(),
                "unit": rate,
                "cpu_seconds_of": cpu,
                "ratio_to_limit": shown(to_limit),
                "figures": values.collect::<serde_json::Map<_, _>>(),
            }));
        }
    }
    results
}

fn told(medians: &[(&str, f64, &Vec<f64>)], (ratio, [low, high]): Ratio) -> String {
    let figure = |(name, median, _): &(&str, f64, _)| match *name {
        "rate" => format!("{median:>10.2}  {ratio:.3} ({low:.3} to {high:.3})"),
        "cpu_seconds" => format!("  {median:6.3} s"),
        "lost" => format!("  {:.2} % lost", median * 100.0),
        _ => format!("  {name} {median:.2}"),
    };
    medians.iter().map(figure).collect()
}

fn ratio(figures: &Figures, load: Load, way: Way, base: Way) -> Ratio {
    let rates = |way| figures.get(&(load, Figure::Rate, way)).map_or(&[][..], Vec::as_slice);
    let each = rates(way).iter().zip(rates(base)).map(|(own, base)| own / base);
    median_with_confidence(&each.collect::<Vec<_>>())
}

fn shown((median, interval): Ratio) -> Value {
    json!({ "median": median, "interval_95": interval })
}

/// What is wanted of rates.
pub(super) fn goals(figures: &Figures) -> Vec<Value> {
    let mut goals = Vec::new();
    for (way, least, base, loads) in GOALS {
        for load in loads {
            let ratio = ratio(figures, *load, way, base);
            let (median, [low, high]) = ratio;
            let text = format!(
                "{}: {} at least {least:.2} of {}'s: {median:.3} ({low:.3} to {high:.3})",
                way.name(),
                load.name(),
                base.name()
            );
            let mut goal = goal(&text, median >= least);
            goal["ratio"] = shown(ratio);
            goals.push(goal);
        }
    }
    goals
}

/// That each connection has its record, and those of the kernel plane were its.
pub(super) fn complete(recorded: &BTreeMap<Way, Recorded>) -> Vec<Value> {
    let of = |way: &Way| recorded.get(way).copied().unwrap_or_default();
    let ways = Way::ALL.into_iter().filter(|way| way.records());
    let each = ways.map(|way| {
        let Recorded { made, records, in_kernel } = of(&way);
        let of_plane = if way == Way::Kernel { in_kernel } else { records };
        let text = format!(
            "{}: {made} connections have {records} records, {of_plane} of them its own",
            way.name()
        );
        goal(&text, made == records && records == of_plane)
    });
    each.collect()
}
