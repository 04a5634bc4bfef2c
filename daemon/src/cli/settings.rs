//! The flags of the settings, made from their table.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::config::{Description, Flags, SETTINGS};

/// The settings given on the command line, and `--config`.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingFlags(pub(crate) Flags);

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(clap::value_parser!(std::path::PathBuf))
            .help("TOML file of settings; flags and variables win over it [env: HITKEEP_CONFIG]");
        command.next_help_heading("Settings").arg(file).args(SETTINGS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        SettingFlags::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<SettingFlags, clap::Error> {
        let given = |setting: &Description| Some((setting.key, matches.get_one::<String>(setting.name)?.clone()));
        Ok(SettingFlags(Flags { file: matches.get_one("config").cloned(), values: SETTINGS.iter().filter_map(given).collect() }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = SettingFlags::from_arg_matches(matches)?;
        Ok(())
    }
}

/// No clap default and no clap variable: both would hide from the configuration where a value came from.
fn flag(setting: &Description) -> Arg {
    let default = setting.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
    let flag = Arg::new(setting.name).long(setting.name).value_name(setting.placeholder).allow_hyphen_values(true).help(format!(
        "{}{default} [env: {}]",
        setting.meaning,
        setting.variable()
    ));
    match setting.older {
        Some(older) => flag.visible_alias(older),
        None => flag,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use crate::cli::args::Arguments;
    use crate::config::{Description, SETTINGS};

    const PAGE: &str = include_str!("../../../docs/configuration.md");

    /// The cells of the table rows that begin with a flag, by that flag.
    fn documented(section: &str) -> Vec<Vec<&'static str>> {
        let from = PAGE.find(section).unwrap() + section.len();
        let section = PAGE[from..].split("\n## ").next().unwrap();
        let rows = section.lines().filter(|line| line.starts_with("| `--"));
        rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
    }

    fn in_code(names: impl IntoIterator<Item = String>) -> String {
        names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// The long flags of a command that are its own and not clap's.
    fn flags(path: &[&str]) -> BTreeSet<String> {
        let command = path.iter().fold(Arguments::command(), |command, name| command.find_subcommand(name).unwrap().clone());
        command.get_arguments().filter_map(|flag| flag.get_long()).filter(|name| *name != "help").map(str::to_owned).collect()
    }

    #[test]
    fn the_page_describes_every_setting_as_help_does() {
        let rows = documented("\n## Settings\n");
        assert_eq!(rows.len(), SETTINGS.len());
        let command = Arguments::command();
        let command = command.find_subcommand("config").unwrap();
        for (row, setting) in rows.iter().zip(&SETTINGS) {
            let Description { name, older, default, allowed, meaning, .. } = setting;
            let flags = [Some(*name), *older].into_iter().flatten().map(|name| format!("--{name}"));
            let variables = [Some(setting.variable()), setting.older_variable()].into_iter().flatten();
            let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
            assert_eq!(row, &[in_code(flags), in_code(variables), default, (*allowed).to_owned(), (*meaning).to_owned()]);

            let flag = command.get_arguments().find(|flag| flag.get_long() == Some(name)).unwrap();
            let help = flag.get_help().unwrap().to_string();
            assert!(help.starts_with(meaning) && help.ends_with(&format!("[env: {}]", setting.variable())), "{help}");
            assert_eq!(help.contains("[default: "), !row[2].is_empty(), "{help}");
            assert_eq!(flag.get_visible_aliases().unwrap_or_default(), older.iter().copied().collect::<Vec<_>>());
        }
        let documented = rows.iter().zip(&SETTINGS).map(|(_, setting)| setting.name.to_owned());
        let documented: BTreeSet<String> = documented.chain(["config".to_owned()]).collect();
        assert_eq!(flags(&["serve"]), documented);
        assert_eq!(flags(&["token", "reset-owner"]), documented);
        assert_eq!(flags(&["config"]), documented.into_iter().chain(["json".to_owned()]).collect());
    }

    #[test]
    fn the_page_names_every_flag_of_the_connection() {
        let rows = documented("\n## The command line as a client\n");
        let documented: BTreeSet<String> = rows.iter().map(|row| row[0].trim_matches('`').trim_start_matches("--").to_owned()).collect();
        for command in ["site", "goal", "query"] {
            assert_eq!(flags(&[command]), documented, "{command}");
        }
        assert!(flags(&["import"]).is_superset(&documented));
    }
}
