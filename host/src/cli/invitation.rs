//! What `lockstep dev` prints once it runs: lines to paste that send an event and watch what
//! becomes of it. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::shell::{quoted, word};

/// Samples longer than this are sent from their file, not from the command line.
const MAX_INLINE: usize = 1_000;

/// What there is to try.
#[derive(Debug)]
pub(super) struct Invitation {
    /// How `lockstep` is called, and how it is told which log: `lockstep`, ` --data-dir d`.
    pub(super) program: String,
    pub(super) log_arguments: String,
    /// The handlers, in order.
    pub(super) handlers: Vec<Invited>,
}

/// One handler, as far as it can be tried.
#[derive(Debug)]
pub(super) struct Invited {
    pub(super) name: String,
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) dead_letter_topic: String,
    pub(super) sample: Option<Sample>,
}

/// An event to try a handler with.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) path: PathBuf,
    pub(super) json: String,
}

impl Invitation {
    /// The text, for a host that listens at this address.
    pub(super) fn text(&self, ingest: SocketAddr) -> String {
        let names: Vec<_> = self.handlers.iter().map(|handler| handler.name.as_str()).collect();
        let mut text = format!("Lockstep runs {}.\n", names.join(", "));
        let mut section = |title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                text += &format!("\n{title}:\n  {}\n", lines.join("\n  "));
            }
        };
        let sources = self.handlers.iter().flat_map(|h| h.from.iter().map(move |t| (t, h)));
        let mut seen: Vec<&str> = Vec::new();
        let mut posts = Vec::new();
        for (topic, handler) in sources {
            if !seen.contains(&topic.as_str()) {
                seen.push(topic);
                posts.push(post(ingest, topic, handler.sample.as_ref()));
            }
        }
        section("Send an event", posts);
        let watch = |topics: Vec<&String>| {
            let mut lines: Vec<_> = topics.into_iter().map(|topic| self.consume(topic)).collect();
            lines.sort();
            lines.dedup();
            lines
        };
        section("Watch the outputs", watch(self.handlers.iter().flat_map(|h| &h.to).collect()));
        let dead = self.handlers.iter().map(|h| &h.dead_letter_topic).collect();
        section("Watch the dead letters", watch(dead));
        text += "\nCtrl-C stops it. What is in the topics stays.\n";
        text
    }

    fn consume(&self, topic: &str) -> String {
        format!("{} consume {topic} --follow{}", self.program, self.log_arguments)
    }
}

/// A line that sends one event with curl.
fn post(ingest: SocketAddr, topic: &str, sample: Option<&Sample>) -> String {
    let url = format!("{}?key=key-1", events_url(ingest, topic));
    let body = match sample {
        None => format!("-d {}", quoted("{}")),
        Some(sample) if sample.json.len() > MAX_INLINE => {
            format!("--data-binary {}", word(&format!("@{}", sample.path.display())))
        }
        Some(sample) => format!("-d {}", quoted(&one_line(&sample.json))),
    };
    format!("curl -X POST {} -H 'content-type: application/json' {body}", quoted(&url))
}

/// Where events of a topic are posted to.
pub(super) fn events_url(ingest: SocketAddr, topic: &str) -> String {
    format!("http://{}/v1/topics/{topic}/events", reachable(ingest))
}

/// JSON on one line. No string of JSON holds a line break, so none is changed.
fn one_line(json: &str) -> String {
    let lines: Vec<_> = json.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// A host that listens on all addresses is reached at the loopback one.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn invited(name: &str, from: &[&str], to: &[&str], json: Option<&str>) -> Invited {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let sample = |json: &str| Sample { path: "my h/sample.json".into(), json: json.to_owned() };
        Invited {
            name: name.to_owned(),
            from: names(from),
            to: names(to),
            dead_letter_topic: format!("{name}.dead-letters"),
            sample: json.map(sample),
        }
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 1)))
    }

    #[test]
    fn everything_to_try_is_there_to_paste() {
        let invitation = Invitation {
            program: "target/release/lockstep".to_owned(),
            log_arguments: " --data-dir 'my data'".to_owned(),
            handlers: vec![
                invited("weather", &["source"], &["destination"], Some("{\n  \"c\": 3\n}\n")),
                invited("audit", &["source", "other"], &[], None),
            ],
        };
        assert_eq!(
            invitation.text(address("0.0.0.0:8080")),
            "Lockstep runs weather, audit.\n\n\
Send an event:\n  \
  curl -X POST 'http://127.0.0.1:8080/v1/topics/source/events?key=key-1' \
-H 'content-type: application/json' -d '{ \"c\": 3 }'\n  \
  curl -X POST 'http://127.0.0.1:8080/v1/topics/other/events?key=key-1' \
-H 'content-type: application/json' -d '{}'\n\n\
Watch the outputs:\n  \
  target/release/lockstep consume destination --follow --data-dir 'my data'\n\n\
Watch the dead letters:\n  \
  target/release/lockstep consume audit.dead-letters --follow --data-dir 'my data'\n  \
  target/release/lockstep consume weather.dead-letters --follow --data-dir 'my data'\n\n\
Ctrl-C stops it. What is in the topics stays.\n"
        );
    }

    #[test]
    fn a_shell_hands_the_sample_to_curl_unchanged() {
        let json = r#"{"it's": "$HOME `id` \" \\ !", "u": "é"}"#;
        let sample = Sample { path: "s".into(), json: json.to_owned() };
        let line = post(address("[::]:80"), "t", Some(&sample));
        let script = format!("curl() {{ printf '%s\\n' \"$@\"; }}\n{line}");
        let output = Command::new("sh").args(["-c", &script]).output().map(|o| o.stdout);
        let arguments = String::from_utf8(output.unwrap_or_default()).unwrap_or_default();
        let url = "http://[::1]:80/v1/topics/t/events?key=key-1";
        assert_eq!(
            arguments.lines().collect::<Vec<_>>(),
            ["-X", "POST", url, "-H", "content-type: application/json", "-d", json]
        );
    }

    #[test]
    fn a_long_sample_is_sent_from_its_file() {
        let handler = invited("h", &["t"], &[], Some(&format!("[{}1]", "1,".repeat(1_000))));
        let line = post(address("127.0.0.1:80"), "t", handler.sample.as_ref());
        assert!(line.ends_with(" --data-binary '@my h/sample.json'"), "{line}");
    }
}
