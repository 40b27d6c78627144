# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small questions about one collection: how many documents, which collection it is, which values of `_id` it has."""

from __future__ import annotations

from typing import Any, Optional

from .clients import exact
from .metadata import Namespace

try:
    from pymongo.errors import OperationFailure
except ImportError:
    OperationFailure = Exception

_BY_ID = {"_id": 1}


def exact_count(client: Any, namespace: Namespace, by_id_index: bool) -> int:
    """The exact number of documents, which the server's own statistics are not.

    :param by_id_index: count in the index of `_id`, which is quicker where there is one.
    """
    command: dict[str, Any] = {"aggregate": namespace.collection, "pipeline": [{"$group": {"_id": None, "n": {"$sum": 1}}}], "cursor": {}}
    if by_id_index:
        command["hint"] = _BY_ID
    found = client.get_database(namespace.database).command(command)["cursor"]["firstBatch"]
    return int(found[0]["n"]) if found else 0


def identity(client: Any, namespace: Namespace) -> tuple[bool, Optional[bytes]]:
    """Whether a collection is there, and its identity where the server gives one; dropped and made again it has another."""
    entries = client.get_database(namespace.database).cursor_command({"listCollections": 1, "filter": {"name": namespace.collection}}, codec_options=exact())
    for entry in entries:
        uuid = (entry.get("info") or {}).get("uuid")
        return True, bytes(uuid) if uuid is not None else None
    return False, None


def sampled_ids(client: Any, namespace: Namespace, number: int) -> list[Any]:
    """About that many values of `_id`, in the server's order, decoded so that they are encoded the same again."""
    pipeline = [{"$sample": {"size": number}}, {"$project": _BY_ID}, {"$sort": _BY_ID}]
    command = {"aggregate": namespace.collection, "pipeline": pipeline, "cursor": {"batchSize": number}}
    return [entry["_id"] for entry in client.get_database(namespace.database).cursor_command(command, codec_options=exact())]


def write_counter(client: Any, namespace: Namespace) -> Optional[int]:
    """How many writes a collection had since the server began to count; None where it does not.

    Source: https://www.mongodb.com/docs/manual/reference/operator/aggregation/collStats/ (latencyStats).
    """
    command = {"aggregate": namespace.collection, "pipeline": [{"$collStats": {"latencyStats": {}}}], "cursor": {}}
    try:
        found = client.get_database(namespace.database).command(command)["cursor"]["firstBatch"]
    except OperationFailure:
        # A server of another make, or a user without this right: it is a hint, no proof, and the counts stand without it.
        return None
    operations = [entry.get("latencyStats", {}).get("writes", {}).get("ops") for entry in found]
    return sum(int(number) for number in operations) if operations and None not in operations else None
