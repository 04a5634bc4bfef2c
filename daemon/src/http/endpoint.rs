//! What a path below `/api/` names.

/// An endpoint. Identities are text here: only who is known learns whether they are well-formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    Sites,
    Site(&'a str),
    Retention(&'a str),
    Goals(&'a str),
    Goal(&'a str, &'a str),
    Report(&'a str, Report),
    Seal,
}

/// A report on one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    GoalSeries,
    EventNames,
    PropertyKeys,
    Breakdown,
    EventSeries,
}

impl<'a> Endpoint<'a> {
    /// The endpoint that `path`, without `/api/`, names.
    pub(super) fn find(path: &'a str) -> Option<Endpoint<'a>> {
        if path == "admin/seal" {
            return Some(Endpoint::Seal);
        }
        let mut parts = path.splitn(3, '/');
        if parts.next() != Some("sites") {
            return None;
        }
        let Some(id) = parts.next() else { return Some(Endpoint::Sites) };
        if id.is_empty() {
            return None;
        }
        let Some(rest) = parts.next() else { return Some(Endpoint::Site(id)) };
        Some(match rest {
            "retention" => Endpoint::Retention(id),
            "goals" => Endpoint::Goals(id),
            "goals/timeseries" => Endpoint::Report(id, Report::GoalSeries),
            "events/names" => Endpoint::Report(id, Report::EventNames),
            "events/properties" => Endpoint::Report(id, Report::PropertyKeys),
            "events/breakdown" => Endpoint::Report(id, Report::Breakdown),
            "events/timeseries" => Endpoint::Report(id, Report::EventSeries),
            _ => {
                let goal = rest.strip_prefix("goals/").filter(|goal| !goal.is_empty() && !goal.contains('/'))?;
                Endpoint::Goal(id, goal)
            }
        })
    }

    /// The methods it knows, as the header `Allow` lists them.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Endpoint::Sites | Endpoint::Goals(_) => "GET, POST",
            Endpoint::Site(_) => "GET, PATCH, DELETE",
            Endpoint::Retention(_) => "PUT",
            Endpoint::Goal(..) => "PUT, DELETE",
            Endpoint::Report(..) => "GET",
            Endpoint::Seal => "POST",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_endpoint_or_none() {
        for (path, endpoint) in [
            ("sites", Some(Endpoint::Sites)),
            ("sites/a", Some(Endpoint::Site("a"))),
            ("sites/a/retention", Some(Endpoint::Retention("a"))),
            ("sites/a/goals", Some(Endpoint::Goals("a"))),
            ("sites/a/goals/b", Some(Endpoint::Goal("a", "b"))),
            ("sites/a/goals/timeseries", Some(Endpoint::Report("a", Report::GoalSeries))),
            ("sites/a/events/names", Some(Endpoint::Report("a", Report::EventNames))),
            ("sites/a/events/properties", Some(Endpoint::Report("a", Report::PropertyKeys))),
            ("sites/a/events/breakdown", Some(Endpoint::Report("a", Report::Breakdown))),
            ("sites/a/events/timeseries", Some(Endpoint::Report("a", Report::EventSeries))),
            ("admin/seal", Some(Endpoint::Seal)),
            ("admin", None),
            ("admin/seal/", None),
            ("", None),
            ("sites/", None),
            ("sites//goals", None),
            ("sites/a/", None),
            ("sites/a/goals/", None),
            ("sites/a/goals/b/c", None),
            ("sites/a/events", None),
            ("sites/a/hits", None),
            ("site", None),
            ("sitesa", None),
        ] {
            assert_eq!(Endpoint::find(path), endpoint, "{path}");
        }
    }
}
