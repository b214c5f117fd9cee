//! How an event lies in a row: written and read byte for byte.

use std::error::Error;
use std::sync::Arc;

use rusqlite::types::{Type, ValueRef};
use rusqlite::{CachedStatement, Row, params};

use crate::event::{Consumed, Event, Header};

/// Writes one event; the parameters of [`insert`].
pub const INSERT: &str = "INSERT INTO records \
    (partition, offset, timestamp, key, value, headers) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// Reads a partition in order, from an offset on; each row is for [`read`].
pub const SCAN: &str = "SELECT offset, timestamp, key, value, headers FROM records \
    WHERE partition = ?1 AND offset >= ?2 ORDER BY offset LIMIT ?3";

/// Offset, timestamp and size of the oldest events of a partition, for retention.
pub(super) const OLDEST: &str = "SELECT offset, timestamp, 32 + ifnull(length(key), 0) \
    + ifnull(length(value), 0) + ifnull(length(headers), 0) \
    FROM records WHERE partition = ?1 ORDER BY offset LIMIT ?2";

/// Offset, timestamp, key, whether the value is null, and size of events, in order and without
/// reading their values: for compaction.
pub(super) const KEYS: &str = "SELECT offset, timestamp, key, typeof(value) = 'null', \
    32 + ifnull(length(key), 0) + ifnull(length(value), 0) + ifnull(length(headers), 0) \
    FROM records WHERE partition = ?1 AND offset >= ?2 AND offset < ?3 ORDER BY offset LIMIT ?4";

/// What a row costs beyond its blobs, about. Part of [`OLDEST`] and [`KEYS`].
const ROW_BYTES: usize = 32;

/// Name and value of a header, as they lie in the blob.
type Borrowed<'a> = (&'a str, Option<&'a [u8]>);

/// Inserts an event and returns the bytes of its row, as `OLDEST` counts.
pub fn insert(
    statement: &mut CachedStatement<'_>,
    (partition, offset): (i64, i64),
    timestamp: i64,
    event: &Event,
) -> rusqlite::Result<i64> {
    let headers = encode(&event.headers)?;
    let (key, value, headers) = (event.key.as_deref(), event.value.as_deref(), headers.as_deref());
    statement.execute(params![partition, offset, timestamp, key, value, headers])?;
    let blobs: usize = [key, value, headers].iter().map(|blob| blob.map_or(0, <[u8]>::len)).sum();
    Ok(i64::try_from(ROW_BYTES + blobs).unwrap_or(i64::MAX))
}

/// Reads an event from a row of [`SCAN`].
pub fn read(row: &Row<'_>, topic: &Arc<str>, partition: i32) -> rusqlite::Result<Consumed> {
    let event = Event {
        topic: Arc::clone(topic),
        timestamp_ms: Some(row.get(1)?),
        key: bytes(row.get_ref(2)?)?,
        value: bytes(row.get_ref(3)?)?,
        headers: decode(row.get_ref(4)?)?,
    };
    Ok(Consumed { event, partition, offset: row.get(0)? })
}

fn bytes(value: ValueRef<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
    Ok(value.as_blob_or_null()?.map(<[u8]>::to_vec))
}

/// No headers are NULL.
fn encode(headers: &[Header]) -> rusqlite::Result<Option<Vec<u8>>> {
    if headers.is_empty() {
        return Ok(None);
    }
    let pairs: Vec<_> = headers.iter().map(|h| (h.name.as_str(), h.value.as_deref())).collect();
    let encoded = postcard::to_stdvec(&pairs);
    encoded.map(Some).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn decode(value: ValueRef<'_>) -> rusqlite::Result<Vec<Header>> {
    let Some(encoded) = value.as_blob_or_null()? else { return Ok(Vec::new()) };
    // A sequence of bytes and a byte string are the same in postcard, and this one is not copied
    // byte by byte.
    let wrong = |reason: Box<dyn Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(4, Type::Blob, reason)
    };
    let (pairs, rest): (Vec<Borrowed<'_>>, _) =
        postcard::take_from_bytes(encoded).map_err(|error| wrong(error.into()))?;
    if !rest.is_empty() {
        return Err(wrong(format!("{} bytes follow the headers", rest.len()).into()));
    }
    let header = |(name, value): Borrowed<'_>| Header {
        name: name.to_owned(),
        value: value.map(<[u8]>::to_vec),
    };
    Ok(pairs.into_iter().map(header).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written_and_nothing_may_follow() {
        let headers = vec![Header::text("a", "1"), Header { name: "b".to_owned(), value: None }];
        let mut encoded = encode(&headers).unwrap().unwrap();
        assert_eq!(decode(ValueRef::Blob(&encoded)), Ok(headers));
        encoded.push(0);
        let error = decode(ValueRef::Blob(&encoded)).unwrap_err().to_string();
        assert!(error.contains("1 bytes follow"), "{error}");
    }
}
