//! Routinator's validated ROA payloads as one JSON document, read in a stream.
//!
//! Invariants: memory is one object of the array, whose texts are at most [`MAX_TEXT`] bytes long, however long
//! the document; a document that ends early is an error. What it says is who may announce a prefix, not who
//! does.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::row::{Asns, Row, asn_in, prefix_in};
use super::text::json_cause;
use super::{Dated, Reading, Sink};
use crate::blocklist::errors::ListErrors;
use crate::blocklist::place::{Flaw, Place, shown};
use crate::blocklist::unpack::{self, Unpacked};
use crate::failure::Failure;

/// The longest text in the document, in bytes. Real ones are below 100.
const MAX_TEXT: usize = 4096;

/// Reads the document at `path`; rows go to `sink`, with the line on which their object begins.
///
/// # Errors
/// As [`Unpacked::open`], and where it cannot be read on.
pub(super) fn read(
    path: &Path,
    errors: &mut ListErrors,
    sink: &mut Sink<'_>,
) -> Result<Reading, Failure> {
    let input = BufReader::with_capacity(64 << 10, Unpacked::open(path)?);
    let line = Cell::new(1);
    let counted = Counted { input, line: &line, in_text: None };
    let mut document = serde_json::Deserializer::from_reader(counted);
    let mut reading = Reading::default();
    let mut found = Found { line: &line, reading: &mut reading, path, errors, sink };
    let outcome = found.by_ref().deserialize(&mut document).and_then(|()| document.end());
    if let Err(error) = outcome {
        if error.is_io() {
            let error = io::Error::from(error);
            return Err(unpack::failure(path, &error));
        }
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).max(1);
        let place = Place::at(path, number(error.line()), number(error.column()));
        errors.refuse(place, json_cause(&error));
    }
    Ok(reading)
}

/// A byte after the other, with the line counted and texts bounded.
struct Counted<'a, R> {
    input: R,
    line: &'a Cell<u32>,
    /// Bytes of the text that we are in, and whether the last one was a backslash.
    in_text: Option<(usize, bool)>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte at a time is what the reader of JSON asks for; then the line is exact.
        let Some(one) = buffer.get_mut(..1) else { return Ok(0) };
        if self.input.read(one)? == 0 {
            return Ok(0);
        }
        let byte = one.first().copied().unwrap_or_default();
        if byte == b'\n' {
            self.line.set(self.line.get().saturating_add(1));
        }
        self.in_text = match (self.in_text, byte) {
            (None, b'"') => Some((0, false)),
            (None, _) | (Some((_, false)), b'"') => None,
            (Some((length, _)), _) if length >= MAX_TEXT => {
                let message = format!("text longer than {MAX_TEXT} bytes");
                return Err(unpack::unreadable(message));
            }
            (Some((length, escaped)), byte) => Some((length + 1, byte == b'\\' && !escaped)),
        };
        Ok(1)
    }
}

/// The document.
struct Found<'a, 's> {
    line: &'a Cell<u32>,
    reading: &'a mut Reading,
    path: &'a Path,
    errors: &'a mut ListErrors,
    sink: &'a mut Sink<'s>,
}

impl<'a, 's> Found<'a, 's> {
    fn by_ref(&mut self) -> Document<'_, 'a, 's> {
        Document(self)
    }

    fn object(&mut self, line: u32, object: &Object<'_>) -> Result<(), Flaw> {
        let Asn(asn) = &object.asn;
        let asn =
            asn.as_ref().map_err(|text| Flaw::new(0, format!("{text} is not an AS number")))?;
        let net = prefix_in(&object.prefix)
            .ok_or_else(|| Flaw::new(0, format!("{} is not a prefix", shown(&object.prefix))))?;
        self.reading.rows += 1;
        let row = Row { range: net.into(), asns: Asns::One(*asn), country: None, name: b"" };
        (self.sink)(line, &row);
        Ok(())
    }
}

#[derive(Deserialize)]
struct Object<'a> {
    asn: Asn,
    #[serde(borrow)]
    prefix: Cow<'a, str>,
}

/// `"AS64500"`; rpki-client writes a number. Otherwise the text, fit for a message.
struct Asn(Result<u32, String>);

impl<'de> Deserialize<'de> for Asn {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By hand: what serde derives for a choice keeps whatever stands here in memory first.
        deserializer.deserialize_any(AsnVisitor)
    }
}

struct AsnVisitor;

impl Visitor<'_> for AsnVisitor {
    type Value = Asn;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an AS number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Asn, E> {
        Ok(Asn(u32::try_from(number).map_err(|_| number.to_string())))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Asn, E> {
        Ok(Asn(u32::try_from(number).map_err(|_| number.to_string())))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Asn, E> {
        Ok(Asn(asn_in(text).ok_or_else(|| shown(text))))
    }
}

#[derive(Deserialize)]
struct Metadata {
    /// Seconds since 1970.
    generated: Option<u64>,
}

struct Document<'f, 'a, 's>(&'f mut Found<'a, 's>);

impl<'de> DeserializeSeed<'de> for Document<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with \"roas\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "metadata" => {
                    let metadata: Metadata = map.next_value()?;
                    self.0.reading.dated = metadata.generated.and_then(Dated::at);
                }
                "roas" => map.next_value_seed(Roas(self.0))?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Roas<'f, 'a, 's>(&'f mut Found<'a, 's>);

impl<'de> DeserializeSeed<'de> for Roas<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Roas<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while let Some(object) = array.next_element::<Object<'_>>()? {
            let line = self.0.line.get();
            if let Err(flaw) = self.0.object(line, &object) {
                self.0.errors.refuse(flaw.place(self.0.path, line), flaw);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a document in which one payload has this AS number.
    fn said(asn: &str) -> Result<Vec<u32>, String> {
        let name = format!("kordon-vrp-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        let row = |asn: &str| format!("{{\"asn\": {asn}, \"prefix\": \"192.0.2.0/24\"}}");
        let text = format!("{{\"roas\": [\n{},\n{}\n]}}", row(asn), row("64511"));
        std::fs::write(&path, text).unwrap();
        let (mut errors, mut found) = (ListErrors::new(), Vec::new());
        let mut sink = |_: u32, row: &Row<'_>| found.extend(row.asns.as_slice());
        read(&path, &mut errors, &mut sink).unwrap();
        let text = errors.to_string().replace(&path.display().to_string(), "f");
        std::fs::remove_file(&path).unwrap();
        if errors.is_empty() { Ok(found) } else { Err(text) }
    }

    #[test]
    fn an_as_number_is_a_number_or_a_text_and_nothing_else() {
        for right in ["64500", "\"AS64500\"", "\"as64500\"", "\"64500\"", "\"\\u0041S64500\""] {
            assert_eq!(said(right), Ok(vec![64500, 64511]), "{right}");
        }
        for (wrong, what) in [
            ("-1", "-1 is not an AS number"),
            ("4294967296", "4294967296 is not an AS number"),
            ("\"AS4294967296\"", "AS4294967296 is not an AS number"),
            ("\"AS\"", "AS is not an AS number"),
            ("null", "invalid type: null, expected an AS number"),
            ("1.5", "invalid type: floating point `1.5`, expected an AS number"),
            ("true", "invalid type: boolean `true`, expected an AS number"),
            ("[64500]", "invalid type: sequence, expected an AS number"),
            ("{\"a\": 64500}", "invalid type: map, expected an AS number"),
        ] {
            let text = said(wrong).unwrap_err();
            assert!(text.starts_with("f:2:") && text.ends_with(&format!(": {what}")), "{text}");
        }
    }
}
