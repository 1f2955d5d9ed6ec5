//! The loop of a resolver: one thread, one poll(2).
//!
//! What is asked comes from a container and may be anything; an answer of the host's resolvers
//! is passed on unread, but for its number.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, recvfrom,
};

use super::directory::{Directory, Known};
use super::inside::Inside;
use super::question::{Code, Question};
use super::stream::Stream;
use crate::user::connected;

/// Questions that wait for an answer at once; each has a socket of its own, whose port nobody
/// can guess. Beyond them the oldest is given up.
const MOST_QUESTIONS: usize = 256;
/// Connections at once.
const MOST_STREAMS: usize = 64;

/// How many datagrams are taken before others have their turn.
const TURN: usize = 64;

/// How long a resolver has before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);

/// As long as the longest datagram.
const BUFFER: usize = 65_536;

/// What is to be said to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This.
    Told(Vec<u8>),
    /// What one of the host's resolvers says.
    Ask,
    /// Nothing.
    None,
}

/// Who answers.
#[derive(Debug)]
pub struct Desk {
    directory: Directory,
    /// Who is asked about other names, in this order; `None` where nobody is to be.
    pub resolvers: Option<Vec<SocketAddr>>,
}

impl Desk {
    pub fn new(directory: Directory, resolvers: Option<Vec<SocketAddr>>) -> Self {
        Self {
            directory,
            resolvers,
        }
    }

    /// What is to be said to a message.
    pub fn answer(&mut self, message: &[u8], in_datagram: bool) -> Answer {
        let question = match Question::read(message) {
            Ok(question) => question,
            Err(answer) => return answer.map_or(Answer::None, Answer::Told),
        };
        let told = |code, records: &[_]| {
            Answer::Told(question.reply(code, records, in_datagram))
        };
        match (self.directory.look_up(&question), &self.resolvers) {
            (Known::Told(code, records), _) => told(code, &records),
            (Known::Nothing, None) => told(Code::Refused, &[]),
            (Known::Nothing, Some(resolvers)) if resolvers.is_empty() => {
                told(Code::Failed, &[])
            }
            (Known::Nothing, Some(_)) => Answer::Ask,
        }
    }
}

/// A question that one of the host's resolvers was asked.
#[derive(Debug)]
struct Waiting {
    socket: OwnedFd,
    question: Vec<u8>,
    from: SocketAddrAny,
    /// How many resolvers were asked.
    asked: usize,
    until: Instant,
}

/// All of it.
#[derive(Debug)]
pub struct Server {
    inside: Inside,
    desk: Desk,
    waiting: Vec<Waiting>,
    streams: Vec<Stream>,
    buffer: Vec<u8>,
}

impl Server {
    pub fn new(inside: Inside, desk: Desk) -> Self {
        Self {
            inside,
            desk,
            waiting: Vec::new(),
            streams: Vec::new(),
            buffer: vec![0; BUFFER],
        }
    }

    /// Works until the process is killed.
    ///
    /// # Errors
    /// What poll(2) says.
    pub fn run(&mut self) -> Result<(), Errno> {
        loop {
            let ready = self.wait()?;
            let (own, rest) = ready.split_at(2);
            let (waiting, streams) = rest.split_at(self.waiting.len());
            self.streams_happened(streams);
            self.answers_came(waiting);
            if own[0] {
                self.questions();
            }
            if own[1] {
                self.accept();
            }
        }
    }

    /// Which of all sockets have something: the own two, those of questions, of connections.
    fn wait(&self) -> Result<Vec<bool>, Errno> {
        let own = [&self.inside.datagrams, &self.inside.listener];
        let mut sockets: Vec<PollFd<'_>> = own
            .into_iter()
            .chain(self.waiting.iter().map(|one| &one.socket))
            .map(|socket| PollFd::new(socket, PollFlags::IN))
            .collect();
        sockets.extend(self.streams.iter().map(|stream| {
            let (socket, flags) = stream.waits_for();
            PollFd::from_borrowed_fd(socket, flags)
        }));
        let pause = self.pause().map(|pause| Timespec {
            tv_sec: pause.as_secs() as i64,
            tv_nsec: pause.subsec_nanos().into(),
        });
        match poll(&mut sockets, pause.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(sockets.iter().map(|it| !it.revents().is_empty()).collect())
    }

    /// How long nothing is to be done by itself.
    fn pause(&self) -> Option<Duration> {
        let waiting = self.waiting.iter().map(|one| one.until);
        let next = waiting.chain(self.streams.iter().map(Stream::until)).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Takes questions in datagrams.
    fn questions(&mut self) {
        for _ in 0..TURN {
            let flags = RecvFlags::DONTWAIT;
            let received = recvfrom(&self.inside.datagrams, &mut self.buffer[..], flags);
            let Ok((_, length, Some(from))) = received else {
                return;
            };
            let question = self.buffer[..length.min(BUFFER)].to_vec();
            match self.desk.answer(&question, true) {
                Answer::Told(answer) => self.tell(&answer, &from),
                Answer::Ask => self.ask(question, from, 0),
                Answer::None => {}
            }
        }
    }

    fn tell(&self, answer: &[u8], to: &SocketAddrAny) {
        // What there is no room for is lost, as datagrams are.
        let socket = &self.inside.datagrams;
        let _ = rustix::net::sendto(socket, answer, SendFlags::DONTWAIT, to);
    }

    /// Asks the resolver that is next, or says that nobody has answered.
    fn ask(&mut self, question: Vec<u8>, from: SocketAddrAny, asked: usize) {
        let resolvers = self.desk.resolvers.as_deref().unwrap_or_default();
        let rest = resolvers.iter().enumerate().skip(asked);
        let mut sockets = rest.filter_map(|(number, resolver)| {
            let socket = connected(*resolver, SocketType::DGRAM, None).ok()?;
            rustix::net::send(&socket, &question, SendFlags::DONTWAIT).ok()?;
            Some((number, socket))
        });
        let Some((number, socket)) = sockets.next() else {
            if let Ok(read) = Question::read(&question) {
                self.tell(&read.reply(Code::Failed, &[], true), &from);
            }
            return;
        };
        if self.waiting.len() >= MOST_QUESTIONS {
            self.waiting.remove(0);
        }
        self.waiting.push(Waiting {
            socket,
            question,
            from,
            asked: number + 1,
            until: Instant::now() + PATIENCE,
        });
    }

    /// Passes answers on; asks others where one has not answered.
    fn answers_came(&mut self, ready: &[bool]) {
        let now = Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        let mut again = Vec::new();
        for (one, ready) in waiting.into_iter().zip(ready) {
            match self.hear(&one, *ready) {
                Heard::Answer => {}
                Heard::Nothing if now < one.until => self.waiting.push(one),
                Heard::Nothing | Heard::Refusal => again.push(one),
            }
        }
        for one in again {
            self.ask(one.question, one.from, one.asked);
        }
    }

    fn hear(&mut self, one: &Waiting, ready: bool) -> Heard {
        if !ready {
            return Heard::Nothing;
        }
        let flags = RecvFlags::DONTWAIT;
        match rustix::net::recv(&one.socket, &mut self.buffer[..], flags) {
            Ok((_, length)) => {
                let answer = &self.buffer[..length.min(BUFFER)];
                // Of another question: somebody guesses.
                if answer.len() < 2 || answer[..2] != one.question[..2] {
                    return Heard::Nothing;
                }
                self.tell(answer, &one.from);
                Heard::Answer
            }
            Err(Errno::AGAIN | Errno::INTR) => Heard::Nothing,
            // Nobody listens there.
            Err(_) => Heard::Refusal,
        }
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(client) = rustix::net::accept_with(&self.inside.listener, flags) {
            if self.streams.len() < MOST_STREAMS {
                self.streams.push(Stream::new(client));
            }
        }
    }

    fn streams_happened(&mut self, ready: &[bool]) {
        let now = Instant::now();
        let mut ready = ready.iter();
        let desk = &mut self.desk;
        self.streams.retain_mut(|stream| {
            let is_ready = ready.next().is_some_and(|ready| *ready);
            match is_ready {
                true => stream.go_on(desk),
                false => now < stream.until(),
            }
        });
    }
}

/// What a resolver has said.
enum Heard {
    Nothing,
    Answer,
    Refusal,
}
