"""scripts/lint_terraform.py finds what TFLint's recommended rules would."""

import pytest

from scripts.lint_terraform import FOLDERS, findings

GOOD = """\
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.62"
    }
  }
}

variable "size" {
  description = "How large; see https://example.com."
  type        = string

  validation {
    condition     = var.size != ""
    error_message = "Some."
  }
}

data "aws_region" "here" {}

locals {
  name = "a-${var.size}" # a comment
}

resource "aws_s3_bucket" "main" {
  bucket = local.name
  region = data.aws_region.here.region
}

output "bucket" {
  description = "Its name."
  value       = aws_s3_bucket.main.bucket
}
"""


def rules(folder, text):
    (folder / "main.tf").write_text(text)
    return [finding.split(": ")[1] for finding in findings(folder)]


def test_the_platform_has_none():
    assert not [finding for folder in FOLDERS for finding in findings(folder)]


def test_a_good_one_has_none(tmp_path):
    assert rules(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ('"a-${var.size}"', '"a"', "terraform_unused_declarations"),
        ("local.name", '"a"', "terraform_unused_declarations"),
        ("data.aws_region.here.region", '"a"', "terraform_unused_declarations"),
        ('description = "How large; see https://example.com."', "", "terraform_documented_variables"),
        ('description = "Its name."', "", "terraform_documented_outputs"),
        ("  type        = string\n", "", "terraform_typed_variables"),
        ('"aws_s3_bucket" "main"', '"aws_s3_bucket" "Main-one"', "terraform_naming_convention"),
        ("# a comment", "// a comment", "terraform_comment_syntax"),
        ("  bucket = local.name", '  bucket = "${local.name}"', "terraform_deprecated_interpolation"),
        ('  required_version = ">= 1.11"\n', "", "terraform_required_version"),
        ('      version = "~> 6.62"\n', "", "terraform_required_providers"),
        (
            'output "bucket"',
            'module "m" {\n  source = "x/y/aws"\n}\n\noutput "bucket"',
            "terraform_module_pinned_source",
        ),
    ],
)
def test_each_rule_finds_what_breaks_it(tmp_path, old, new, rule):
    assert old in GOOD
    assert rule in rules(tmp_path, GOOD.replace(old, new))
