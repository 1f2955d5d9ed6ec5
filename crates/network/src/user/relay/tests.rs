use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::*;

/// A connected pair.
fn pair() -> [TcpStream; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("it is bound");
    let first = TcpStream::connect(address).expect("connect");
    let (second, _) = listener.accept().expect("accept");
    [first, second]
}

/// The two ends of a relay that is carried on in another thread until it is over.
fn relayed(mut buckets: Buckets) -> ([TcpStream; 2], JoinHandle<()>) {
    let ([left, one], [two, right]) = (pair(), pair());
    for socket in [&one, &two] {
        socket.set_nonblocking(true).expect("an option of all");
    }
    let thread = std::thread::spawn(move || {
        let mut events = Events::new().expect("epoll");
        let mut relays = Relays::default();
        let sockets = [one.into(), two.into()];
        relays
            .add(&mut events, sockets, Direction::Out)
            .expect("epoll");
        while !relays.all.is_empty() {
            relays.go_on(&mut buckets);
            if relays.all.is_empty() {
                break;
            }
            let pause = relays.pause(&buckets);
            for it in events.wait(pause).expect("epoll") {
                relays.happened(it.source, [it.readable, it.writable], &mut buckets);
            }
            relays.feed(&mut buckets);
        }
    });
    ([left, right], thread)
}

#[test]
fn bytes_arrive_as_they_were_sent_in_both_directions() {
    const LENGTH: usize = 20_000_000;
    let byte = |at: usize| (at % 251) as u8;
    let ([left, right], thread) = relayed([None, None]);
    let writers = [&left, &right].map(|stream| {
        let mut stream = stream.try_clone().expect("a copy");
        std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..LENGTH).map(byte).collect();
            stream.write_all(&bytes).expect("write");
            stream.shutdown(Shutdown::Write).expect("shutdown");
        })
    });
    for mut stream in [left, right] {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("read");
        assert_eq!(bytes.len(), LENGTH);
        assert!(bytes.iter().enumerate().all(|(at, is)| *is == byte(at)));
    }
    writers
        .into_iter()
        .for_each(|writer| writer.join().expect("it wrote"));
    thread.join().expect("the relay is over");
}

#[test]
fn an_end_is_passed_on_and_the_other_direction_stays() {
    let ([mut left, mut right], thread) = relayed([None, None]);
    left.write_all(b"question").expect("write");
    left.shutdown(Shutdown::Write).expect("shutdown");
    let mut question = String::new();
    right.read_to_string(&mut question).expect("it ends");
    assert_eq!(question, "question");
    right.write_all(b"answer").expect("write");
    drop(right);
    let mut answer = String::new();
    left.read_to_string(&mut answer).expect("it ends");
    assert_eq!(answer, "answer");
    thread.join().expect("the relay is over");
}

#[test]
fn a_reset_is_passed_on() {
    let ([mut left, right], thread) = relayed([None, None]);
    left.write_all(b"x").expect("write");
    break_off(&right.into());
    let error = left.read(&mut [0; 8]).expect_err("it was broken off");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    thread.join().expect("the relay is over");
}

#[test]
fn single_bytes_fill_no_pipe_for_good() {
    let ([mut left, mut right], thread) = relayed([None, None]);
    left.set_nodelay(true).expect("an option of all");
    for _ in 0..2000 {
        left.write_all(b"1").expect("write");
    }
    drop(left);
    let mut all = Vec::new();
    right.read_to_end(&mut all).expect("it ends");
    assert_eq!(all.len(), 2000);
    drop(right);
    thread.join().expect("the relay is over");
}

#[test]
fn a_bucket_limits_its_direction_alone() {
    let rate = 4_000_000;
    let bucket = Bucket::new(rate, None, Instant::now());
    let ([mut left, mut right], thread) = relayed([Some(bucket), None]);
    let start = Instant::now();
    let writer = std::thread::spawn(move || {
        left.write_all(&[7; 2_000_000]).expect("write");
        left.shutdown(Shutdown::Write).expect("shutdown");
        left
    });
    let mut bytes = Vec::new();
    right.read_to_end(&mut bytes).expect("it ends");
    let took = start.elapsed();
    assert_eq!(bytes.len(), 2_000_000);
    assert!(took > Duration::from_millis(440), "{took:?}");
    let mut left = writer.join().expect("it wrote");
    let start = Instant::now();
    let writer = std::thread::spawn(move || {
        right.write_all(&[7; 4_000_000]).expect("write");
    });
    left.read_to_end(&mut bytes).expect("it ends");
    writer.join().expect("it wrote");
    assert!(
        start.elapsed() < Duration::from_millis(400),
        "{:?}",
        start.elapsed()
    );
    thread.join().expect("the relay is over");
}
