//! From prefixes to classes.

use std::{collections::HashMap, rc::Rc};

use ipnet::IpNet;
use proxy_common::{classes::Class, country::Country, verdict::Verdict};

use crate::policy::{
    error::{Excess, MAX_CLASSES},
    partition::Partition,
    ranges::{Place, Runs, runs},
    rules::{CidrFlags, Layer},
    verdict::{Seen, verdict},
};

/// Addresses by class, and what is said of each class.
pub(super) struct Classified {
    /// Where ranges begin, and their class. The first begins at 0.
    pub(super) v4: Vec<(u32, Class)>,
    pub(super) v6: Vec<(u128, Class)>,
    /// Of every class, for each service that differs from the others.
    pub(super) verdicts: Vec<u16>,
    /// How many there are.
    pub(super) classes: usize,
    /// Where each service's verdicts begin.
    pub(super) services: Vec<u32>,
}

impl Classified {
    /// One class, which nothing is said of.
    pub(super) fn open() -> Self {
        Self {
            v4: vec![(0, 0)],
            v6: vec![(0, 0)],
            verdicts: vec![0],
            classes: 1,
            services: vec![0],
        }
    }
}

/// A service's own layer, as far as services are told apart by it.
struct Column<'a> {
    layer: &'a Layer,
    /// Which table has its prefixes, where it has any.
    cidrs: Option<usize>,
}

pub(super) fn classify(
    global: &Layer,
    services: &[Layer],
    countries: Option<&[(IpNet, Country)]>,
) -> Result<Classified, Excess> {
    let mut tables = Tables::default();
    let places = countries.map(|prefixes| {
        tables.add(prefixes.iter().map(|(net, country)| (*net, country.to_stored())).collect())
    });
    let base = tables.add_cidrs(global);
    let mut columns: Vec<Column<'_>> = Vec::new();
    let mut column_of = Vec::with_capacity(services.len());
    for layer in services {
        let same = columns.iter().position(|known| known.layer == layer);
        column_of.push(same.unwrap_or(columns.len()));
        if same.is_none() {
            columns.push(Column { layer, cidrs: tables.add_cidrs(layer) });
        }
    }

    let mut rows = Rows::default();
    let mut class = |answers: &[u16]| {
        let flags =
            |table: Option<usize>| table.map_or(CidrFlags::NONE, |table| CidrFlags(answers[table]));
        let seen = Seen {
            global: flags(base),
            own: CidrFlags::NONE,
            database: places.is_some(),
            country: places.and_then(|table| Country::from_stored(answers[table])),
        };
        let said = columns.iter().map(|column| {
            let seen = Seen { own: flags(column.cidrs), ..seen };
            verdict(&global.rules, &column.layer.rules, seen)
        });
        rows.number(said.collect())
    };
    let v4 = classified(Partition::by(tables.v4)?, &mut class)?;
    let v6 = classified(Partition::by(tables.v6)?, &mut class)?;
    let classes = rows.rows.len();
    let begins = |column: usize| u32::try_from(column * classes).unwrap_or(u32::MAX);
    Ok(Classified {
        v4,
        v6,
        verdicts: rows.by_column(columns.len()),
        classes,
        services: column_of.into_iter().map(begins).collect(),
    })
}

/// Tables of both families, under one number.
#[derive(Default)]
struct Tables {
    v4: Vec<Runs<u32>>,
    v6: Vec<Runs<u128>>,
}

impl Tables {
    fn add_cidrs(&mut self, layer: &Layer) -> Option<usize> {
        let flags = layer.cidrs.iter().map(|(net, flags)| (*net, flags.0));
        (!layer.cidrs.is_empty()).then(|| self.add(flags.collect()))
    }

    fn add(&mut self, mut entries: Vec<(IpNet, u16)>) -> usize {
        // A prefix comes right before those that it contains.
        entries.sort_by_key(|(net, _)| (net.network(), net.prefix_len()));
        let (v4, v6) = runs(entries.into_iter());
        self.v4.push(v4);
        self.v6.push(v6);
        self.v4.len() - 1
    }
}

/// What is said of each class, for every column.
#[derive(Default)]
struct Rows {
    known: HashMap<Rc<[Verdict]>, Class, foldhash::fast::RandomState>,
    rows: Vec<Rc<[Verdict]>>,
}

impl Rows {
    fn number(&mut self, row: Rc<[Verdict]>) -> Result<Class, Excess> {
        if let Some(number) = self.known.get(&row) {
            return Ok(*number);
        }
        let number = Class::try_from(self.rows.len()).map_err(|_| Excess::Classes)?;
        self.rows.push(Rc::clone(&row));
        self.known.insert(row, number);
        Ok(number)
    }

    fn by_column(&self, columns: usize) -> Vec<u16> {
        (0..columns).flat_map(|column| self.rows.iter().map(move |row| row[column].0)).collect()
    }
}

/// Ranges by what is said of them.
fn classified<P: Place>(
    partition: Partition<P>,
    class: &mut impl FnMut(&[u16]) -> Result<Class, Excess>,
) -> Result<Vec<(P, Class)>, Excess> {
    let classes =
        partition.answers.iter().map(|answers| class(answers)).collect::<Result<Vec<_>, _>>()?;
    let ranges = partition.ranges.into_iter();
    let mut ranges: Vec<_> =
        ranges.map(|(first, answer)| (first, classes[answer as usize])).collect();
    ranges.dedup_by_key(|(_, class)| *class);
    Ok(ranges)
}

/// Every class has a number.
const _: () = assert!(MAX_CLASSES == Class::MAX as usize + 1);
