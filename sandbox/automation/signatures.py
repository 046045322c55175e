"""`POST /_sandbox/signature`: whether a Signature Version 4 was made with an access key's secret.

The secrets stay in this process: whoever has a signed request sends its string to sign and gets yes or no.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import functools
import hashlib
import hmac

from ministack.core import iam_evaluator, responses


def is_valid(access_key_id: str, session_token: str | None, scope: str, string_to_sign: str, signature: str) -> bool:
    """Whether `signature` is right for `string_to_sign`; `scope` is `<date>/<region>/<service>/aws4_request`.

    False also for a key that nobody has, or a session that is over or not this one.
    """
    credential = iam_evaluator.resolve_credential(access_key_id, responses.get_account_id(), session_token)
    if isinstance(credential, iam_evaluator.CredentialResolutionError):
        return False
    key = functools.reduce(_sign, scope.split("/"), f"AWS4{credential.secret_access_key}".encode())
    return hmac.compare_digest(_sign(key, string_to_sign).hex(), signature)


def _sign(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
