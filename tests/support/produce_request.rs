//! One record written with Kafka's protocol by hand, for what the client library cannot say: it
//! takes header names that are text only.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

const PRODUCE: i16 = 0;
const VERSION: i16 = 3;

/// Writes a record with one header to partition 0, and waits until the broker has it.
pub fn send(address: &str, topic: &str, value: &[u8], header: (&[u8], &[u8])) {
    let batch = batch(&record(value, header));
    let mut request = Vec::new();
    request.extend(PRODUCE.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation id
    string(&mut request, "lockstep-tests");
    request.extend((-1_i16).to_be_bytes()); // no transactional id
    request.extend((-1_i16).to_be_bytes()); // acks=all
    request.extend(30_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // topics
    string(&mut request, topic);
    request.extend(1_i32.to_be_bytes()); // partitions
    request.extend(0_i32.to_be_bytes());
    sized(&mut request, &batch);

    let mut stream = TcpStream::connect(address).expect("the broker listens");
    let mut framed = Vec::new();
    sized(&mut framed, &request);
    stream.write_all(&framed).expect("the broker reads");
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("the broker answers");
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut answer).expect("the broker answers");
    // correlation id, topics, name, partitions, partition; then the error code
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "the broker refused the record: {answer:?}");
}

/// A record batch of version 2 that holds one record.
fn batch(record: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // attributes: not compressed, create time
    checked.extend(0_i32.to_be_bytes()); // last offset delta
    checked.extend(now.to_be_bytes());
    checked.extend(now.to_be_bytes());
    checked.extend((-1_i64).to_be_bytes()); // producer id
    checked.extend((-1_i16).to_be_bytes()); // producer epoch
    checked.extend((-1_i32).to_be_bytes()); // sequence
    checked.extend(1_i32.to_be_bytes()); // records
    checked.extend(record);

    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes()); // base offset
    batch.extend(i32::try_from(checked.len() + 9).unwrap_or(i32::MAX).to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

fn record(value: &[u8], (name, header): (&[u8], &[u8])) -> Vec<u8> {
    let mut body = vec![0]; // attributes
    varint(&mut body, 0); // timestamp delta
    varint(&mut body, 0); // offset delta
    varint(&mut body, -1); // no key
    for part in [Some(value), None, Some(name), Some(header)] {
        match part {
            Some(bytes) => {
                varint(&mut body, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
                body.extend(bytes);
            }
            None => varint(&mut body, 1), // number of headers
        }
    }
    let mut record = Vec::new();
    varint(&mut record, i64::try_from(body.len()).unwrap_or(i64::MAX));
    record.extend(body);
    record
}

fn string(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    into.extend(text.as_bytes());
}

fn sized(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(i32::try_from(bytes.len()).unwrap_or(i32::MAX).to_be_bytes());
    into.extend(bytes);
}

/// Zigzag, seven bits a byte.
fn varint(into: &mut Vec<u8>, number: i64) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left >= 0x80 {
        into.push((left as u8) | 0x80);
        left >>= 7;
    }
    into.push(left as u8);
}

/// Castagnoli's checksum, bit by bit: one record needs no table.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
