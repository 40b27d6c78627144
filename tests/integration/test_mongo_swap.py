# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored app takes the place of the live one on a real server, and makes way again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.catalog import describe, server_facts
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.swap import carry_out, take_back
from ansible_collections.toucan.selfhosted.plugins.module_utils.mongo.swap_plan import Move, Swap, plan_swap

from labrun.mongodb import SOURCE, info_of, insert

NAMES = ["sales", "é–中文😀", "a.b.c", "quote\"'`;--", "n" * 120, "a."]


class Crash(Exception):
    """The program ends here."""


@pytest.fixture(name="swap")
def _swap(client: Any) -> Iterator[Swap]:
    """Live collections, restored ones, and the plan that these take the place of those."""
    for name in NAMES:
        insert(client, name, [{"_id": 1, "mark": "live", "of": name}])
        insert(client, f"t{NAMES.index(name)}", [{"_id": 1, "mark": "restored", "of": name}])
        client.get_database(SOURCE).command({"createIndexes": name, "indexes": [{"key": {"mark": 1}, "name": "mark"}]})
    dots_too = server_facts(client).renames_dots
    live = [Move(info_of(client, name), f"p{NAMES.index(name)}", dots_too) for name in NAMES]
    restored = [Move(info_of(client, f"t{NAMES.index(name)}"), name, dots_too) for name in NAMES]
    yield plan_swap(SOURCE, live, restored, {}, longest=235)


def marks(client: Any) -> dict[str, Any]:
    """What stands under each name, with its indexes."""
    found = {}
    for info in describe(client, SOURCE):
        name = info.namespace.collection
        document = client.get_database(SOURCE).command({"find": name})["cursor"]["firstBatch"][0]
        found[name] = (document["mark"], document["of"], [index["name"] for index in info.metadata.indexes])
    return found


def expected(kept: str, fresh: str) -> dict[str, Any]:
    old = {kept.format(index) if kept else name: ("live", name, ["_id_", "mark"]) for index, name in enumerate(NAMES)}
    return {**old, **{fresh.format(index) if fresh else name: ("restored", name, ["_id_"]) for index, name in enumerate(NAMES)}}


def test_a_swap_and_back(client: Any, swap: Swap) -> None:
    assert marks(client) == expected("", "t{}")
    carry_out(client, swap, 0, lambda done: None)
    assert marks(client) == expected("p{}", "")
    take_back(client, swap, len(swap.steps), lambda done: None)
    assert marks(client) == expected("", "t{}")


@pytest.mark.parametrize("back", [True, False])
def test_a_swap_that_was_cut_off_goes_on_or_back(client: Any, swap: Swap, back: bool) -> None:
    noted = [0]

    def note(done: int) -> None:
        # The fifth step is done, and the journal does not know it yet.
        if done == 5:
            raise Crash
        noted.append(done)

    with pytest.raises(Crash):
        carry_out(client, swap, 0, note)
    assert noted[-1] == 4
    (take_back if back else carry_out)(client, swap, noted[-1], lambda done: None)
    assert marks(client) == (expected("", "t{}") if back else expected("p{}", ""))


def test_a_collection_that_came_in_the_way_is_left_alone(client: Any, swap: Swap) -> None:
    insert(client, "p0", [{"_id": "precious"}])
    with pytest.raises(Failure, match="The step `rename sales to p0` of a swap fits neither before nor after: both are there"):
        carry_out(client, swap, 0, lambda done: None)
    assert client.get_database(SOURCE).command({"find": "p0"})["cursor"]["firstBatch"] == [{"_id": "precious"}]
