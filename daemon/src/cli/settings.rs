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
