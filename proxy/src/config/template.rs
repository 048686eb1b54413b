//! `[templates.X]`: prompts with variables, which a call may name.

use super::{
    plugins::Plugins,
    written::{Located, Section},
};
use crate::plugin::Kind;

const SOURCE_BYTES_MAX: usize = 1 << 20;

/// One prompt template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The plugin that renders it.
    pub renderer: String,
    /// As it stands in the file: `${…}` is the renderer's to read, not ours.
    pub source: String,
    pub role: Role,
}

/// Whose words a rendered template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Goes before the call's messages.
    System,
    /// Goes after them.
    User,
}

pub(super) fn read(name: &Located<String>, section: Section<'_, '_>, plugins: &Plugins) -> Option<Template> {
    section.check_name(name);
    let renderer = section.text("renderer");
    if let Some(renderer) = &renderer {
        plugins.check(&section, renderer, Kind::Renderer);
    }
    let source = section.verbatim("source");
    match &source {
        None if !section.has("source") => section.missing("source"),
        Some(source) if source.value.len() > SOURCE_BYTES_MAX => {
            section.reading().fault(source, format!("must have at most {SOURCE_BYTES_MAX} bytes"));
        }
        _ => {}
    }
    let role = section.choice("role", &[("system", Role::System), ("user", Role::User)], Role::System);
    section.finish();
    Some(Template { renderer: renderer.map_or("braces".into(), |at| at.value), source: source?.value, role })
}
