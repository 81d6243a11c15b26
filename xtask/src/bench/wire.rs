//! HTTP/1.1 over one kept connection, as cheaply as it goes: requests are prepared bytes, of an answer only the status, the
//! headers' bytes and the body are taken (RFC 9112).

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

const TIME_OUT: Duration = Duration::from_secs(30);
const LONGEST_ANSWER: usize = 1 << 20;

pub struct Connection {
    port: u16,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    decoded: Vec<u8>,
}

pub struct Answer<'a> {
    pub status: u16,
    head: &'a [u8],
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// The values of a header.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        headers(self.head).filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body).unwrap_or_default()
    }
}

impl Connection {
    pub fn new(port: u16) -> Connection {
        Connection { port, stream: None, buffer: Vec::with_capacity(16 * 1024), decoded: Vec::new() }
    }

    /// Connects anew. Servers close connections that were idle for some seconds.
    pub fn renew(&mut self) -> Result<()> {
        self.stream = Some(open(self.port)?);
        Ok(())
    }

    /// Sends a request and waits for its whole answer.
    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => open(self.port)?,
        };
        stream.write_all(request).context("cannot send a request")?;
        self.buffer.clear();
        let head = read_until(&mut stream, &mut self.buffer, end_of_head)?;
        let parsed = Head::parse(self.buffer.get(..head).unwrap_or_default())?;
        let body = match parsed.framing {
            Framing::Length(length) => {
                read_until(&mut stream, &mut self.buffer, |bytes| {
                    (bytes.len() >= head + length).then_some(head + length)
                })?;
                self.buffer.get(head..head + length)
            }
            Framing::Chunked => {
                read_until(&mut stream, &mut self.buffer, |bytes| {
                    dechunked(bytes.get(head..)?).map(|body| {
                        self.decoded = body;
                        bytes.len()
                    })
                })?;
                Some(self.decoded.as_slice())
            }
        };
        if !parsed.closes {
            self.stream = Some(stream);
        }
        Ok(Answer {
            status: parsed.status,
            head: self.buffer.get(..head).unwrap_or_default(),
            body: body.unwrap_or_default(),
        })
    }
}

fn open(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("cannot connect to port {port}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(TIME_OUT))?;
    Ok(stream)
}

/// Reads until `complete` finds what it looks for.
fn read_until(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    mut complete: impl FnMut(&[u8]) -> Option<usize>,
) -> Result<usize> {
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(end) = complete(buffer) {
            return Ok(end);
        }
        let count = match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            count => count.context("no answer in time")?,
        };
        if count == 0 {
            bail!("the connection was closed before the answer was complete");
        }
        buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if buffer.len() > LONGEST_ANSWER {
            bail!("the answer is longer than {LONGEST_ANSWER} bytes");
        }
    }
}

/// Where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

enum Framing {
    Length(usize),
    Chunked,
}

struct Head {
    status: u16,
    framing: Framing,
    closes: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Head> {
        let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status = status.context("the answer is not HTTP/1.1")?;
        let mut framing = None;
        let mut closes = false;
        for (name, value) in headers(bytes) {
            if name.eq_ignore_ascii_case("content-length") {
                framing = Some(Framing::Length(value.parse().context("content-length is no number")?));
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                framing = Some(Framing::Chunked);
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.eq_ignore_ascii_case("close");
            }
        }
        match framing {
            Some(framing) => Ok(Head { status, framing, closes }),
            None if matches!(status, 204 | 304) => Ok(Head { status, framing: Framing::Length(0), closes }),
            None => bail!("an answer of status {status} does not say how long it is"),
        }
    }
}

fn headers(head: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let lines = std::str::from_utf8(head).unwrap_or_default().split("\r\n").skip(1);
    lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
}

/// The whole of a chunked body, once it is there (RFC 9112 §7.1; trailers are not expected).
fn dechunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = bytes.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(bytes.get(..line)?).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let chunk = bytes.get(line + 2..)?;
        if size == 0 {
            return chunk.starts_with(b"\r\n").then_some(body);
        }
        body.extend_from_slice(chunk.get(..size)?);
        bytes = chunk.get(size + 2..)?;
    }
}

/// A GET request.
pub fn get(authority: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", authority, path, headers, None)
}

/// A POST request.
pub fn post(authority: &str, path: &str, headers: &[(&str, &str)], content_type: &str, body: &str) -> Vec<u8> {
    request("POST", authority, path, headers, Some((content_type, body)))
}

fn request(
    method: &str,
    authority: &str,
    path: &str,
    headers: &[(&str, &str)],
    content: Option<(&str, &str)>,
) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: vedette-bench\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some((content_type, body)) = content {
        text.push_str(&format!("content-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    } else {
        text.push_str("\r\n");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_is_complete_only_with_its_last_chunk() {
        assert_eq!(dechunked(b"4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n").as_deref(), Some(&b"Wikipedia"[..]));
        assert_eq!(dechunked(b"4\r\nWiki\r\n5\r\npedia\r\n0\r\n"), None);
        assert_eq!(dechunked(b"4\r\nWi"), None);
    }

    #[test]
    fn an_answer_without_a_length_is_refused() {
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 204 No Content\r\n\r\n").is_ok_and(|head| head.status == 204 && !head.closes));
    }
}
