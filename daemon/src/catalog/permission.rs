//! Who may do what: roles, actions, and the one function that joins them.

use serde::{Deserialize, Serialize};

/// What a token may do on one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Everything.
    Owner,
    /// Everything but deleting the site.
    Admin,
    /// Looks, and keeps goals.
    Editor,
    /// Looks.
    Viewer,
    /// Sends events, and sees nothing.
    Ingest,
}

/// What a token may do on the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InstanceRole {
    /// Everything, on every site.
    Owner,
    /// Looks at every site.
    Admin,
    /// What its site roles say.
    User,
}

/// What is done on a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Reading reports and definitions: `site.view`.
    View,
    /// Creating, changing and removing goals: `site.manage_goals`.
    ManageGoals,
    /// Changing the site itself: `site.manage_data`.
    ManageData,
    /// Sending events from a server: `site.manage_data` of the contract, and all that `ingest` may do.
    Send,
    /// Removing the site: `site.delete`.
    Delete,
}

/// Whether `role` may do `action` on its site.
pub(crate) const fn allowed(role: Role, action: Action) -> bool {
    match action {
        Action::View => matches!(role, Role::Owner | Role::Admin | Role::Editor | Role::Viewer),
        Action::ManageGoals => matches!(role, Role::Owner | Role::Admin | Role::Editor),
        Action::ManageData => matches!(role, Role::Owner | Role::Admin),
        Action::Send => matches!(role, Role::Owner | Role::Admin | Role::Ingest),
        Action::Delete => matches!(role, Role::Owner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_roles_is_the_contracts() {
        use Action::*;
        let actions = [View, ManageGoals, ManageData, Delete, Send];
        for (role, row) in [
            (Role::Owner, [true, true, true, true, true]),
            (Role::Admin, [true, true, true, false, true]),
            (Role::Editor, [true, true, false, false, false]),
            (Role::Viewer, [true, false, false, false, false]),
            (Role::Ingest, [false, false, false, false, true]),
        ] {
            assert_eq!(actions.map(|action| allowed(role, action)), row, "{role:?}");
        }
    }
}
