//! apache-avro, the second opinion.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Error, Schema};

pub(crate) fn encode(schema: &Schema, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// Reads a whole datum, resolved to `reader` where there is one.
pub(crate) fn decode(writer: &Schema, datum: &[u8], reader: Option<&Schema>) -> Result<Value, Error> {
    let mut rest = datum;
    let builder = GenericDatumReader::builder(writer).maybe_reader_schema(reader);
    let value = builder.build()?.read_value(&mut rest)?;
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    Ok(value)
}
