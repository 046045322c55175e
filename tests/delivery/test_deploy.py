"""scripts/deploy.sh, end to end against a sandbox: real SAM, real Terraform but for AWS, real releases; and each failure."""


def test_it_deploys_everything(deployed):
    assert deployed.code == 0, deployed.output
    print(deployed.output)
