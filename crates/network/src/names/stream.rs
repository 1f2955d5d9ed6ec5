//! A connection by which questions come: RFC 7766. Each message has its length before it.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketType};

use super::question::{Code, Question};
use super::server::{Answer, Desk};
use crate::user::socket;

/// How long one may take without anything happening.
const PATIENCE: Duration = Duration::from_secs(10);

/// One question at a time; the next waits in `input`.
#[derive(Debug)]
pub struct Stream {
    client: OwnedFd,
    phase: Phase,
    /// From the client; while one of the host's resolvers is asked, from that.
    input: Vec<u8>,
    /// What is still to be sent.
    output: Vec<u8>,
    until: Instant,
}

/// What is waited for.
#[derive(Debug)]
enum Phase {
    /// A question.
    Read,
    /// That a resolver takes the question.
    Ask(Asked),
    /// Its answer.
    Hear(Asked),
    /// That the client takes the answer.
    Write,
}

#[derive(Debug)]
struct Asked {
    resolver: OwnedFd,
    question: Vec<u8>,
    answer: Vec<u8>,
    /// How many resolvers were asked.
    count: usize,
}

impl Stream {
    pub fn new(client: OwnedFd) -> Self {
        Self {
            client,
            phase: Phase::Read,
            input: Vec::new(),
            output: Vec::new(),
            until: Instant::now() + PATIENCE,
        }
    }

    /// When it is given up.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// The one socket that is waited for, and for what.
    pub fn waits_for(&self) -> (BorrowedFd<'_>, PollFlags) {
        match &self.phase {
            Phase::Read => (self.client.as_fd(), PollFlags::IN),
            Phase::Ask(asked) => (asked.resolver.as_fd(), PollFlags::OUT),
            Phase::Hear(asked) => (asked.resolver.as_fd(), PollFlags::IN),
            Phase::Write => (self.client.as_fd(), PollFlags::OUT),
        }
    }

    /// Does what can be done; whether it goes on.
    pub fn go_on(&mut self, desk: &mut Desk) -> bool {
        self.until = Instant::now() + PATIENCE;
        match std::mem::replace(&mut self.phase, Phase::Read) {
            Phase::Read => match receive(&self.client, &mut self.input) {
                Received::More => self.take_question(desk),
                Received::Later => true,
                Received::End => false,
            },
            Phase::Ask(asked) => {
                match send(&asked.resolver, &mut self.output) {
                    Err(_) => self.ask_next(desk, asked.question, asked.count),
                    Ok(()) if self.output.is_empty() => self.phase = Phase::Hear(asked),
                    Ok(()) => self.phase = Phase::Ask(asked),
                }
                true
            }
            Phase::Hear(mut asked) => {
                match receive(&asked.resolver, &mut asked.answer) {
                    Received::End => {
                        self.ask_next(desk, asked.question, asked.count);
                        return true;
                    }
                    Received::More | Received::Later => {}
                }
                match whole(&asked.answer) {
                    Some(answer) => self.answer(answer),
                    None => self.phase = Phase::Hear(asked),
                }
                true
            }
            Phase::Write => match send(&self.client, &mut self.output) {
                Err(_) => false,
                Ok(()) if self.output.is_empty() => self.take_question(desk),
                Ok(()) => {
                    self.phase = Phase::Write;
                    true
                }
            },
        }
    }

    /// Answers the question that has come, if it is whole.
    fn take_question(&mut self, desk: &mut Desk) -> bool {
        let Some(question) = whole(&self.input).map(<[u8]>::to_vec) else {
            return true;
        };
        self.input.drain(..question.len() + 2);
        match desk.answer(&question, false) {
            Answer::Told(answer) => self.answer(&answer),
            Answer::Ask => self.ask_next(desk, question, 0),
            // Who sends such things gets no more of it.
            Answer::None => return false,
        }
        true
    }

    fn answer(&mut self, answer: &[u8]) {
        self.output = with_length(answer);
        self.phase = Phase::Write;
    }

    /// Asks the resolver that is next, or says that nobody has answered.
    fn ask_next(&mut self, desk: &Desk, question: Vec<u8>, count: usize) {
        let resolvers = desk.resolvers.as_deref().unwrap_or_default();
        let mut rest = resolvers.iter().enumerate().skip(count);
        let reached =
            rest.find_map(|(number, resolver)| Some((number, reach(*resolver).ok()?)));
        if let Some((number, resolver)) = reached {
            self.output = with_length(&question);
            self.phase = Phase::Ask(Asked {
                resolver,
                question,
                answer: Vec::new(),
                count: number + 1,
            });
        } else if let Ok(read) = Question::read(&question) {
            self.answer(&read.reply(Code::Failed, &[], false));
        }
    }
}

/// Begins a connection.
fn reach(resolver: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = socket(resolver.ip(), SocketType::STREAM, None)?;
    match rustix::net::connect(&socket, &resolver) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(errno) => Err(errno),
    }
}

fn with_length(message: &[u8]) -> Vec<u8> {
    let mut bytes = (message.len() as u16).to_be_bytes().to_vec();
    bytes.extend(message);
    bytes
}

/// The first message, if all of it is there.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    bytes.get(2..length + 2)
}

enum Received {
    More,
    Later,
    End,
}

fn receive(socket: &OwnedFd, bytes: &mut Vec<u8>) -> Received {
    let mut buffer = [0; 4096];
    match rustix::net::recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Received::End,
        Ok((_, length)) => {
            bytes.extend(&buffer[..length.min(buffer.len())]);
            Received::More
        }
        Err(Errno::AGAIN | Errno::INTR) => Received::Later,
        Err(_) => Received::End,
    }
}

fn send(socket: &OwnedFd, bytes: &mut Vec<u8>) -> Result<(), Errno> {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match rustix::net::send(socket, bytes, flags) {
        Ok(length) => {
            bytes.drain(..length);
            Ok(())
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_when_all_of_it_is_there() {
        let bytes = with_length(b"abc");
        for length in 0..bytes.len() {
            assert_eq!(whole(&bytes[..length]), None);
        }
        assert_eq!(whole(&bytes), Some(&b"abc"[..]));
        assert_eq!(whole(&[bytes, vec![9]].concat()), Some(&b"abc"[..]));
    }
}
