//! A request, written.

use alloc::string::String;

use tollgate_plugin::{
    Failure,
    json::{DEPTH_MAX, Value, Writer},
};

use super::{
    Block, BlockKind, Body, OutputConfig, Role, Source, Thinking, Tool, ToolChoice, ToolChoiceKind, ToolContent,
};
use crate::names;

impl Body<'_> {
    /// The request as JSON; `bytes` is about how long it will be.
    ///
    /// # Errors
    /// Where what the client nested nests too deep with what stands around it here.
    pub(crate) fn to_json(&self, bytes: usize) -> Result<String, Failure> {
        let mut writer = Writer::with_capacity(bytes);
        writer.object(|w| {
            w.key("model").string(self.model);
            w.key("max_tokens").number(self.max_tokens);
            if self.stream {
                w.key("stream").bool(true);
            }
            if !self.system.is_empty() {
                w.key("system").array(|w| blocks(w, &self.system));
            }
            self.messages(w.key("messages"));
            self.tools(w);
            if !self.stop_sequences.is_empty() {
                w.key("stop_sequences").array(|w| self.stop_sequences.iter().for_each(|text| w.string(text)));
            }
            self.options(w);
            for (name, value) in &self.native {
                w.key(name).value(value);
            }
        });
        if writer.depth() > DEPTH_MAX {
            return Err(Failure::invalid("messages", "A part of a message is nested too deep."));
        }
        Ok(writer.finish())
    }

    fn messages(&self, w: &mut Writer) {
        w.array(|w| {
            for turn in &self.turns {
                w.object(|w| {
                    w.key("role").string(match turn.role {
                        Role::User => "user",
                        Role::Assistant => "assistant",
                    });
                    w.key("content").array(|w| {
                        blocks(w, &turn.results);
                        blocks(w, &turn.blocks);
                    });
                });
            }
        });
    }

    fn tools(&self, w: &mut Writer) {
        if !self.tools.is_empty() {
            w.key("tools").array(|w| self.tools.iter().for_each(|it| tool(w, it)));
        }
        if let Some(choice) = &self.tool_choice {
            tool_choice(w.key("tool_choice"), choice);
        }
    }

    fn options(&self, w: &mut Writer) {
        let sampling = &self.sampling;
        for (name, digits) in
            [("temperature", sampling.temperature), ("top_p", sampling.top_p), ("top_k", sampling.top_k)]
        {
            if let Some(digits) = digits {
                w.key(name).raw(digits);
            }
        }
        if let Some(user) = &self.user_id {
            w.key("metadata").object(|w| w.key("user_id").string(user));
        }
        if let Some(tier) = self.service_tier {
            w.key("service_tier").string(tier);
        }
        thinking(w, &self.thinking);
        output_config(w, &self.output);
    }
}

fn blocks(w: &mut Writer, blocks: &[Block<'_>]) {
    for it in blocks {
        block(w, it);
    }
}

fn block(w: &mut Writer, block: &Block<'_>) {
    if let BlockKind::Native(value) = block.kind {
        return w.value(value);
    }
    w.object(|w| {
        match &block.kind {
            BlockKind::Text(text) => {
                w.key("type").string("text");
                w.key("text").string(text);
            }
            BlockKind::Image(of) => {
                w.key("type").string("image");
                source(w.key("source"), of);
            }
            BlockKind::Document(of) => {
                w.key("type").string("document");
                source(w.key("source"), of);
            }
            BlockKind::ToolUse { id, name, input } => {
                w.key("type").string("tool_use");
                w.key("id").string(id);
                w.key("name").string(&names::of_tool(name));
                w.key("input").raw(input);
            }
            BlockKind::ToolResult { id, content, is_error } => tool_result(w, id, content, *is_error),
            BlockKind::Thinking { text, signature } => {
                w.key("type").string("thinking");
                w.key("thinking").string(text);
                w.key("signature").string(signature);
            }
            BlockKind::Redacted(data) => {
                w.key("type").string("redacted_thinking");
                w.key("data").string(data);
            }
            BlockKind::Native(_) => {}
        }
        cache_control(w, block.cache_control);
    });
}

fn tool_result(w: &mut Writer, id: &str, content: &ToolContent<'_>, is_error: bool) {
    w.key("type").string("tool_result");
    w.key("tool_use_id").string(id);
    match content {
        ToolContent::Nothing => {}
        ToolContent::Text(text) => w.key("content").string(text),
        ToolContent::Blocks(inner) => w.key("content").array(|w| blocks(w, inner)),
    }
    if is_error {
        w.key("is_error").bool(true);
    }
}

fn source(w: &mut Writer, source: &Source<'_>) {
    w.object(|w| match source {
        Source::Base64 { media_type, data } => {
            w.key("type").string("base64");
            w.key("media_type").string(media_type);
            w.key("data").string(data);
        }
        Source::Url(url) => {
            w.key("type").string("url");
            w.key("url").string(url);
        }
        Source::Text(text) => {
            w.key("type").string("text");
            w.key("media_type").string("text/plain");
            w.key("data").string(text);
        }
    });
}

fn cache_control(w: &mut Writer, value: Option<&Value<'_>>) {
    if let Some(value) = value {
        w.key("cache_control").value(value);
    }
}

fn tool(w: &mut Writer, tool: &Tool<'_>) {
    match tool {
        Tool::Native(value) => w.value(value),
        Tool::Function { name, description, schema, strict, cache_control: cache } => w.object(|w| {
            w.key("name").string(&names::of_tool(name));
            if let Some(description) = description {
                w.key("description").string(description);
            }
            w.key("input_schema").raw(schema);
            if *strict {
                w.key("strict").bool(true);
            }
            cache_control(w, *cache);
        }),
    }
}

fn tool_choice(w: &mut Writer, choice: &ToolChoice<'_>) {
    w.object(|w| {
        w.key("type").string(match choice.kind {
            ToolChoiceKind::None => "none",
            ToolChoiceKind::Auto => "auto",
            ToolChoiceKind::Any => "any",
            ToolChoiceKind::Tool(_) => "tool",
        });
        if let ToolChoiceKind::Tool(name) = choice.kind {
            w.key("name").string(&names::of_tool(name));
        }
        if choice.one_at_a_time && choice.kind != ToolChoiceKind::None {
            w.key("disable_parallel_tool_use").bool(true);
        }
    });
}

fn thinking(w: &mut Writer, thinking: &Thinking<'_>) {
    let (kind, tokens, display) = match *thinking {
        Thinking::Unsaid => return,
        Thinking::Native(value) => return w.key("thinking").value(value),
        Thinking::Disabled => ("disabled", None, None),
        Thinking::Budget { tokens, display } => ("enabled", Some(tokens), display),
        Thinking::Adaptive { display } => ("adaptive", None, display),
    };
    w.key("thinking").object(|w| {
        w.key("type").string(kind);
        if let Some(tokens) = tokens {
            w.key("budget_tokens").number(tokens);
        }
        if let Some(display) = display {
            w.key("display").string(display);
        }
    });
}

fn output_config(w: &mut Writer, output: &OutputConfig<'_>) {
    let native = output.native.and_then(Value::as_object);
    if native.is_none() && output.effort.is_none() && output.schema.is_none() {
        return;
    }
    w.key("output_config").object(|w| {
        for (name, value) in native.into_iter().flat_map(|object| object.iter()) {
            let replaced =
                (name == "effort" && output.effort.is_some()) || (name == "format" && output.schema.is_some());
            if !replaced {
                w.key(name).value(value);
            }
        }
        if let Some(effort) = output.effort {
            w.key("effort").string(effort);
        }
        if let Some(schema) = &output.schema {
            w.key("format").object(|w| {
                w.key("type").string("json_schema");
                w.key("schema").raw(schema);
            });
        }
    });
}
