//! `SQLite` with the same records, in the table that a well-known proxy ships.

use std::{path::Path, time::Instant};

use anyhow::Result;
use proxy_user::record::{Entry, Ids, Timestamp};
use rusqlite::{Connection, params};

use crate::generate::Generator;

/// Records of a transaction: what comes in 100 ms at 100,000 a second.
const TRANSACTION: usize = 10_000;

const TABLE: &str = "CREATE TABLE access_log_entries (
    id TEXT PRIMARY KEY, service_id TEXT, timestamp INTEGER, started_at INTEGER, method TEXT,
    host TEXT, path TEXT, duration INTEGER, status_code INTEGER, reason TEXT, user_id TEXT,
    user_email TEXT, auth_method_used TEXT, bytes_upload INTEGER, bytes_download INTEGER,
    protocol TEXT, verdict TEXT, source_ip TEXT, source_port INTEGER, country_code TEXT,
    city_name TEXT, subdivision_code TEXT, request_id TEXT, target TEXT, user_agent TEXT,
    listen_port INTEGER, metadata TEXT)";

/// Columns that the proxy has an index on.
const INDEXED: [&str; 12] = [
    "service_id",
    "timestamp",
    "method",
    "host",
    "path",
    "duration",
    "status_code",
    "user_id",
    "auth_method_used",
    "bytes_upload",
    "bytes_download",
    "protocol",
];

pub(crate) struct Sqlite {
    connection: Connection,
    ids: Ids,
}

impl Sqlite {
    /// Its files may take what memory they need; each transaction is durable.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -262144;
             PRAGMA mmap_size = 8589934592;",
        )?;
        Ok(Self { connection, ids: Ids::after(None) })
    }

    pub(crate) fn create(&self) -> Result<()> {
        self.connection.execute(TABLE, ())?;
        Ok(())
    }

    pub(crate) fn index(&self) -> Result<()> {
        for column in INDEXED {
            let index = format!("CREATE INDEX by_{column} ON access_log_entries ({column})");
            self.connection.execute(&index, ())?;
        }
        Ok(self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE;")?)
    }

    /// Inserts so many, and gives how many a second there were in each stretch of 100,000.
    pub(crate) fn write(&mut self, generator: &mut Generator, count: usize) -> Result<Vec<f64>> {
        const STRETCH: usize = 100_000;
        let mut rates = Vec::new();
        for _ in 0..count / STRETCH {
            let mut seconds = 0.0;
            for _ in 0..STRETCH / TRANSACTION {
                let entries: Vec<Entry> = (0..TRANSACTION).map(|_| generator.next()).collect();
                let begin = Instant::now();
                self.insert(&entries)?;
                seconds += begin.elapsed().as_secs_f64();
            }
            rates.push(f64::from(u32::try_from(STRETCH)?) / seconds);
        }
        Ok(rates)
    }

    fn insert(&mut self, entries: &[Entry]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let places = vec!["?"; 27].join(", ");
            let insert = format!("INSERT INTO access_log_entries VALUES ({places})");
            let mut insert = transaction.prepare_cached(&insert)?;
            for Entry { draft, .. } in entries {
                let http = draft.http.as_deref();
                let id = self.ids.next(Timestamp::now());
                insert.execute(params![
                    id.to_string(),
                    draft.service_id.as_str(),
                    draft.timestamp.0,
                    draft.started_at.0,
                    draft.method(),
                    draft.host.as_str(),
                    draft.path(),
                    i64::try_from(draft.duration_ms)?,
                    draft.status_code(),
                    draft.reason.map_or("", |reason| reason.as_str()),
                    http.map_or("", |http| http.user_id.as_str()),
                    http.map_or("", |http| http.user_email.as_str()),
                    http.map_or("", |http| http.auth.as_str()),
                    i64::try_from(draft.bytes_upload)?,
                    i64::try_from(draft.bytes_download)?,
                    draft.protocol.as_str(),
                    draft.verdict.as_str(),
                    draft.source.to_string(),
                    draft.source_port,
                    draft.location.country.map_or_else(String::new, |country| country.to_string()),
                    draft.location.city.as_str(),
                    draft.location.subdivision.as_str(),
                    http.map_or_else(String::new, |http| http.request_id.to_string()),
                    draft.target.as_str(),
                    http.map_or("", |http| http.user_agent.as_str()),
                    draft.listen_port,
                    serde_json::to_string(&draft.metadata)?,
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Runs the statements and reads all that they give. The first number of the first row.
    pub(crate) fn ask(&self, statements: &[String]) -> Result<i64> {
        let mut first = None;
        for statement in statements {
            let mut statement = self.connection.prepare_cached(statement)?;
            let columns = statement.column_count();
            let mut rows = statement.query(())?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    let value = row.get_ref(column)?;
                    first = first.or(value.as_i64().ok());
                }
            }
        }
        Ok(first.unwrap_or(0))
    }
}
