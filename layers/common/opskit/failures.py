"""The failures of AWS, named."""

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004

from opskit.errors import ThrottledError, UnavailableError

# What AWS answers when it wants to be asked more slowly; the codes that botocore's standard mode retries:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)

# S3's 409s: another request for the same key or bucket was under way; the same request may succeed later:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
_CONFLICTS = frozenset({"ConditionalRequestConflict", "OperationAborted"})


def named_failure(error: Exception) -> Exception:
    """AWS's passing failures under one name each, so that a state machine can tell them from defects."""
    if isinstance(error, ConnectionError | HTTPClientError):
        return UnavailableError(str(error))
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        if code in _THROTTLING:
            return ThrottledError(str(error))
        if code in _CONFLICTS or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            return UnavailableError(str(error))
    return error
