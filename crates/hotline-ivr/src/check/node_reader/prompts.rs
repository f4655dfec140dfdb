//! Prompts of a node, and rules about where a node may stand.

use std::collections::BTreeMap;

use hotline_base::{Key, PromptId};

use super::NodeReader;
use crate::{
    Type,
    check::{
        fields::{Fields, items_of, single_key},
        secret,
    },
    expr::Template,
    flow::{FlowKind, Thing},
    node::{Insert, MenuChoice, Prompt, PromptPart},
    raw::RawNode,
    speak::Spoken,
};

impl<'a> NodeReader<'a> {
    /// A prompt the engine itself knows; `n` below 2 means that it is never played.
    pub(crate) fn system_prompt(&self, id: &str, n: u32) -> Prompt {
        if n >= 2 && !self.flow.world.knows(Thing::Prompt, id) {
            let (code, text, advice) = self.flow.world.unknown(Thing::Prompt, id);
            self.fields.spot.complain(self.fields.at, code, &text, &advice);
        }
        Prompt::one(id)
    }

    /// The place in the queue needs two halves of a sentence and counts.
    pub(crate) fn uses_position(&self) {
        for id in ["queue.position.prefix", "queue.position.suffix", "num.one", "num.two"] {
            self.system_prompt(id, 2);
        }
    }

    /// 报工号 needs ten digits and a sentence.
    pub(crate) fn uses_agent_number(&self) {
        for digit in 0..10 {
            self.system_prompt(&format!("num.d{digit}"), 2);
        }
        self.system_prompt("agent.service", 2);
    }

    pub(crate) fn required_prompt(&mut self, key: &str) -> Option<Prompt> {
        self.fields.required(key)?;
        self.prompt(key)
    }

    pub(crate) fn prompt(&mut self, key: &str) -> Option<Prompt> {
        self.with_fields(|it, fields| it.prompt_in(fields, key))
    }

    pub(crate) fn prompt_in(&mut self, fields: &mut Fields<'a>, key: &str) -> Option<Prompt> {
        if fields.is_null(key) {
            return None;
        }
        let spot = fields.spot.under(key);
        let node = fields.take(key)?;
        let mut inserts = if key == "prompt" { self.inserts(fields) } else { BTreeMap::new() };
        let mut parts = Vec::new();
        for item in items_of(node) {
            if matches!(item, RawNode::Map { .. }) {
                let text = "没有语音合成，不能直接播放文字";
                spot.complain(item.at(), "E14", text, "录音并登记到语音目录，再写它的名称");
                continue;
            }
            let insert = item.text().and_then(|it| it.strip_prefix('{')?.strip_suffix('}'));
            let Some(name) = insert.filter(|it| !it.starts_with('{')) else {
                let template = self.named(item, &spot, Thing::Prompt)?;
                parts.push(match template.fixed() {
                    Some(id) => PromptPart::Fixed(PromptId::new(id)),
                    None => PromptPart::Computed(template),
                });
                continue;
            };
            if let Some(it) = inserts.remove(name) {
                parts.push(PromptPart::Insert(it));
            } else {
                let text = format!("args 中没有“{name}”");
                spot.complain(item.at(), "E12", &text, "在 args 中给出，每项用一次");
            }
        }
        for name in inserts.keys() {
            let text = format!("args 中的“{name}”没有用到");
            spot.complain(node.at(), "E12", &text, &format!("在 prompt 列表中写 \"{{{name}}}\""));
        }
        Some(Prompt { parts })
    }

    /// `args: {name: {digits: expr}}`.
    fn inserts(&mut self, fields: &mut Fields<'a>) -> BTreeMap<String, Insert> {
        let mut inserts = BTreeMap::new();
        let Some(mut args) = fields.map("args") else { return inserts };
        for name in args.keys() {
            let Some(mut one) = args.map(&name) else { continue };
            let insert = if one.has("number") {
                self.expr_in(&mut one, "number", &Type::Int)
                    .map(|value| Insert { how: Spoken::Number, value })
            } else {
                self.expr_in(&mut one, "digits", &Type::Str)
                    .map(|value| Insert { how: Spoken::Digits, value })
            };
            one.finish();
            if let Some(insert) = insert {
                inserts.insert(name, insert);
            }
        }
        args.finish();
        inserts
    }

    // Rules about where a node may stand, and advice

    pub(crate) fn only_after_agent(&self) {
        if !matches!(self.flow.kind, FlowKind::AfterAgent | FlowKind::MidCall) {
            let text = "评价节点只能放在 kind: after_agent 或 mid_call 的流程中";
            self.fields.wrong("type", "E21", text, "移到通话后流程，由 queue 的 after_agent 进入");
        }
    }

    pub(crate) fn not_with_agent(&self) {
        let text = match self.flow.kind {
            FlowKind::AfterAgent => "通话后流程中不能再排队",
            FlowKind::MidCall => "通话中流程不能排队：坐席在等来电人回来",
            FlowKind::Inbound | FlowKind::Subflow => return,
        };
        self.fields.wrong("type", "E21", text, "用 return 返回，由主流程决定去向");
    }

    /// A log line is read by many: no numbers of people in it.
    pub(crate) fn forbid_personal(&self, key: &str, template: &Template) {
        let (vars, session) = (self.flow.vars, self.flow.world.session.as_slice());
        if template.exprs().any(|it| secret::is_personal(it, vars, session)) {
            let text = "日志中不能有主叫号码或要求掩码的变量";
            self.fields.wrong(key, "E19", text, "去掉，或用 mask(…)");
        }
    }

    /// Length of a prompt in milliseconds, as far as it is known.
    fn length(&self, prompt: &Prompt) -> u32 {
        let length = |it| self.flow.world.prompts.get(it).copied().flatten().unwrap_or(0);
        prompt.fixed_ids().map(length).sum()
    }

    pub(crate) fn warn_long_unbreakable(&self, prompt: &Prompt, barge_in: bool) {
        let ms = self.length(prompt);
        if !barge_in && ms > 6_000 {
            let text = format!("不可打断的语音长 {:.1} 秒", f64::from(ms) / 1_000.0);
            self.fields.wrong("barge_in", "W05", &text, "缩短到 6 秒以内，或写 barge_in: dtmf");
        }
    }

    pub(crate) fn warn_options(
        &self,
        options: &[MenuChoice],
        repeat: Option<Key>,
        operator: Option<Key>,
    ) {
        if options.len() > 6 {
            let text = format!("菜单有 {} 个选项", options.len());
            self.fields.wrong("options", "W02", &text, "除人工键外不超过 6 个");
        }
        for option in options {
            let longer = options
                .iter()
                .find(|it| it.keys != option.keys && it.keys.starts_with(&option.keys));
            if let Some(longer) = longer {
                let text = format!("按键“{}”是“{}”的开头", option.keys, longer.keys);
                self.fields.wrong(
                    "options",
                    "W04",
                    &text,
                    "短的要等位间超时才生效，改用不同的按键",
                );
            }
            let key = single_key(&option.keys);
            if key.is_some() && (key == repeat || key == operator) {
                let text = format!("按键“{}”盖过了重听键或人工键", option.keys);
                self.fields.wrong("options", "W04", &text, "按惯例 0 是人工、* 是重听");
            }
        }
    }
}
