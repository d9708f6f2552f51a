//! The store with ten million records, beside `SQLite`: `cargo xtask bench store` runs it. A line
//! of JSON for each figure.

mod dice;
mod generate;
mod ours;
mod questions;
mod sqlite;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use generate::Generator;
use ours::{Written, bytes, memory};
use proxy_user::{record::Timestamp, store::Store};
use questions::Question;
use serde_json::{Value, json};
use sqlite::Sqlite;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEED: u64 = 20_261_127;
/// Clients that ask while records are written.
const CLIENTS: usize = 20;
/// How long a question is asked again and again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long they do.
const TOGETHER: Duration = Duration::from_secs(20);

#[derive(Parser)]
struct Options {
    /// A country database
    #[arg(long)]
    database: PathBuf,
    /// Where both stores are
    #[arg(long)]
    dir: PathBuf,
    /// Records that are asked
    #[arg(long, default_value_t = 10_000_000)]
    records: usize,
    /// Milliseconds since 1970 at which the week of the records ends
    #[arg(long)]
    end: i64,
    #[command(subcommand)]
    part: Part,
}

/// Parts of the benchmark, each a process of its own: memory is that of one.
#[derive(Subcommand)]
enum Part {
    /// Writes Weir's store, with everything on
    Fill,
    /// Inserts into `SQLite` with all its indexes
    Insert {
        #[arg(long, default_value_t = 1_000_000)]
        indexed: usize,
    },
    /// Fills `SQLite`, and indexes it then
    Load,
    /// Asks both the same
    Ask {
        /// Times that each question is asked
        #[arg(long, default_value_t = 100)]
        rounds: usize,
    },
    /// Writes at full rate while clients ask
    Together,
}

impl Options {
    fn generator(&self) -> Result<Generator> {
        Generator::new(SEED, &self.database, self.records, self.end())
    }

    fn end(&self) -> Timestamp {
        Timestamp(self.end)
    }

    fn ours(&self) -> PathBuf {
        self.dir.join("weir")
    }

    fn theirs(&self) -> PathBuf {
        self.dir.join("sqlite")
    }
}

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.dir)?;
    match options.part {
        Part::Fill => fill(&options),
        Part::Insert { indexed } => insert(&options, indexed),
        Part::Load => {
            let mut sqlite = Sqlite::open(&options.theirs())?;
            sqlite.create()?;
            sqlite.write(&mut options.generator()?, options.records)?;
            sqlite.index()?;
            let size = a_record(&options.theirs(), options.records)?;
            say("sqlite size", &json!({ "bytes_a_record": size }));
            Ok(())
        }
        Part::Ask { rounds } => {
            let written = Written::open(&options.ours())?;
            let sqlite = options.theirs().exists().then(|| Sqlite::open(&options.theirs()));
            let sqlite = sqlite.transpose()?;
            for question in questions::all(&written.store, options.end())? {
                ask(&question, &written.store, sqlite.as_ref(), rounds)?;
            }
            written.end().map(drop)
        }
        Part::Together => {
            let written = Written::open(&options.ours())?;
            together(&written, &mut options.generator()?, options.end())?;
            written.end().map(drop)
        }
    }
}

fn say(figure: &str, value: &Value) {
    println!("{}", json!({ "figure": figure, "value": value }));
}

#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
fn a_record(file: &Path, records: usize) -> Result<f64> {
    let size = if file.is_dir() { bytes(file)? } else { std::fs::metadata(file)?.len() };
    Ok(size as f64 / records as f64)
}

/// Writes all records, in ten parts.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
fn fill(options: &Options) -> Result<()> {
    let (written, mut generator) = (Written::open(&options.ours())?, options.generator()?);
    let (mut rates, mut all, mut seconds) = (Vec::new(), 0, 0.0);
    for _ in 0..10 {
        let (count, took) = written.write(&mut generator, |count| count < options.records / 10)?;
        rates.push(count as f64 / took);
        (all, seconds) = (all + count, seconds + took);
    }
    let kept: u64 = written.store.stats()?.iter().map(|series| series.records).sum();
    ensure!(kept == all as u64, "{kept} of {all} records are there");
    let unsettled = a_record(&options.ours().join("records"), all)?;
    let begin = Instant::now();
    written.store.tidy()?;
    say(
        "weir write",
        &json!({
            "records": all, "seconds": seconds, "records_a_second": all as f64 / seconds,
            "by_part": rates, "memory": memory()?,
            "bytes_a_record_at_first": unsettled, "tidied_seconds": begin.elapsed().as_secs_f64(),
            "bytes_a_record": a_record(&options.ours().join("records"), all)?,
        }),
    );
    written.end().map(drop)
}

fn insert(options: &Options, indexed: usize) -> Result<()> {
    let path = options.dir.join("sqlite-indexed");
    let mut sqlite = Sqlite::open(&path)?;
    sqlite.create()?;
    sqlite.index()?;
    let rates = sqlite.write(&mut options.generator()?, indexed)?;
    say(
        "sqlite write",
        &json!({
            "records": indexed, "first": rates.first(), "last": rates.last(),
            "by_part": rates, "bytes_a_record": a_record(&path, indexed)?,
        }),
    );
    Ok(())
}

fn ask(question: &Question, store: &Store, sqlite: Option<&Sqlite>, rounds: usize) -> Result<()> {
    let (ours, matching) = times(rounds, || question.ours.ask(store))?;
    let theirs =
        sqlite.map(|sqlite| times(rounds, || Ok(sqlite.ask(&question.sql)?.unsigned_abs())));
    let (theirs, also_matching) = theirs.transpose()?.unzip();
    say(
        question.name,
        &json!({
            "matching": matching, "weir": ours, "sqlite": theirs, "sqlite_matching": also_matching,
        }),
    );
    Ok(())
}

/// Milliseconds of so many rounds, or of three and what follows within some seconds, after one
/// that does not count, and the answer.
fn times(rounds: usize, mut ask: impl FnMut() -> Result<u64>) -> Result<(Value, u64)> {
    let answer = ask()?;
    let mut all = Vec::with_capacity(rounds);
    let began = Instant::now();
    for round in 0..rounds {
        if round >= 3 && began.elapsed() > PATIENCE {
            break;
        }
        let begin = Instant::now();
        ensure!(ask()? == answer, "the answer has changed");
        all.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    Ok((quantiles(&mut all), answer))
}

fn quantiles(milliseconds: &mut [f64]) -> Value {
    milliseconds.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let place = (milliseconds.len() * percent).div_ceil(100).saturating_sub(1);
        milliseconds.get(place).map(|time| (time * 1000.0).round() / 1000.0)
    };
    json!({ "p50_ms": at(50), "p99_ms": at(99), "rounds": milliseconds.len() })
}

/// Writes at full rate while clients ask, and counts what went wrong.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52")]
fn together(written: &Written, generator: &mut Generator, end: Timestamp) -> Result<()> {
    let questions = questions::all(&written.store, end)?;
    let before: u64 = written.store.stats()?.iter().map(|series| series.records).sum();
    let (stop, errors, asked) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let (count, seconds, mut took) = thread::scope(|scope| -> Result<_> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (questions, stop, errors, asked) = (&questions, &stop, &errors, &asked);
                scope.spawn(move || {
                    let mut took = Vec::new();
                    for question in questions.iter().cycle().skip(client) {
                        if stop.load(Relaxed) {
                            break;
                        }
                        let begin = Instant::now();
                        if let Err(error) = question.ours.ask(&written.store) {
                            eprintln!("{}: {error}", question.name);
                            errors.fetch_add(1, Relaxed);
                        }
                        took.push(begin.elapsed().as_secs_f64() * 1000.0);
                        asked.fetch_add(1, Relaxed);
                    }
                    took
                })
            })
            .collect();
        let begin = Instant::now();
        let wrote = written.write(generator, |_| begin.elapsed() < TOGETHER);
        stop.store(true, Relaxed);
        let mut took = Vec::new();
        for client in clients {
            took.extend(client.join().ok().context("a client panicked")?);
        }
        let (count, seconds) = wrote?;
        Ok((count, seconds, took))
    })?;
    let after: u64 = written.store.stats()?.iter().map(|series| series.records).sum();
    say(
        "writing while 20 clients ask",
        &json!({
            "written": count, "records_a_second": count as f64 / seconds,
            "lost": before + count as u64 - after, "asked": asked.load(Relaxed),
            "errors": errors.load(Relaxed), "query": quantiles(&mut took), "memory": memory()?,
        }),
    );
    Ok(())
}
