// Every plugin that comes with the gateway: its kind, and its name, which is its crate's folder here and its
// component's file in `prebuilt`. Read by the gateway, by the tests and by `plugins/build`; nothing else lists them.
builtins![
    adapter "openai",
    adapter "anthropic",
    renderer "braces",
]
