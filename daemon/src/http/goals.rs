//! `/api/sites/{id}/goals`: what a site's goals are, and changing them.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use serde::Serialize;
use uuid::Uuid;

use super::ingest::json::{self, Text, body};
use super::respond::{self, Answer};
use super::sites::{BAD_BODY, change_catalog};
use super::{Call, Error};
use crate::catalog::draft::GoalDraft;
use crate::catalog::records::{Goal, GoalKind, Site, Where};
use crate::instant;

/// A goal as clients see it.
#[derive(Serialize)]
struct GoalJson<'a> {
    id: String,
    site_id: String,
    name: &'a str,
    #[serde(rename = "type")]
    kind: GoalKind,
    value: &'a str,
    #[serde(rename = "where", skip_serializing_if = "<[Where]>::is_empty")]
    conditions: &'a [Where],
    created_at: String,
}

impl<'a> From<&'a Goal> for GoalJson<'a> {
    fn from(goal: &'a Goal) -> GoalJson<'a> {
        GoalJson {
            id: goal.id.to_string(),
            site_id: Uuid::from_bytes(goal.site_id.bytes()).to_string(),
            name: &goal.name,
            kind: goal.kind,
            value: &goal.value,
            conditions: &goal.conditions,
            created_at: instant::text(goal.created_at),
        }
    }
}

body! {
    /// What a client says of a goal; what is missing is refused with the blank.
    struct GoalBody<'a> {
        id: Text<'a> = "id",
        name: Text<'a> = "name",
        kind: Text<'a> = "type",
        value: Text<'a> = "value",
        conditions: Vec<WhereBody<'a>> = "where",
    }
}

body! {
    /// A property that rows have to have, and the text of its value.
    struct WhereBody<'a> {
        key: Text<'a> = "key",
        value: Text<'a> = "value",
    }
}

impl WhereBody<'_> {
    fn read(&self) -> Result<Where, Error> {
        let (Some(key), Some(value)) = (Text::of(&self.key), Text::of(&self.value)) else {
            return Err(Error::Invalid("key and value are required in where"));
        };
        Ok(Where { key: key.to_owned(), value: value.to_owned() })
    }
}

impl GoalBody<'_> {
    fn read(body: &[u8]) -> Result<(Option<Uuid>, GoalDraft), Error> {
        let text = json::text(body);
        let body: GoalBody<'_> = json::first_value(&text).map_err(|_| BAD_BODY)?;
        let id = Text::of(&body.id).map(Uuid::try_parse).transpose().map_err(|_| BAD_BODY)?;
        let [name, kind, value] = [&body.name, &body.kind, &body.value].map(|field| Text::of(field).unwrap_or_default());
        let conditions = body.conditions.iter().flatten().map(WhereBody::read).collect::<Result<_, _>>()?;
        let draft = GoalDraft::new(name, kind, value, conditions).map_err(|error| Error::Invalid(error.sentence()))?;
        Ok((id.filter(|id| !id.is_nil()), draft))
    }
}

/// `GET …/goals`: newest first.
pub(super) fn list(call: &Call<'_>, site: &Site) -> Result<Answer, Error> {
    let contents = call.state.catalog.contents();
    let goals: Vec<GoalJson<'_>> = contents.goals(site.id).map(|goal| GoalJson::from(&**goal)).collect();
    Ok(respond::json(StatusCode::OK, &goals))
}

/// `POST …/goals`: 201 with the goal and where it is. It counts the past as well.
pub(super) async fn create(call: Call<'_>, site: Arc<Site>) -> Result<Answer, Error> {
    let (id, draft) = GoalBody::read(&call.body)?;
    let goal = change_catalog(&call, move |catalog, by| catalog.create_goal(site.id, id, draft, by)).await?;
    let mut answer = respond::json(StatusCode::CREATED, &GoalJson::from(&goal));
    let place = format!("{}/api/sites/{}/goals/{}", call.state.path_prefix, Uuid::from_bytes(goal.site_id.bytes()), goal.id);
    let place = HeaderValue::try_from(place).expect("a path prefix of a URL and two UUIDs are ASCII");
    answer.headers_mut().insert(LOCATION, place);
    Ok(answer)
}

/// `PUT …/goals/{goal}`: 200 with the goal.
pub(super) async fn change(call: Call<'_>, site: Arc<Site>, goal: &str) -> Result<Answer, Error> {
    let id = goal_id(goal)?;
    let (_, draft) = GoalBody::read(&call.body)?;
    let goal = change_catalog(&call, move |catalog, by| catalog.change_goal(site.id, id, draft, by)).await?;
    Ok(respond::json(StatusCode::OK, &GoalJson::from(&goal)))
}

/// `DELETE …/goals/{goal}`.
pub(super) async fn remove(call: Call<'_>, site: Arc<Site>, goal: &str) -> Result<Answer, Error> {
    let id = goal_id(goal)?;
    change_catalog(&call, move |catalog, by| catalog.remove_goal(site.id, id, by)).await?;
    Ok(respond::empty(StatusCode::OK))
}

/// The id in a path or a parameter.
pub(super) fn goal_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::Invalid("Invalid goal_id"))
}
