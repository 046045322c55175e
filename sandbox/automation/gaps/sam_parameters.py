"""The SAM transform is given the values of the stack's parameters.

CloudFormation's macros receive them, resolved
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-macros-author.html, `templateParameterValues`),
and the transform puts them into what it resolves itself, such as the name of a layer.

ministack gives it none, so that the parameters' defaults end up there: one service's layer would bear another's name.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers
from samtranslator.translator import transform as translator

from sandbox.automation.patching import replace

_values: ContextVar[dict[str, str] | None] = ContextVar("values", default=None)


def apply() -> None:
    """Wrap the two functions, the outer of which knows the parameters and the inner of which wants them."""
    apply_transforms: Any = engine._apply_transforms
    transform: Any = None

    def with_parameters(template: dict[str, Any], provided: Any = None, previous: Any = None) -> Any:
        token = _values.set(_resolved(template, provided, previous))
        try:
            return apply_transforms(template, provided, previous)
        finally:
            _values.reset(token)

    def with_values(template: dict[str, Any], parameters: Mapping[str, str], *rest: Any, **more: Any) -> Any:
        return transform(template, {**parameters, **(_values.get() or {})}, *rest, **more)

    for module in (engine, changesets, handlers):
        replace(module, "_apply_transforms", "d3f0e05e08db", with_parameters)
    transform = replace(translator, "transform", "cd53e6d93351", with_values)


def _resolved(template: Mapping[str, Any], provided: Any, previous: Any) -> dict[str, str]:
    """The values, but those of parameters that name an SSM parameter: these are resolved later."""
    values: dict[str, str] = engine._transform_parameters(dict(template), provided, previous)
    declared = template.get("Parameters") or {}
    return {
        name: value
        for name, value in values.items()
        if not str((declared.get(name) or {}).get("Type", "")).startswith("AWS::SSM::")
    }
