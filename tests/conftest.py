"""What holds for every test: nothing reaches, or depends on, the AWS account of whoever runs it."""

import os

# At import, before any test module makes a client: a profile, an endpoint or a session of the caller's shell
# (`eval "$(ops sandbox env)"` included) must not decide where a test's calls go.
for _name in tuple(os.environ):
    if _name.startswith(("AWS_", "OPS_")):
        del os.environ[_name]
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
# moto's EC2 would make a thousand images anew for every test.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
