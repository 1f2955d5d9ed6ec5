//! Temporary.
#![allow(clippy::print_stdout, missing_docs)]
use warren_network::user::{Config, Prepared, Rules};
fn main() {
    let mut args = std::env::args().skip(1);
    let pid = args.next().unwrap().parse().unwrap();
    let mut config = Config::default();
    config.resolvers = warren_network::user::resolvers(
        &std::fs::read_to_string("/etc/resolv.conf").unwrap(),
    );
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "gw" => config.host_loopback = true,
            "allow" => {
                let a: warren_network::Allow = args.next().unwrap().parse().unwrap();
                config
                    .rules
                    .get_or_insert_with(Rules::default)
                    .places
                    .push(a.pin().unwrap());
            }
            "domain" => config
                .rules
                .get_or_insert_with(Rules::default)
                .domains
                .push(args.next().unwrap()),
            p => config.publish.push(p.parse().unwrap()),
        }
    }
    let t = std::time::Instant::now();
    let network = Prepared::new(config).unwrap().start(pid);
    println!("{:?} {:?}", t.elapsed(), network.as_ref().map(|_| ()));
    let mut s = String::new();
    std::io::stdin().read_line(&mut s).unwrap();
    print!("{}", network.unwrap().finish());
}
