//! What a reader has still to read.

use super::support::{BY_COMMIT, DAY, NOON, denied, open, served};
use crate::record::Timestamp;

#[test]
fn a_backlog_is_counted_over_partitions_of_both_kinds_and_no_further_than_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path(), BY_COMMIT);
    assert_eq!(opened.store.backlog(None, 100).unwrap(), 0);
    let mut records = Vec::new();
    for day in 0..3 {
        let at = Timestamp(NOON.0 + day * DAY);
        records.extend(opened.commit(vec![served(at), denied(at, Vec::new()), served(at)]));
    }
    assert_eq!(opened.store.backlog(None, 100).unwrap(), 9);
    for (read, record) in (1..).zip(&records) {
        assert_eq!(opened.store.backlog(Some(record.id), 100).unwrap(), 9 - read);
    }
    for most in 0..9 {
        assert_eq!(opened.store.backlog(None, most).unwrap(), most);
    }
}
