//! The reference of all commands, in Markdown, from clap's own definitions. Does not depend on the terminal.

use clap::{Arg, Command};

pub(crate) fn markdown(mut root: Command) -> String {
    root.build();
    let mut out =
        String::from("# vswctl\n\nGenerated from the program by `vswctl reference`. Do not edit.\n\n");
    out += &format!("{}.\n\n", about(&root));
    let (global, own): (Vec<&Arg>, Vec<&Arg>) = root.get_arguments().partition(|a| a.is_global_set());
    out += "## Global options\n\n";
    own.into_iter().chain(global).filter(|a| !a.is_hide_set()).for_each(|a| out += &argument(a));
    out += &epilogue(&root);
    for command in root.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        out += &section(command, "vswctl");
    }
    out
}

/// A command, or those below it.
fn section(command: &Command, above: &str) -> String {
    let path = format!("{above} {}", command.get_name());
    if command.has_subcommands() {
        let below = command.get_subcommands().filter(|c| c.get_name() != "help");
        return below.map(|c| section(c, &path)).collect();
    }
    let mut out = format!("\n## {path}\n\n{}.\n", about(command));
    let aliases: Vec<String> = command.get_visible_aliases().map(|a| format!("`{a}`")).collect();
    if !aliases.is_empty() {
        out += &format!("Also spelt {}.\n", aliases.join(", "));
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|a| !a.is_global_set() && !a.is_hide_set() && a.get_id() != "help")
        .collect();
    let words: Vec<String> = own.iter().filter(|a| a.is_positional()).map(|a| positional(a)).collect();
    let options = if own.iter().any(|a| !a.is_positional()) { " [OPTIONS]" } else { "" };
    let words = words.iter().map(|w| format!(" {w}")).collect::<String>();
    out += &format!("\n    {path}{words}{options}\n\n");
    own.iter().for_each(|a| out += &argument(a));
    out + &epilogue(command)
}

fn about(command: &Command) -> String {
    command.get_about().map(|a| a.to_string()).unwrap_or_default()
}

fn positional(arg: &Arg) -> String {
    if arg.is_required_set() { value(arg) } else { format!("[{}]", value(arg)) }
}

fn value(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => names.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" "),
        None => arg.get_id().as_str().to_uppercase(),
    }
}

/// One item of a list: the option, what it means, its values, default and variable.
fn argument(arg: &Arg) -> String {
    let mut name = arg.get_long().map_or_else(|| value(arg), |l| format!("--{l}"));
    if let Some(short) = arg.get_short() {
        name = format!("-{short}, {name}");
    }
    match arg.get_num_args() {
        _ if arg.is_positional() => {}
        Some(n) if n.min_values() > 0 => name += &format!(" {}", value(arg)),
        Some(n) if n.max_values() > 0 => name += &format!("[={}]", value(arg)),
        _ => {}
    }
    let mut out = format!("* `{name}`: {}.", arg.get_help().map(|h| h.to_string()).unwrap_or_default());
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
    let takes_value = !arg.is_positional() && arg.get_num_args().is_some_and(|n| n.min_values() > 0);
    if takes_value && !values.is_empty() {
        out += &format!(" One of {}.", values.join(", "));
    }
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|v| format!("`{}`", v.to_string_lossy())).collect();
    if takes_value && !defaults.is_empty() {
        out += &format!(" Default {}.", defaults.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        out += &format!(" Variable `{}`.", variable.to_string_lossy());
    }
    out + "\n"
}

/// The examples.
fn epilogue(command: &Command) -> String {
    let Some(text) = command.get_after_help().map(|t| t.to_string()) else { return String::new() };
    let mut out = String::new();
    for line in text.lines() {
        match line.strip_prefix("  ") {
            Some(example) => out += &format!("    {example}\n"),
            None if line.is_empty() => out += "\n",
            None if line == "Example:" => out += "\nExample:\n\n",
            None => out += &format!("{line}\n"),
        }
    }
    out
}
