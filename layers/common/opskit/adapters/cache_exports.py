"""The dumps of caches that were exported to S3, read through for the checksums that a restore is compared with."""

from datetime import datetime

from opskit.adapters.objects import Objects
from opskit.decisions.taking import Part, Phase
from opskit.errors import NotFoundError


def verify_exports(part: Part, bucket: Objects, now: datetime) -> Part:
    """The part VERIFIED, with size and SHA-256 of each of its objects, or FAILED; one that is not EXPORTED as it is.

    Objects are read in pieces, so a large one takes time and no memory. Raises botocore's errors.
    """
    if part.phase is not Phase.EXPORTED:
        return part
    exports = []
    for listed in part.exports:
        try:
            read = bucket.stream(listed["key"])
        except NotFoundError as error:
            return part.moved(Phase.FAILED, now, str(error))
        if not read.bytes:
            return part.moved(Phase.FAILED, now, f"{listed['key']} is empty")
        exports.append({"key": listed["key"], "bytes": read.bytes, "sha256": read.sha256})
    return part.moved(Phase.VERIFIED, now, part.reason, exports=tuple(exports))
