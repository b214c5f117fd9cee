//! A row of the embedded log, whatever stands in its columns: what can be read is the same when it
//! is written again; what cannot is told.
//!
//! An input is the kinds of the columns, one letter each (`n`ull, `i`nteger, `r`eal, `t`ext,
//! `b`lob), and the columns: all but the last have a byte before them that says how long they are.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use lockstep::event::Consumed;
use lockstep::log::embedded::record;
use lockstep_fuzz::memory;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, params};

/// Offset, timestamp, key, value, headers.
const COLUMNS: usize = 5;
const PARTITION: i32 = 3;

thread_local! {
    static ROWS: Connection = rows().expect("SQLite has memory");
}

/// Columns without a type take what would be refused by a database that is whole.
fn rows() -> rusqlite::Result<Connection> {
    let rows = Connection::open_in_memory()?;
    rows.execute_batch("CREATE TABLE records (partition, offset, timestamp, key, value, headers)")?;
    Ok(rows)
}

fuzz_target!(|data: &[u8]| {
    let Some((kinds, mut rest)) = data.split_at_checked(COLUMNS) else { return };
    let mut columns = Vec::with_capacity(COLUMNS);
    for (index, kind) in kinds.iter().enumerate() {
        let taken = match rest.split_first() {
            Some((length, after)) if index + 1 < COLUMNS => {
                let (column, after) = after.split_at(usize::from(*length).min(after.len()));
                rest = after;
                column
            }
            _ => rest,
        };
        columns.push(column(*kind, taken));
    }
    ROWS.with(|rows| {
        memory::bounded(data.len(), || match read(rows, &columns) {
            Ok(read) => check(rows, &read),
            Err(error) => assert!(!error.to_string().is_empty()),
        });
    });
});

fn column(kind: u8, bytes: &[u8]) -> ToSqlOutput<'_> {
    let number = || bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    match kind {
        b'n' => ToSqlOutput::Owned(Value::Null),
        b'i' => ToSqlOutput::Owned(Value::Integer(number().cast_signed())),
        b'r' => ToSqlOutput::Owned(Value::Real(f64::from_bits(number()))),
        b't' => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
        _ => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
    }
}

/// Writes a row of these columns and reads it.
fn read(rows: &Connection, columns: &[ToSqlOutput<'_>]) -> rusqlite::Result<Consumed> {
    rows.execute("DELETE FROM records", [])?;
    let [offset, timestamp, key, value, headers] = columns else { unreachable!("they are five") };
    rows.prepare_cached(record::INSERT)?
        .execute(params![PARTITION, offset, timestamp, key, value, headers])?;
    first(rows)
}

fn first(rows: &Connection) -> rusqlite::Result<Consumed> {
    let topic = Arc::from("orders");
    rows.prepare_cached(record::SCAN)?
        .query_row(params![PARTITION, i64::MIN, 1], |row| record::read(row, &topic, PARTITION))
}

fn check(rows: &Connection, read: &Consumed) {
    rows.execute("DELETE FROM records", []).expect("rows can be deleted");
    let mut insert = rows.prepare_cached(record::INSERT).expect("the statement is right");
    let place = (i64::from(PARTITION), read.offset);
    let timestamp = read.event.timestamp_ms.expect("rows have timestamps");
    let bytes = record::insert(&mut insert, place, timestamp, &read.event).expect("it is written");
    assert!(usize::try_from(bytes).is_ok_and(|bytes| bytes >= read.event.size()));
    assert_eq!(&first(rows).expect("what was written can be read"), read);
}
