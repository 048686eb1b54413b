//! Tools and the choice among them.

use alloc::{borrow::Cow, string::String, vec::Vec};

use tollgate_plugin::{
    Failure,
    json::{Value, Writer},
};

use super::schema::{self, Told};
use crate::{
    models::Model,
    names::Numbered,
    wire::{Tool, ToolChoice, ToolChoiceKind},
};

pub(super) struct Tools<'a> {
    pub(super) list: Vec<Tool<'a>>,
    pub(super) choice: Option<ToolChoice<'a>>,
    /// The client speaks the older `functions`.
    pub(super) legacy: bool,
}

/// Tools that a request may declare.
const TOOLS_MAX: usize = 4096;

impl<'a> Tools<'a> {
    /// `called` are the tools in the history, which the provider wants declared even if they are no longer offered.
    pub(super) fn of(
        asked: &'a Value<'a>,
        model: &Model,
        called: &[&'a str],
        told: &mut Told,
    ) -> Result<Self, Failure> {
        let listed = asked.get("tools").and_then(Value::as_array).unwrap_or_default();
        let functions = asked.get("functions").and_then(Value::as_array).unwrap_or_default();
        if listed.len() + functions.len() > TOOLS_MAX {
            return Err(Failure::invalid("tools", "The request declares more tools than a model may have."));
        }
        let mut list = Vec::with_capacity(listed.len() + functions.len());
        for (index, tool) in listed.iter().enumerate() {
            list.push(declared(tool, index, model, told)?);
        }
        for (index, function) in functions.iter().enumerate() {
            list.push(function_tool(function, None, model, &path("functions", index), told)?);
        }
        let legacy = listed.is_empty() && !functions.is_empty();
        if list.is_empty() {
            return Ok(Self::only_called(called));
        }
        let wish = if legacy { asked.get("function_call") } else { asked.get("tool_choice") };
        let mut choice = wish.map(|wish| chosen(wish, &mut list)).transpose()?.flatten();
        if asked.get("parallel_tool_calls").and_then(Value::as_bool) == Some(false) || legacy {
            let kind = choice.map_or(ToolChoiceKind::Auto, |choice| choice.kind);
            choice = Some(ToolChoice { kind, one_at_a_time: true });
        }
        Ok(Self { list, choice, legacy })
    }

    fn only_called(called: &[&'a str]) -> Self {
        let declare = |name: &&'a str| Tool::Function {
            name,
            description: None,
            schema: schema::NO_PARAMETERS.into(),
            strict: false,
            cache_control: None,
        };
        let choice = ToolChoice { kind: ToolChoiceKind::None, one_at_a_time: false };
        Self {
            list: called.iter().map(declare).collect(),
            choice: (!called.is_empty()).then_some(choice),
            legacy: false,
        }
    }

    /// A tool that must be called, if there is one.
    pub(super) fn add(&mut self, forced: Option<Tool<'a>>) {
        if let Some(tool) = forced {
            self.list.push(tool);
            let kind = ToolChoiceKind::Tool(crate::state::JSON_TOOL);
            self.choice = Some(ToolChoice { kind, one_at_a_time: true });
        }
    }

    /// For a model that may not be made to call a tool: some never, all others not while they think by budget.
    pub(super) fn force_nothing(&mut self) {
        if let Some(choice) = &mut self.choice
            && matches!(choice.kind, ToolChoiceKind::Any | ToolChoiceKind::Tool(_))
        {
            choice.kind = ToolChoiceKind::Auto;
        }
    }
}

fn declared<'a>(tool: &'a Value<'a>, index: usize, model: &Model, told: &mut Told) -> Result<Tool<'a>, Failure> {
    match tool.text("type") {
        Some("custom") if tool.get("input_schema").is_none() => {
            Err(Failure::unsupported(path("tools", index), "The provider has no custom tools."))
        }
        Some("function") | None if tool.get("input_schema").is_none() => match tool.get("function") {
            Some(function) => {
                let mut at = path("tools", index);
                at.push_str(".function");
                function_tool(function, tool.get("cache_control"), model, &at, told)
            }
            None => Err(Failure::invalid(path("tools", index), "The tool must have a function.")),
        },
        _ => Ok(Tool::Native(tool)),
    }
}

/// `at` is where in the request it stands.
fn function_tool<'a>(
    function: &'a Value<'a>,
    cache_control: Option<&'a Value<'a>>,
    model: &Model,
    at: &str,
    told: &mut Told,
) -> Result<Tool<'a>, Failure> {
    let invalid = |field: &str, message: &str| {
        let mut param = String::from(at);
        param.push_str(field);
        Failure::invalid(param, message)
    };
    let Some(name) = function.text("name").filter(|name| !name.is_empty()) else {
        return Err(invalid(".name", "A function must have a name."));
    };
    let strict = model.structured && function.get("strict").and_then(Value::as_bool) == Some(true);
    let schema = schema::input(function.get("parameters"), told)
        .and_then(|schema| if strict { schema::structured_text(schema, told) } else { Ok(schema) })
        .map_err(|sentence| invalid(".parameters", sentence))?;
    Ok(Tool::Function {
        name,
        description: function.text("description").filter(|description| !description.is_empty()),
        schema,
        strict,
        cache_control: cache_control.or(function.get("cache_control")),
    })
}

/// The client's choice, in any of the forms that are about; it may also narrow the list.
fn chosen<'a>(wish: &'a Value<'a>, list: &mut Vec<Tool<'a>>) -> Result<Option<ToolChoice<'a>>, Failure> {
    let by_name = |name: &str| match name {
        "none" => Some(ToolChoiceKind::None),
        "auto" => Some(ToolChoiceKind::Auto),
        "required" | "any" => Some(ToolChoiceKind::Any),
        _ => None,
    };
    let one_at_a_time = wish.get("disable_parallel_tool_use").and_then(Value::as_bool) == Some(true);
    let kind = match wish.text("type") {
        None => match wish.as_str() {
            Some(name) => by_name(name),
            None => wish.text("name").map(ToolChoiceKind::Tool),
        },
        Some("function") => wish.get("function").and_then(|function| function.text("name")).map(ToolChoiceKind::Tool),
        Some("tool") => wish.text("name").map(ToolChoiceKind::Tool),
        Some("allowed_tools") => {
            let allowed = wish.get("allowed_tools").unwrap_or(wish);
            narrow(list, allowed);
            by_name(allowed.text("mode").unwrap_or("auto"))
        }
        Some(name) => by_name(name),
    };
    match kind {
        Some(kind) => Ok(Some(ToolChoice { kind, one_at_a_time })),
        None => Err(Failure::unsupported("tool_choice", "The provider does not know this choice of tools.")),
    }
}

/// Leaves the tools that `allowed` names, unless that would leave none.
fn narrow(list: &mut Vec<Tool<'_>>, allowed: &Value<'_>) {
    let mut names = Numbered::new();
    for tool in allowed.get("tools").and_then(Value::as_array).unwrap_or_default() {
        if let Some(name) = tool.get("function").unwrap_or(tool).text("name") {
            names.insert(Cow::Borrowed(name), 0);
        }
    }
    let named = |tool: &Tool<'_>| tool.name().is_some_and(|name| names.contains_key(name));
    if list.iter().any(named) {
        list.retain(named);
    }
}

/// `tools[3]`
fn path(list: &str, index: usize) -> String {
    let mut number = Writer::new();
    number.number(index as u64);
    let mut path = String::from(list);
    path.push('[');
    path.push_str(&number.finish());
    path.push(']');
    path
}
