//! The reference of settings, made from the types that hold them: their comments are what it says.

use anyhow::{Context, Result};
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Settings;

/// A Markdown table of every setting: its key, its environment variable, its default, and what it does.
///
/// # Errors
/// When the settings have no such form, which a test rules out.
pub fn reference() -> Result<String> {
    let generator = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
    let schema = serde_json::to_value(generator.into_root_schema_for::<Settings>())?;
    let defaults = serde_json::to_value(Settings::default())?;
    let mut table = "| Setting | Default | Meaning |\n|---|---|---|\n".to_owned();
    rows(&mut table, "", &schema, &defaults)?;
    Ok(table)
}

/// What stands after the key of a list, before those of its items.
const ITEM: &str = "[]";

fn rows(table: &mut String, prefix: &str, schema: &Value, defaults: &Value) -> Result<()> {
    let properties = schema["properties"].as_object().context("settings are an object")?;
    for (name, property) in properties {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let default = &defaults[name.as_str()];
        if property["properties"].is_object() {
            rows(table, &key, property, default)?;
            continue;
        }
        let meaning = property["description"].as_str().with_context(|| format!("{key} has no explanation"))?;
        // What stands in a list has no variable of its own.
        let variable = match key.contains(ITEM) {
            true => String::new(),
            false => format!("<br>`TAPELOG_{}`", key.to_uppercase().replace('.', "__")),
        };
        let default = match (default, &property["default"]) {
            (Value::Null, Value::Null) => "–".to_owned(),
            (Value::Null, value) | (value, _) => format!("`{value}`"),
        };
        let values = choices(property).map(|choices| format!(" One of {choices}.")).unwrap_or_default();
        let text = format!("{}{values}", meaning.split_whitespace().collect::<Vec<_>>().join(" "));
        table.push_str(&format!("| `{key}`{variable} | {default} | {} |\n", text.replace('|', "\\|")));
        if property["items"]["properties"].is_object() {
            rows(table, &format!("{key}{ITEM}"), &property["items"], &Value::Null)?;
        }
    }
    Ok(())
}

/// The values of a setting that has only a few.
fn choices(property: &Value) -> Option<String> {
    let single = |choice: &Value| choice["const"].as_str().map(|value| format!("`{value}`"));
    let values: Option<Vec<String>> = match (&property["oneOf"], &property["enum"]) {
        (Value::Array(choices), _) => choices.iter().map(single).collect(),
        (_, Value::Array(values)) => {
            values.iter().filter(|value| !value.is_null()).map(|value| Some(format!("`{}`", value.as_str()?))).collect()
        }
        _ => None,
    };
    values.map(|values| values.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_readme_is_that_of_the_code() {
        let readme = include_str!("../../../README.md");
        let (_, after) = readme.split_once("<!-- settings -->\n").unwrap();
        let (table, _) = after.split_once("<!-- end of settings -->").unwrap();
        assert_eq!(table.trim(), reference().unwrap().trim(), "run `tapelog config --reference`");
    }

    #[test]
    fn a_setting_that_has_only_a_few_values_names_them() {
        let reference = reference().unwrap();
        let line = reference.lines().find(|line| line.contains("`log.format`")).unwrap();
        assert!(line.ends_with("One of `text`, `json`. |"), "{line}");
        assert!(line.contains("TAPELOG_LOG__FORMAT"), "{line}");
    }
}
