//! Adapters written by hand: a small core module, good in every respect that a test does not change, made a component
//! by the same encoder that plugin authors' toolchains use.
//!
//! Include it from a test binary with `#[path = "…/guests/guest.rs"]`. Needs no WebAssembly target.
#![allow(dead_code, reason = "each test binary that includes this uses some of it")]

use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../wit/tollgate.wit");
const ADAPTER: &str = "tollgate:plugin/adapter@0.1.0";

/// Where answers lie in a guest's memory, and where its allocator starts.
pub(crate) const IMAGE: u32 = 1024;
pub(crate) const HEAP: u32 = 32 << 10;

/// The parameters of `encode` and of the stream's constructor, as WAT.
const CONTEXT: &str = "(param $id i32) (param $id_len i32) (param $operation i32) (param $model i32) \
    (param $model_len i32) (param $streaming i32) (param $config i32) (param $config_len i32) (param $now i64) \
    (param $seed i64) (param $state i32) (param $state_at i32) (param $state_len i32)";

/// A guest. Its fields are the bodies of its functions, as WAT, each leaving an `i32`: the address of its answer.
pub(crate) struct Guest {
    /// What the component is of: `adapter` unless a test lies about it.
    pub(crate) wit: String,
    pub(crate) world: &'static str,
    /// Limits of its memory, in pages.
    pub(crate) memory: &'static str,
    /// Imported interfaces: `log`, `tokenize`, `sign`. As functions: `$log`, `$count`, `$sign`.
    pub(crate) imports: Vec<&'static str>,
    /// Anything else at the top level of the module.
    pub(crate) items: String,
    pub(crate) describe: String,
    /// Has `$request` and `$request_len`, and the fields of the context.
    pub(crate) encode: String,
    pub(crate) decode: String,
    pub(crate) classify: String,
    /// Leaves a handle.
    pub(crate) open: String,
    /// Has `$frames` and `$frames_len`.
    pub(crate) push: String,
    pub(crate) finish: String,
    /// After `encode`'s answer was read; leaves nothing.
    pub(crate) post: String,
    /// Has `$old`, `$old_len`, `$align` and `$len`.
    pub(crate) realloc: String,
    pub(crate) image: Image,
}

impl Guest {
    /// Answers everything: `encode` with `POST /v1/chat/completions` and `{"model":"m"}`, `decode` with `{"id":"a"}`,
    /// `classify` with a rate limit, each push with the text `hi`, and the end with `stop`.
    pub(crate) fn good() -> Guest {
        let mut image = Image::new();
        let describe = image.description("good", "1.0.0", "{}");
        let encode = image.request(&Request::default());
        let decode = image.answer(r#"{"id":"a"}"#);
        let classify = image.failure("slow down");
        let push = image.events(&[Image::text_event]);
        let finish = image.events(&[Image::stop_event]);
        let at = |address: u32| format!("i32.const {address}");
        Guest {
            wit: WIT.to_owned(),
            world: "provider-adapter",
            memory: "2",
            imports: vec![],
            items: String::new(),
            describe: at(describe),
            encode: at(encode),
            decode: at(decode),
            classify: at(classify),
            open: "(call $new (i32.const 1))".to_owned(),
            push: at(push),
            finish: at(finish),
            post: String::new(),
            realloc: "(call $allocate (local.get $align) (local.get $len))".to_owned(),
            image,
        }
    }

    /// Good, except that `encode` does this.
    pub(crate) fn encoding(body: impl Into<String>) -> Guest {
        Guest { encode: body.into(), ..Guest::good() }
    }

    /// Good, except that `encode` asks for this.
    pub(crate) fn requesting(request: &Request<'_>) -> Guest {
        let mut guest = Guest::good();
        let address = guest.image.request(request);
        guest.encode = format!("i32.const {address}");
        guest
    }

    /// Good, except that each push does this.
    pub(crate) fn pushing(body: impl Into<String>) -> Guest {
        Guest { push: body.into(), ..Guest::good() }
    }

    /// The core module, as text.
    pub(crate) fn module(&self) -> String {
        let mut text = String::from("(module\n");
        for import in &self.imports {
            text.push_str(match *import {
                "log" => r#"(import "tollgate:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#,
                "tokenize" => {
                    r#"(import "tollgate:plugin/tokenize@0.1.0" "count" (func $count (param i32 i32 i32 i32 i32)))"#
                }
                "sign" => {
                    r#"(import "tollgate:plugin/sign@0.1.0" "hmac-sha256" (func $sign (param i32 i32 i32 i32 i32)))"#
                }
                other => other,
            });
        }
        let Guest { memory, items, describe, encode, decode, classify, open, push, finish, post, realloc, .. } = self;
        let image = self.image.as_wat();
        write!(
            text,
            r#"
(import "[export]{ADAPTER}" "[resource-new]stream" (func $new (param i32) (result i32)))
(memory (export "memory") {memory})
(global $heap (mut i32) (i32.const {HEAP}))
(data (i32.const {IMAGE}) "{image}")
(func $allocate (param $align i32) (param $len i32) (result i32) (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
  (global.set $heap (i32.add (local.get $at) (local.get $len)))
  (block $fits
    (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
    (br_if $fits (i32.ne (i32.const -1) (memory.grow (i32.add (i32.const 1)
      (i32.shr_u (i32.sub (global.get $heap) (i32.mul (memory.size) (i32.const 65536))) (i32.const 16))))))
    (unreachable))
  (local.get $at))
(func (export "cabi_realloc") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32)
  {realloc})
(func (export "{ADAPTER}#describe") (result i32) {describe})
(func (export "{ADAPTER}#encode") {CONTEXT} (param $request i32) (param $request_len i32) (result i32) {encode})
(func (export "cabi_post_{ADAPTER}#encode") (param i32) {post})
(func (export "{ADAPTER}#decode") (param $reply i32) (result i32) {decode})
(func (export "{ADAPTER}#classify") (param $reply i32) (result i32) {classify})
(func (export "{ADAPTER}#[constructor]stream") {CONTEXT} (result i32) {open})
(func (export "{ADAPTER}#[method]stream.push") (param $self i32) (param $frames i32) (param $frames_len i32)
  (result i32) {push})
(func (export "{ADAPTER}#[method]stream.finish") (param $self i32) (result i32) {finish})
{items})"#
        )
        .expect("a string takes all that is written to it");
        text
    }

    /// The component.
    pub(crate) fn component(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.module()).unwrap_or_else(|error| panic!("{error}"));
        let mut resolve = Resolve::default();
        let package = resolve.push_str("tollgate.wit", &self.wit).expect("the contract parses");
        let world = resolve.select_world(&[package], Some(self.world)).expect("the contract has this world");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the module parses");
        let encoder = ComponentEncoder::default().module(&module).expect("the module fits its world");
        // What a test breaks on purpose is for the host to find.
        encoder.validate(false).encode().unwrap_or_else(|error| panic!("{error:#}"))
    }
}

/// What a guest's `encode` asks for.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a str,
    /// In the order of the contract: 0 is none, 1 is bearer.
    pub(crate) auth: u8,
    /// In the order of the contract: whole, server-sent events, a document a line, an array, frames of AWS.
    pub(crate) framing: u8,
}

impl Default for Request<'_> {
    fn default() -> Self {
        let (method, path, body) = ("POST", "/v1/chat/completions", r#"{"model":"m"}"#);
        Request { method, path, headers: vec![], body, auth: 1, framing: 1 }
    }
}

/// The part of a guest's memory that is there from the beginning: its answers, as the canonical ABI lays them out.
pub(crate) struct Image(Vec<u8>);

impl Image {
    pub(crate) fn new() -> Image {
        Image(Vec::new())
    }

    fn place(&mut self, bytes: &[u8]) -> u32 {
        while !self.0.len().is_multiple_of(8) {
            self.0.push(0);
        }
        let address = IMAGE + u32::try_from(self.0.len()).expect("images are small");
        self.0.extend_from_slice(bytes);
        assert!(IMAGE as usize + self.0.len() <= HEAP as usize, "the image runs into the heap");
        address
    }

    /// Pointer and length of a text.
    pub(crate) fn text(&mut self, text: &str) -> [u8; 8] {
        pair(self.place(text.as_bytes()), text.len())
    }

    pub(crate) fn description(&mut self, name: &str, version: &str, schema: &str) -> u32 {
        let operations = pair(self.place(&[0]), 1);
        let record = [self.text(name), self.text(version), operations, [0; 8], self.text(schema)].concat();
        // The view takes four bytes, not eight.
        self.place(&[&record[..28], &record[32..]].concat())
    }

    pub(crate) fn request(&mut self, request: &Request<'_>) -> u32 {
        let headers: Vec<u8> =
            request.headers.iter().flat_map(|(name, value)| [self.text(name), self.text(value)].concat()).collect();
        let headers = pair(self.place(&headers), request.headers.len());
        let mut record = [0; 80];
        record[8..16].copy_from_slice(&self.text(request.method));
        record[16..24].copy_from_slice(&self.text(request.path));
        record[24..32].copy_from_slice(&headers);
        record[32] = 1;
        record[36..44].copy_from_slice(&self.text(request.body));
        record[44] = request.auth;
        record[64] = request.framing;
        self.place(&record)
    }

    pub(crate) fn answer(&mut self, body: &str) -> u32 {
        let mut record = [0; 64];
        record[8..16].copy_from_slice(&self.text(body));
        self.place(&record)
    }

    /// A rate limit.
    pub(crate) fn failure(&mut self, message: &str) -> u32 {
        let mut record = [0; 56];
        record[..3].copy_from_slice(&[5, 1, 1]);
        record[48..].copy_from_slice(&self.text(message));
        self.place(&record)
    }

    /// An answer to a push: a list of the events that these place.
    pub(crate) fn events(&mut self, events: &[fn(&mut Image) -> [u8; 64]]) -> u32 {
        let list: Vec<u8> = events.iter().flat_map(|event| event(self)).collect();
        let list = pair(self.place(&list), events.len());
        let mut record = [0; 64];
        record[8..16].copy_from_slice(&list);
        self.place(&record)
    }

    /// The first frame of the push, as it is.
    pub(crate) fn forward_event(&mut self) -> [u8; 64] {
        [0; 64]
    }

    pub(crate) fn text_event(&mut self) -> [u8; 64] {
        let mut event = [0; 64];
        event[0] = 1;
        event[8..16].copy_from_slice(&self.text("hi"));
        event
    }

    pub(crate) fn stop_event(&mut self) -> [u8; 64] {
        let mut event = [0; 64];
        event[0] = 6;
        event
    }

    fn as_wat(&self) -> String {
        self.0.iter().map(|byte| format!("\\{byte:02x}")).collect()
    }
}

fn pair(address: u32, length: usize) -> [u8; 8] {
    let length = u32::try_from(length).expect("images are small");
    let mut pair = [0; 8];
    pair[..4].copy_from_slice(&address.to_le_bytes());
    pair[4..].copy_from_slice(&length.to_le_bytes());
    pair
}
