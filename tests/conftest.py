"""What holds for all tests."""

import os

# moto's EC2 would make a thousand images anew for every test.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
