//! Batches that are being filled with the chunks of shards, by database.

use std::collections::HashMap;
use std::sync::Arc;

use super::batch::Batch;
use super::chunk::Chunk;
use super::chunk_pool::ChunkPool;
use super::size::Size;
use crate::config::Precision;

/// The names of databases are forgotten beyond this number.
const MAX_DATABASES: usize = 1_000;

/// With more databases, batches do not get lists with room for many chunks.
const POOLED_LISTS: usize = 8;

#[derive(Default)]
pub(super) struct OpenBatches(HashMap<Arc<str>, Vec<Batch>>);

impl OpenBatches {
    /// The name of a database, shared by all that refer to it.
    pub(super) fn database(&mut self, name: &[u8]) -> Arc<str> {
        let name = String::from_utf8_lossy(name);
        if let Some((name, _)) = self.0.get_key_value(&*name) {
            return name.clone();
        }
        let name: Arc<str> = name.into();
        self.0.insert(name.clone(), Vec::new());
        name
    }

    /// Adds a chunk to a batch of at most `limit`. If its lines were copied, returns the chunk,
    /// which the caller has to clear.
    pub(super) fn add(
        &mut self,
        database: &Arc<str>,
        precision: Precision,
        chunk: Chunk,
        limit: Size,
        pool: &mut ChunkPool,
    ) -> Option<Chunk> {
        let size = Size { lines: chunk.lines(), bytes: chunk.bytes().len() };
        let has_few = self.0.len() <= POOLED_LISTS;
        let batches = self.0.entry(database.clone()).or_default();
        match batches.last_mut() {
            Some(last) if last.precision() == precision && limit.covers(last.size() + size) => {
                last.push_chunk(chunk)
            }
            _ => {
                let list = if has_few { pool.list() } else { Vec::new() };
                let mut batch = Batch::with_storage(database.clone(), precision, list);
                let copied = batch.push_chunk(chunk);
                batches.push(batch);
                copied
            }
        }
    }

    /// Lines that are in memory only.
    pub(super) fn unspooled(&self) -> usize {
        self.0.values().flatten().map(Batch::unspooled).sum()
    }

    /// Takes batches of databases until there are `limit`. Returns them, and the size of the rest.
    pub(super) fn take(&mut self, limit: usize) -> (Vec<Batch>, Size) {
        let (mut taken, mut left) = (Vec::new(), Size::default());
        let keeps_names = self.0.len() <= MAX_DATABASES;
        self.0.retain(|_, batches| {
            if taken.len() < limit {
                taken.append(batches);
            }
            batches.iter().for_each(|batch| left += batch.size());
            keeps_names || !batches.is_empty()
        });
        (taken, left)
    }
}
