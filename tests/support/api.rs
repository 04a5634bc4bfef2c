//! The requests that most cases need, by name.

use std::io;

use serde_json::{Value, json};

use crate::{Answer, Connection, Daemon};

/// The domain of the site that the cases make.
pub const SITE_DOMAIN: &str = "shop.example";

/// A server event, changed field by field before it is sent.
#[derive(Clone, Debug)]
pub struct Event {
    body: Value,
}

impl Event {
    /// A complete event called `name` for [`SITE_DOMAIN`], without an id or a session.
    pub fn new(name: &str) -> Event {
        Event {
            body: json!({
                "url": format!("https://{SITE_DOMAIN}/checkout/done"),
                "timestamp": "2026-03-01T00:30:00Z",
                "visitor_ip": "198.51.100.7",
                "user_agent": "curl/8",
                "name": name,
            }),
        }
    }

    /// Sets a field.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Event {
        self.body[field] = value.into();
        self
    }

    /// Takes a field away.
    pub fn without(mut self, field: &str) -> Event {
        self.body.as_object_mut().expect("an event is an object").remove(field);
        self
    }

    /// The request body.
    pub fn text(&self) -> String {
        self.body.to_string()
    }

    /// Sends it as the owner of `token`.
    ///
    /// # Errors
    ///
    /// When the connection breaks: whether it was stored is open.
    pub fn send(&self, connection: &mut Connection, token: &str) -> io::Result<Answer> {
        let bearer = format!("Bearer {token}");
        connection.send(
            "POST",
            "/api/ingest/server/event",
            &[("Authorization", &bearer), ("Content-Type", "application/json")],
            Some(self.text().as_bytes()),
        )
    }
}

/// What a call to seal answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// How many segments there are.
    pub segments: u64,
    /// How many events are in them.
    pub rows: u64,
}

impl Daemon {
    /// One request as the owner.
    pub fn as_owner(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        let bearer = format!("Bearer {}", self.token());
        self.send(method, path, &[("Authorization", &bearer)], body)
    }

    /// The JSON that a GET answers with 200.
    pub fn read(&self, path: &str) -> Value {
        let answer = self.as_owner("GET", path, None);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// Makes a site and gives its id.
    pub fn create_site(&self, domain: &str) -> String {
        let answer = self.as_owner("POST", "/api/sites", Some(&json!({ "domain": domain }).to_string()));
        assert_eq!(answer.status, 200, "{}", answer.text());
        identifier(&answer.json())
    }

    /// Makes a goal on an event and gives its id.
    pub fn create_goal(&self, site: &str, name: &str, event: &str) -> String {
        let body = json!({ "name": name, "type": "event", "value": event }).to_string();
        let answer = self.as_owner("POST", &format!("/api/sites/{site}/goals"), Some(&body));
        assert_eq!(answer.status, 201, "{}", answer.text());
        identifier(&answer.json())
    }

    /// Sends a server event on a connection of its own.
    pub fn report(&self, event: &Event) -> Answer {
        event.send(&mut self.connect(), &self.token()).unwrap_or_else(|error| panic!("{error}\n{}", self.output()))
    }

    /// Seals everything that is stored.
    pub fn seal(&self) -> Sealed {
        let answer = self.as_owner("POST", "/api/admin/seal", None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sealed = answer.json();
        let number = |name: &str| sealed[name].as_u64().unwrap_or_else(|| panic!("{sealed}"));
        Sealed { segments: number("segments"), rows: number("rows") }
    }

    /// How often the event `name` occurred on 1 March 2026.
    pub fn count(&self, site: &str, name: &str) -> u64 {
        let range = "from=2026-03-01T00:00:00Z&to=2026-03-01T23:59:59Z";
        let series = self.read(&format!("/api/sites/{site}/events/timeseries?event_name={name}&{range}"));
        let points = series.as_array().expect("a series is an array");
        points.iter().map(|point| point["count"].as_u64().expect("a count is a number")).sum()
    }
}

fn identifier(object: &Value) -> String {
    object["id"].as_str().expect("what was made has an id").to_owned()
}
