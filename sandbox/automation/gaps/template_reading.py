"""Templates are read with libyaml.

ministack reads them with PyYAML's own parser, which takes seconds for one of thousands of lines, and twice for each
deployment. What is constructed is the same: its constructors are kept.
"""

import yaml
from ministack.services.cloudformation import engine

from sandbox.automation.patching import expect


def apply() -> None:
    """Let templates be read by a loader with ministack's constructors and libyaml's parser."""
    expect(engine, "_parse_template", "3accea2c0e11")

    class Loader(yaml.CSafeLoader):
        yaml_constructors = engine.CfnLoader.yaml_constructors
        yaml_multi_constructors = engine.CfnLoader.yaml_multi_constructors

    engine.CfnLoader = Loader
