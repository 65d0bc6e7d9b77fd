//! Container files of apache-avro, and damaged ones.

use apache_avro::types::Value;
use apache_avro::{Codec, DeflateSettings, Schema, Writer, ZstandardSettings};
use trustline::codec::canonical::put_long;
use trustline::codec::container::{BLOCK_BYTES_MAX, ContainerError, ContainerReader, Flaw};

use crate::random::Random;

const SYNC: [u8; 16] = [7; 16];

fn codecs() -> [Codec; 4] {
    [
        Codec::Null,
        Codec::Deflate(DeflateSettings::default()),
        Codec::Snappy,
        Codec::Zstandard(ZstandardSettings::default()),
    ]
}

/// Three blocks of texts.
fn file(codec: Codec) -> (Vec<u8>, Vec<u8>) {
    let schema = Schema::parse_str("\"string\"").unwrap();
    let mut writer = Writer::with_codec(&schema, Vec::new(), codec).unwrap();
    let mut records = Vec::new();
    for block in 0..3 {
        for record in 0..100 {
            let text = format!("record {record} of block {block}");
            put_long(&mut records, text.len() as i64);
            records.extend_from_slice(text.as_bytes());
            writer.append_value(Value::String(text)).unwrap();
        }
        writer.flush().unwrap();
    }
    (writer.into_inner().unwrap(), records)
}

fn read(file: &[u8]) -> Result<(u64, Vec<u8>), ContainerError> {
    let mut reader = ContainerReader::new(file)?;
    let (mut count, mut records, mut block) = (0, Vec::new(), Vec::new());
    while let Some(more) = reader.next_block(&mut block)? {
        count += more;
        records.extend_from_slice(&block);
    }
    Ok((count, records))
}

#[test]
fn every_codec_reads_back() {
    for codec in codecs() {
        let (file, records) = file(codec);
        let reader = ContainerReader::new(&file[..]).unwrap();
        assert_eq!(reader.schema_json(), "\"string\"");
        let (count, read) = read(&file).unwrap();
        assert_eq!(count, 300, "{codec:?}");
        assert!(read == records, "{codec:?}");
    }
}

#[test]
fn a_file_that_ends_early_is_an_error_unless_at_a_block() {
    for codec in codecs() {
        let (file, _) = file(codec);
        let mut whole = 0;
        for end in 0..file.len() {
            match read(&file[..end]) {
                Ok(_) => whole += 1,
                Err(ContainerError::Block { flaw, .. }) => {
                    assert_eq!(flaw, Flaw::Truncated, "{codec:?} {end}")
                }
                Err(ContainerError::NotAContainer) => assert!(end < 4),
                Err(error) => assert!(matches!(error, ContainerError::Header), "{codec:?} {end}: {error}"),
            }
        }
        assert_eq!(whole, 3, "{codec:?}: after the header and after two blocks");
    }
}

#[test]
fn a_flipped_bit_never_panics_and_is_found_by_sums_and_markers() {
    for codec in codecs() {
        let (file, records) = file(codec);
        let mut random = Random::new(3);
        for _ in 0..400 {
            let mut damaged = file.clone();
            let at = random.below(file.len());
            damaged[at] ^= 1 << random.below(8);
            if let (Ok((_, read)), Codec::Snappy) = (read(&damaged), codec) {
                // The header's sync and schema and the count of a block have no sum.
                assert!(read == records || at < 100, "byte {at}");
            }
        }
    }
}

fn container(codec: &str, blocks: &[(i64, i64, &[u8])]) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    let put = |file: &mut Vec<u8>, text: &str| {
        put_long(file, text.len() as i64);
        file.extend_from_slice(text.as_bytes());
    };
    put_long(&mut file, -2);
    put_long(&mut file, 0);
    for text in ["avro.schema", "\"null\"", "avro.codec", codec] {
        put(&mut file, text);
    }
    put_long(&mut file, 0);
    file.extend_from_slice(&SYNC);
    for (count, size, bytes) in blocks {
        put_long(&mut file, *count);
        put_long(&mut file, *size);
        file.extend_from_slice(bytes);
        file.extend_from_slice(&SYNC);
    }
    file
}

fn flaw(file: &[u8]) -> (u64, Flaw) {
    match read(file) {
        Err(ContainerError::Block { offset, flaw }) => (offset, flaw),
        other => panic!("{other:?}"),
    }
}

#[test]
fn claims_and_bombs_are_refused_with_the_offset_of_the_block() {
    let begin = container("null", &[]).len() as u64;
    assert_eq!(flaw(&container("null", &[(1, i64::MAX, b"")])), (begin, Flaw::TooLarge));
    assert_eq!(flaw(&container("null", &[(1, -1, b"")])), (begin, Flaw::Numbers));
    assert_eq!(flaw(&container("null", &[(-1, 0, b"")])), (begin, Flaw::Numbers));
    assert_eq!(flaw(&container("null", &[(1, 1 << 20, b"short")])), (begin, Flaw::Truncated));
    let second = begin + 2 + 3 + 16;
    assert_eq!(flaw(&container("null", &[(1, 3, b"abc"), (1, 2, b"abc")])), (second, Flaw::Sync));
    assert_eq!(flaw(&container("deflate", &[(1, 3, b"abc")])).1, Flaw::Compression);
    assert_eq!(flaw(&container("snappy", &[(1, 3, b"abc")])).1, Flaw::Compression);
    assert_eq!(flaw(&container("zstandard", &[(1, 3, b"abc")])).1, Flaw::Compression);

    let zeros = vec![0; BLOCK_BYTES_MAX + 1];
    let bomb = zstd::bulk::compress(&zeros, 1).unwrap();
    assert_eq!(flaw(&container("zstandard", &[(1, bomb.len() as i64, &bomb)])).1, Flaw::TooLarge);
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut deflate, &zeros).unwrap();
    let bomb = deflate.finish().unwrap();
    assert_eq!(flaw(&container("deflate", &[(1, bomb.len() as i64, &bomb)])).1, Flaw::TooLarge);
    let mut bomb = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
    bomb.extend_from_slice(&[0; 4]);
    assert_eq!(flaw(&container("snappy", &[(1, bomb.len() as i64, &bomb)])).1, Flaw::TooLarge);

    let mut wrong = snap::raw::Encoder::new().compress_vec(b"hello").unwrap();
    wrong.extend_from_slice(&[1, 2, 3, 4]);
    assert_eq!(flaw(&container("snappy", &[(1, wrong.len() as i64, &wrong)])).1, Flaw::Checksum);
}

#[test]
fn headers_that_cannot_be_read_say_why() {
    assert!(matches!(ContainerReader::new(&b"PAR1...."[..]), Err(ContainerError::NotAContainer)));
    assert!(matches!(ContainerReader::new(&b""[..]), Err(ContainerError::NotAContainer)));
    let unknown = container("xz", &[]);
    assert!(
        matches!(ContainerReader::new(&unknown[..]), Err(ContainerError::UnknownCodec { codec }) if codec == "xz")
    );
    let mut bare = b"Obj\x01\x00".to_vec();
    bare.extend_from_slice(&SYNC);
    assert!(matches!(ContainerReader::new(&bare[..]), Err(ContainerError::NoSchema)));
    let mut claims = b"Obj\x01\x02".to_vec();
    put_long(&mut claims, i64::MAX);
    assert!(matches!(ContainerReader::new(&claims[..]), Err(ContainerError::Header)));
}
