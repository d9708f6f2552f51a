//! How far a reader is behind.

use uuid::Uuid;

use super::{Store, StoreError, series::Kind, view::View};

impl Store {
    /// How many records are above `after`; no more than `most` are counted.
    pub fn backlog(&self, after: Option<Uuid>, most: usize) -> Result<usize, StoreError> {
        self.shared.must_be_open()?;
        let mut count = 0;
        for kind in Kind::ALL {
            let partitions = self.shared.series(kind).read().between(after, Uuid::max());
            for partition in partitions {
                let Some(view) = View::of(partition)? else { continue };
                for (place, block) in view.content.blocks.iter().enumerate() {
                    count += match after {
                        Some(after) if block.head.last_id <= after => 0,
                        Some(after) if block.head.first_id <= after => {
                            let Some(reader) = view.reader(place)? else { break };
                            block.rows() - reader.ids()?.through(after)
                        }
                        _ => block.rows(),
                    };
                    if count >= most {
                        return Ok(most);
                    }
                }
            }
        }
        Ok(count)
    }
}
