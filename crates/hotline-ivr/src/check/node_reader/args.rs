//! Arguments and returned values of flows that a node enters.

use super::NodeReader;
use crate::{
    Type,
    check::fields::Fields,
    expr::{Expr, Template},
    node::FlowCall,
};

impl<'a> NodeReader<'a> {
    pub(crate) fn check_args(
        &mut self,
        fields: &Fields<'a>,
        flow: &Template,
        args: &[(String, Expr)],
    ) {
        let call = FlowCall { flow: flow.clone(), args: args.to_vec() };
        let path = fields.spot.path.clone();
        self.flow.uses.borrow_mut().calls.push((call, fields.at, path));
        let Some(head) = flow.fixed().and_then(|it| self.flow.world.flows.get(it)) else { return };
        for (name, expr) in args {
            let wrong = |text: &str| fields.wrong("args", "E12", text, "对照该流程的 params");
            match head.params.iter().find(|it| it.name == *name) {
                None => wrong(&format!("该流程没有参数“{name}”")),
                Some(param) if param.of.ty() != expr.ty => wrong(&format!(
                    "参数“{name}”的类型是 {}，这里是 {}",
                    param.of.ty().name(),
                    expr.ty.name()
                )),
                Some(_) => (),
            }
        }
        for param in &head.params {
            if param.default.is_none() && !args.iter().any(|it| it.0 == param.name) {
                let text = format!("缺少参数“{}”", param.name);
                fields.wrong("args", "E12", &text, "在 args 中给出");
            }
        }
    }

    pub(crate) fn check_return(
        &self,
        call: Option<&FlowCall>,
        name: &str,
        into: &Type,
        fields: &Fields<'a>,
    ) {
        let head = call.and_then(|it| it.flow.fixed()).and_then(|it| self.flow.world.flows.get(it));
        let Some(head) = head else { return };
        match head.returns.iter().find(|it| it.0 == name) {
            None => {
                fields.wrong(name, "E12", &format!("该流程不返回“{name}”"), "对照该流程的 returns");
            }
            Some((_, ty)) if ty != into => {
                let text = format!("返回值的类型是 {}，变量是 {}", ty.name(), into.name());
                fields.wrong(name, "E12", &text, "改用同类型的变量");
            }
            Some(_) => (),
        }
    }

    /// A value of `return`.
    pub(crate) fn returned(&mut self, fields: &mut Fields<'a>, name: &str) -> Option<Expr> {
        let Some((_, ty)) = self.flow.returns.iter().find(|it| it.0 == name) else {
            fields.skip(name);
            fields.wrong(name, "E12", &format!("returns 中没有“{name}”"), "先在 returns 中声明");
            return None;
        };
        self.expr_in(fields, name, ty)
    }
}
