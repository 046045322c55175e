"""The ledger's DynamoDB table: plain Python values in and out, conditional writes that answer yes or no.

Values are str, bool, int, float, bytes, None, and lists and dicts of these. At the top of an item None and
*absent* are the same thing. A condition is a dict: each attribute must equal its value, or be absent where
the value is None.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from opskit import clients
from opskit.clock import Clock
from opskit.errors import UnavailableError

if TYPE_CHECKING:
    from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

Item = dict[str, Any]

_CONDITION_FAILED = "ConditionalCheckFailed"
_CONFLICT = "TransactionConflict"
_TRANSACTION_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Write:
    """Part of a transaction: puts `item` at `sk` if `condition` holds; only checks where `item` is None."""

    sk: str
    item: Item | None
    condition: Item


@dataclass(frozen=True, slots=True)
class Change:
    """Part of a transaction: changes the item at `sk` if `condition` holds; `append` adds to the ends of lists."""

    sk: str
    condition: Item
    changes: Item
    append: Mapping[str, Sequence[Item]]


class Table:
    """One partition of the table: all that belongs to one service in one environment."""

    def __init__(self, name: str, service: str, environment: str, client: "DynamoDBClient | None" = None) -> None:
        self.name = name
        self.partition = f"{service}#{environment}"
        self._given = client

    @cached_property
    def client(self) -> "DynamoDBClient":
        """The client given, or the process's own."""
        return self._given or cast("DynamoDBClient", clients.client("dynamodb"))

    def get(self, sk: str) -> Item | None:
        """The item as it is now (strongly consistent), without its keys."""
        answer = self.client.get_item(TableName=self.name, Key=self._key(sk), ConsistentRead=True)
        return self._load(answer["Item"]) if "Item" in answer else None

    def newest(self, prefix: str, limit: int | None = None) -> Iterator[Item]:
        """The items whose sort key begins with `prefix`, from the last sort key down; at most `limit`."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": {"S": self.partition}, ":prefix": {"S": prefix}},
            ScanIndexForward=False,
            ConsistentRead=True,
            PaginationConfig={"MaxItems": limit, "PageSize": limit} if limit else {},
        )
        return (self._load(item) for page in pages for item in page["Items"])

    def put(self, sk: str, item: Item, condition: Item) -> bool:
        """Replace the item if `condition` holds; atomic. False if it does not hold."""
        expression = _Expression(self)
        return self._conditional(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=self._dump(sk, item),
                **expression.condition(condition).arguments(),
            )
        )

    def update(
        self,
        sk: str,
        condition: Item,
        *,
        changes: Item | None = None,
        append: Mapping[str, Sequence[Item]] | None = None,
        shorter: Mapping[str, int] | None = None,
        add: Mapping[str, int] | None = None,
    ) -> bool:
        """Change attributes if `condition` holds and each list in `shorter` has fewer entries; atomic.

        `changes` sets attributes (None removes), `append` adds to the ends of lists, `add` to numbers.
        False if the condition does not hold.
        """
        expression = _Expression(self).update(changes or {}, append or {}, add or {})
        expression.condition(condition, shorter or {})
        return self._conditional(
            lambda: self.client.update_item(TableName=self.name, Key=self._key(sk), **expression.arguments())
        )

    def update_or_found(self, sk: str, condition: Item, *, changes: Item) -> tuple[bool, Item | None]:
        """Like `update`, and if the condition does not hold, the item that it failed on (None: there is none).

        The item comes with the refusal, so that it is the one that was judged, and no right to read is needed.
        """
        expression = _Expression(self).update(changes, {}, {}).condition(condition)
        try:
            self.client.update_item(
                TableName=self.name,
                Key=self._key(sk),
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **expression.arguments(),
            )
        except self.client.exceptions.ConditionalCheckFailedException as refused:
            found = cast("Item | None", refused.response.get("Item"))
            return False, self._load(found) if found else None
        return True, None

    def transact(self, writes: Sequence[Write | Change]) -> tuple[int, ...]:
        """All of `writes` or none; atomic. The positions of the conditions that failed; empty if written.

        A clash with another write of the same item (TransactionConflict) is tried again here, since botocore
        does not: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
        """
        items = [self._transaction_item(write) for write in writes]
        for attempt in range(1, _TRANSACTION_ATTEMPTS + 1):
            try:
                self.client.transact_write_items(TransactItems=items)
            except self.client.exceptions.TransactionCanceledException as error:
                codes = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                failed = tuple(place for place, code in enumerate(codes) if code == _CONDITION_FAILED)
                if failed:
                    return failed
                if _CONFLICT not in codes:
                    raise
                if attempt == _TRANSACTION_ATTEMPTS:
                    raise UnavailableError(f"others kept writing to {self.name}: {error}") from error
            else:
                break
        return ()

    def _conditional(self, write: Any) -> bool:
        try:
            write()
        except self.client.exceptions.ConditionalCheckFailedException:
            return False
        return True

    def _transaction_item(self, write: Write | Change) -> "TransactWriteItemTypeDef":
        if isinstance(write, Change):
            expression = _Expression(self).update(write.changes, write.append, {}).condition(write.condition)
            change = {"TableName": self.name, "Key": self._key(write.sk)} | expression.arguments()
            return cast("TransactWriteItemTypeDef", {"Update": change})
        arguments = {"TableName": self.name} | _Expression(self).condition(write.condition).arguments()
        if write.item is None:
            return cast("TransactWriteItemTypeDef", {"ConditionCheck": arguments | {"Key": self._key(write.sk)}})
        return cast("TransactWriteItemTypeDef", {"Put": arguments | {"Item": self._dump(write.sk, write.item)}})

    def _key(self, sk: str) -> Any:
        return {"pk": {"S": self.partition}, "sk": {"S": sk}}

    def _dump(self, sk: str, item: Item) -> Any:
        return {name: self.dump(value) for name, value in item.items() if value is not None} | self._key(sk)

    def _load(self, item: Mapping[str, Any]) -> Item:
        return {
            name: _plain(self._deserializer.deserialize(value))
            for name, value in item.items()
            if name not in ("pk", "sk")
        }

    def dump(self, value: Any) -> Any:
        """`value` as DynamoDB writes it; raises TypeError or ValueError for what has no such form."""
        return self._serializer.serialize(_decimal(value))

    @cached_property
    def _serializer(self) -> "TypeSerializer":
        from boto3.dynamodb.types import TypeSerializer  # noqa: PLC0415 - see opskit.clients

        return TypeSerializer()

    @cached_property
    def _deserializer(self) -> "TypeDeserializer":
        from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 - see opskit.clients

        return TypeDeserializer()


class Section:
    """A part of the ledger: the table and the clock that its methods share."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock


class _Expression:
    """DynamoDB expressions with every name and value behind a placeholder, so that no reserved word hurts."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}
        self._texts: dict[str, str] = {}

    def condition(self, equal: Item, shorter: Mapping[str, int] | None = None) -> "_Expression":
        terms = [
            f"attribute_not_exists({self._name(name)})"
            if value is None
            else f"{self._name(name)} = {self._value(value)}"
            for name, value in equal.items()
        ]
        terms += [f"size({self._name(name)}) < {self._value(size)}" for name, size in (shorter or {}).items()]
        if terms:
            self._texts["ConditionExpression"] = " AND ".join(terms)
        return self

    def update(self, changes: Item, append: Mapping[str, Sequence[Item]], add: Mapping[str, int]) -> "_Expression":
        sets = [f"{self._name(name)} = {self._value(value)}" for name, value in changes.items() if value is not None]
        sets += [
            f"{self._name(name)} = list_append({self._name(name)}, {self._value(list(items))})"
            for name, items in append.items()
        ]
        removes = [self._name(name) for name, value in changes.items() if value is None]
        adds = [f"{self._name(name)} {self._value(number)}" for name, number in add.items()]
        clauses = (("SET", sets), ("REMOVE", removes), ("ADD", adds))
        self._texts["UpdateExpression"] = " ".join(f"{verb} {', '.join(terms)}" for verb, terms in clauses if terms)
        return self

    def arguments(self) -> dict[str, Any]:
        maps = {"ExpressionAttributeNames": self._names, "ExpressionAttributeValues": self._values}
        return self._texts | {name: content for name, content in maps.items() if content}

    def _name(self, attribute: str) -> str:
        self._names[f"#{attribute}"] = attribute
        return f"#{attribute}"

    def _value(self, value: Any) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = self._table.dump(value)
        return placeholder


def _decimal(value: Any) -> Any:
    """`value` with every float as a Decimal, the only fraction that the serializer takes."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number that DynamoDB takes")
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: _decimal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_decimal(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """`value` with whole numbers as int, others as float, and binary as bytes."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    binary = getattr(value, "value", None)
    return binary if isinstance(binary, bytes) else value
