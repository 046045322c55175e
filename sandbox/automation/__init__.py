"""The automation plane: ministack, with the gaps closed that the workflows would fall into.

`python -m sandbox.automation --config <dir>/config.json` serves CloudFormation, Lambda, Step Functions,
EventBridge, CloudWatch, DynamoDB, S3, SNS, SQS, SSM, KMS, IAM and STS on loopback, in memory, with IAM
enforced. `states/` runs JSONata state machines, `gaps/` corrects the rest, `endpoints.py` is what the
sandbox's other processes talk to.
"""
