//! Blocks: records that go in come out.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

use super::{Block, Columns, Kept, Reader, Rows, Scratch};
use crate::{
    record::Record,
    store::{content::join, pieces::Pieces, tests::codec::drafts},
};

fn block(records: &[Record], kept: Kept) -> Arc<Block> {
    let records: Vec<&Record> = records.iter().collect();
    let scratch = Scratch::of(&records);
    let (head, bytes) = Columns::of(&records, &scratch).encode(kept).unwrap();
    Arc::new(Block::in_memory(head, bytes))
}

fn records_of(block: &Block) -> Vec<Record> {
    let pieces = Pieces::none();
    let rows = Rows::of(Reader { block, pieces: &pieces }).unwrap();
    (0..block.rows()).map(|row| rows.record(row).unwrap()).collect()
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let id = prop_oneof![any::<u128>(), 0u128..9];
    vec((id, drafts()), 1..40).prop_map(|parts| {
        let mut records: Vec<Record> = parts
            .into_iter()
            .map(|(id, draft)| Record { id: Uuid::from_u128(id), draft })
            .collect();
        records.sort_by_key(|record| record.id);
        records.dedup_by_key(|record| record.id);
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn records_come_back(records in records(), compressed: bool) {
        let kept = if compressed { Kept::Compressed } else { Kept::Plain };
        let block = block(&records, kept);
        prop_assert_eq!(&records_of(&block), &records);
        prop_assert_eq!(block.head.first_id, records[0].id);
        prop_assert_eq!(block.head.last_id, records[records.len() - 1].id);
        let logged = records.iter().map(|record| record.draft.timestamp);
        let started = records.iter().map(|record| record.draft.started_at);
        prop_assert_eq!(block.head.times.logged, (logged.clone().min().unwrap(), logged.max().unwrap()));
        prop_assert_eq!(
            block.head.times.started, (started.clone().min().unwrap(), started.max().unwrap()));
        let pieces = Pieces::none();
        let ids = Reader { block: &block, pieces: &pieces }.ids().unwrap();
        for (row, record) in records.iter().enumerate() {
            prop_assert_eq!(ids.find(record.id), Some(row));
        }
    }

    #[test]
    fn joined_blocks_hold_what_each_held(records in records(), cuts in vec(1usize..20, 1..6)) {
        let (mut blocks, mut rest) = (Vec::new(), records.as_slice());
        for cut in cuts {
            let (part, after) = rest.split_at(cut.min(rest.len()));
            blocks.extend((!part.is_empty()).then(|| block(part, Kept::Plain)));
            rest = after;
        }
        blocks.extend((!rest.is_empty()).then(|| block(rest, Kept::Compressed)));
        let (head, bytes) = join(&blocks, &Pieces::none(), Kept::Compressed).unwrap().unwrap();
        prop_assert_eq!(records_of(&Block::in_memory(head, bytes)), records);
    }

    /// What a broken disk gives is an error or a wrong record, never a panic.
    #[test]
    fn no_bytes_do_harm(records in records(), at in any::<prop::sample::Index>(), bits in 1u8..) {
        let parts: Vec<&Record> = records.iter().collect();
        let scratch = Scratch::of(&parts);
        let (head, bytes) = Columns::of(&parts, &scratch).encode(Kept::Plain).unwrap();
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        let (block, pieces) = (Block::in_memory(head, bytes.into()), Pieces::none());
        let reader = Reader { block: &block, pieces: &pieces };
        if let Ok(rows) = Rows::of(reader) {
            (0..block.rows()).for_each(|row| drop(rows.record(row)));
        }
        let _ = join(&[Arc::new(block)], &pieces, Kept::Compressed);
    }
}

#[test]
fn repeated_records_take_few_bytes() {
    let mut ids = crate::record::Ids::after(None);
    let mut at = |n: i64| {
        let mut draft = crate::record::tests::request();
        draft.timestamp.0 += n * 40;
        draft.started_at.0 += n * 40;
        let http = draft.http.as_mut().unwrap();
        http.request_id = ids.next(draft.started_at);
        Record { id: ids.next(draft.timestamp), draft }
    };
    let records: Vec<Record> = (0..10_000).map(&mut at).collect();
    let parts: Vec<&Record> = records.iter().collect();
    let scratch = Scratch::of(&parts);
    let (_, bytes) = Columns::of(&parts, &scratch).encode(Kept::Compressed).unwrap();
    assert!(bytes.len() < 6 * records.len(), "{} bytes a record", bytes.len() / records.len());
}
