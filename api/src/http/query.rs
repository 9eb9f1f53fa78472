//! The query of a URL (1.5).
//!
//! Read by hand, because it must take what real clients send: time ranges with raw brackets, names of tags with any
//! character, `+` for a space. A parameter that is not known is ignored. A parameter that is given twice is the same as
//! once where both say the same, as when a client adds its parameters to a `Link` that has them already; otherwise it
//! is refused, since either choice would be a guess.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;
use tapelog_events::Format;

use super::limits::{self, Limits};
use super::problem::Problem;

/// The parameters of a request, decoded, in their order.
#[derive(Debug, Default)]
pub struct Query<'a> {
    parameters: SmallVec<[(Cow<'a, str>, Cow<'a, str>); 8]>,
}

impl<'a> Query<'a> {
    /// Reads the part of a URL after `?`.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where percent signs or the bytes that they stand for make no text, and for too many
    /// parameters.
    pub fn parse(raw: &'a str) -> Result<Self, Problem> {
        let mut parameters = SmallVec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == limits::QUERY_PARAMETERS {
                return Err(Problem::invalid(format!(
                    "the query has more than {} parameters",
                    limits::QUERY_PARAMETERS
                )));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let decoded = decoded
                .ok_or_else(|| Problem::invalid(format!("query parameter {name}: it is not percent-encoded UTF-8")))?;
            parameters.push(decoded);
        }
        Ok(Self { parameters })
    }

    /// The value of a parameter.
    ///
    /// # Errors
    /// [`Problem::Invalid`] where it is given twice with different values.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.parameters.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_ref());
        let first = values.next();
        match values.find(|value| Some(*value) != first) {
            None => Ok(first),
            Some(_) => Err(invalid(name, "it is given twice, with different values")),
        }
    }

    /// The value of a parameter as a `T`.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the parameter, where the value is none.
    pub fn parsed<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name)?.map(str::parse).transpose().map_err(|error| invalid(name, error))
    }

    /// The value of a parameter that is true or false, in letters of either case.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the parameter, for any other value.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.text(name)?.map(|value| boolean(name, value)).transpose()
    }

    /// The value of a parameter that is one of a few words.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the parameter and the words, for any other value.
    pub fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        match choices.iter().find(|(word, _)| *word == value) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                Err(invalid(name, format_args!("it is not one of {}", words.join(", "))))
            }
        }
    }

    /// The format in the parameter `format`.
    ///
    /// # Errors
    /// [`Problem::Invalid`] for any other text.
    pub fn format(&self) -> Result<Option<Format>, Problem> {
        self.choice("format", &Format::ALL.map(|format| (format.as_str(), format)))
    }

    /// The items of a parameter that is a list with commas; an empty value is an empty list.
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the parameter, for an item that is empty or no `T`.
    pub fn list<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<Vec<T>>, Problem> {
        self.text(name)?.map(|value| list(name, value)).transpose()
    }

    /// The MIME type without parameters in a parameter (`mime-type.json`).
    ///
    /// # Errors
    /// [`Problem::Invalid`], naming the parameter, for any other text.
    pub fn mime_type(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.text(name)? {
            Some(value) if !is_mime_type(value) => Err(invalid(name, "it is not a MIME type without parameters")),
            value => Ok(value),
        }
    }

    /// How many items a page has: what is asked for, or the default, and never more than the greatest (1.6).
    ///
    /// # Errors
    /// [`Problem::Invalid`] unless it is a positive whole number.
    pub fn limit(&self, limits: &Limits) -> Result<usize, Problem> {
        let Some(value) = self.text("limit")? else { return Ok(limits.page_default) };
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || value.bytes().all(|byte| byte == b'0') {
            return Err(invalid("limit", "it is not a positive whole number"));
        }
        // What is too large for the machine is more than a page can have.
        Ok(value.parse().unwrap_or(usize::MAX).min(limits.page_max))
    }

    /// The parameters whose names begin with `prefix`: the rest of each name, and its value.
    pub fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_ref())))
    }
}

/// A boolean parameter's value.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter, for any text but true and false.
pub fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    if value.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(invalid(name, "it is neither true nor false"))
    }
}

/// The items of a parameter's value that is a list with commas; an empty value is an empty list.
///
/// # Errors
/// [`Problem::Invalid`], naming the parameter, for an item that is empty or no `T`.
pub fn list<T: FromStr<Err: fmt::Display>>(name: &str, value: &str) -> Result<Vec<T>, Problem> {
    if value.is_empty() {
        return Ok(Vec::new());
    }
    let item = |item: &str| match item {
        "" => Err(invalid(name, "an item of the list is empty")),
        _ => item.parse().map_err(|error| invalid(name, error)),
    };
    value.split(',').map(item).collect()
}

/// A refusal that names a parameter.
pub fn invalid(name: &str, why: impl fmt::Display) -> Problem {
    Problem::invalid(format!("query parameter {name}: {why}"))
}

/// Text of a query. `None` where percent signs do not stand for text.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    if raw.contains('+') {
        return Some(Cow::Owned(decode_percent(&raw.replace('+', " "))?.into_owned()));
    }
    decode_percent(raw)
}

/// Text with `%xx` decoded; used for paths, too. `None` where percent signs do not stand for text.
pub fn decode_percent(raw: &str) -> Option<Cow<'_, str>> {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        let is_code = |next: Option<u8>| next.is_some_and(|digit| digit.is_ascii_hexdigit());
        if byte == b'%' && !(is_code(bytes.next()) && is_code(bytes.next())) {
            return None;
        }
    }
    percent_decode_str(raw).decode_utf8().ok()
}

/// Whether a text is a MIME type without parameters, as the specification's `mime-type.json` has it.
pub fn is_mime_type(text: &str) -> bool {
    const TYPES: [&str; 10] =
        ["application", "audio", "font", "example", "image", "message", "model", "multipart", "text", "video"];
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+.^_`|~-".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| {
        let known = TYPES.contains(&kind) || kind.strip_prefix("x-").is_some_and(is_token);
        known && is_token(subtype)
    })
}

#[cfg(test)]
mod tests {
    use tapelog_events::{FlowId, TimeRange};

    use super::*;

    fn refused<T: fmt::Debug>(result: Result<T, Problem>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn raw_brackets_encoded_text_and_plus_are_read() {
        let query = Query::parse("timerange=[0:0_10:0)&label=a+b%2Bc%20%C3%BC&tag.a%2Fb.c%20d=x%2Cy,z&&bare").unwrap();
        assert_eq!(query.parsed::<TimeRange>("timerange").unwrap().unwrap().to_string(), "[0:0_10:0)");
        assert_eq!(query.text("label").unwrap(), Some("a b+c ü"));
        assert_eq!(query.with_prefix("tag.").collect::<Vec<_>>(), [("a/b.c d", "x,y,z")]);
        assert_eq!(query.text("bare").unwrap(), Some(""));
        assert_eq!(query.text("absent").unwrap(), None);
    }

    #[test]
    fn a_refusal_names_the_parameter() {
        for (raw, name) in [("label=%zz", "label"), ("label=%4", "label"), ("label=%ff", "label"), ("x%ff=1", "x%ff")] {
            assert!(refused(Query::parse(raw)).contains(name), "{raw}");
        }
        let query = Query::parse("limit=0&source_id=X&presigned=1&sort_by=size&timerange=bad&page=1&page=2").unwrap();
        assert!(refused(query.limit(&Limits::default())).contains("limit"));
        assert!(refused(query.parsed::<FlowId>("source_id")).contains("source_id"));
        assert!(refused(query.boolean("presigned")).contains("presigned"));
        assert!(refused(query.choice("sort_by", &[("label", ())])).contains("sort_by"));
        assert!(refused(query.parsed::<TimeRange>("timerange")).contains("timerange"));
        assert!(refused(query.text("page")).contains("page"));
        assert!(refused(Query::parse(&"a&".repeat(1000))).contains("200"));
    }

    #[test]
    fn a_limit_is_a_positive_number_and_cut_to_the_greatest() {
        let limits = Limits::default();
        let limit = |raw: &str| Query::parse(raw).unwrap().limit(&limits);
        assert_eq!(limit("").unwrap(), limits.page_default);
        assert_eq!(limit("limit=7&limit=7").unwrap(), 7);
        assert_eq!(limit("limit=99999999999999999999999").unwrap(), limits.page_max);
        for refused in ["limit=", "limit=-1", "limit=+1", "limit=1.5", "limit=00", "limit=abc"] {
            assert!(limit(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn an_empty_list_is_not_an_absent_one() {
        let query = Query::parse("collected_by_ids=").unwrap();
        assert_eq!(query.list::<FlowId>("collected_by_ids").unwrap(), Some(vec![]));
        assert_eq!(query.list::<FlowId>("accept_storage_ids").unwrap(), None);
        let bad = Query::parse("collected_by_ids=4f79cfd1-c057-47f4-8e4d-1b126ca7bf34,").unwrap();
        assert!(bad.list::<FlowId>("collected_by_ids").is_err());
        assert!(Query::parse("accept_get_urls=a,,b").unwrap().list::<String>("accept_get_urls").is_err());
    }

    #[test]
    fn mime_types_are_those_of_the_schema() {
        for text in ["video/mp2t", "audio/x-flac", "x-a/b", "application/vnd.a+json"] {
            assert!(is_mime_type(text), "{text}");
        }
        for text in ["video", "video/", "video/mp4;codecs=x", "vid/eo", "x-/b", "video/a/b", "video/ mp4"] {
            assert!(!is_mime_type(text), "{text}");
        }
    }
}
