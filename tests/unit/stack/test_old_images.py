# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When another release is deployed, images of former ones go: never one in use, never anybody else's, never by a run that deploys nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Optional

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.containers.docker_engine import LocalImage
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.stack import Definition
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.images import Image
from ansible_collections.toucan.selfhosted.plugins.module_utils.stack.planner import Desired, Observed, plan_stack
from hypothesis import given
from hypothesis import strategies as st

NAME = "quay.io/toucantoco/backend"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def release(number: int, name: str = NAME) -> Image:
    return Image(name, f"v{number}.0.0", digest(number))


def local(number: int, *others: str, name: str = NAME, tagged: Optional[float] = None) -> LocalImage:
    """A pulled release; its number is the time of its deployment, too, unless told otherwise."""
    references = (f"{name}:v{number}.0.0", *others, f"{name}@{digest(number)}")
    return LocalImage(digest(1000 + number), references, number if tagged is None else tagged)


def removed(
    wanted: Image,
    former: Optional[Image],
    here: Iterable[LocalImage],
    keep: int = 2,
    in_use: Iterable[str] = (),
    **changes: Any,
) -> list[str]:
    """What goes: references by which the plan calls them."""
    desired = Desired(Definition({"services": {}}, {"services": {}}, ()), {"backend": wanted}, (), "toucan", keep_releases=keep)
    deployed: Mapping[str, Image] = {"backend": former} if former else {}
    observed = Observed(
        public={"services": {}}, secret={"services": {}}, network=True, deployed=deployed, local=tuple(here), in_use=frozenset(in_use)
    )
    steps = [step for step in plan_stack(replace(desired, **changes), observed) if step.id.startswith("image.remove:")]
    assert all(step.action == "remove" and step.after is None and step.object == f"image {step.id.partition(':')[2]}" for step in steps)
    return [step.id.partition(":")[2] for step in steps]


def test_the_new_release_and_the_one_before_stay() -> None:
    assert removed(release(4), release(3), [local(3), local(2), local(1)]) == [f"{NAME}:v2.0.0", f"{NAME}:v1.0.0"]


def test_the_one_before_stays_whatever_its_age() -> None:
    assert removed(release(4), release(1), [local(3), local(2), local(1)]) == [f"{NAME}:v3.0.0", f"{NAME}:v2.0.0"]


def test_a_release_that_is_here_already_is_not_removed_when_it_is_wanted_again() -> None:
    assert removed(release(1), release(3), [local(3), local(2), local(1)]) == [f"{NAME}:v2.0.0"]


@pytest.mark.parametrize("keep, gone", [(1, 3), (2, 2), (3, 1), (4, 0), (9, 0), (0, 0)])
def test_as_many_stay_as_are_asked_for(keep: int, gone: int) -> None:
    assert len(removed(release(4), release(3), [local(3), local(2), local(1)], keep)) == gone


def test_a_run_that_deploys_nothing_new_removes_nothing() -> None:
    here = [local(3), local(2), local(1)]
    assert removed(release(3), release(3), here) == []
    assert removed(release(3), None, here) == []
    assert removed(release(4), release(3), here, only=("mongodb",)) == []


def test_an_image_in_use_stays_and_saves_no_other() -> None:
    assert removed(release(4), release(3), [local(3), local(2), local(1)], in_use=[local(2).id]) == [f"{NAME}:v1.0.0"]


def test_what_lost_its_tag_is_removed_by_its_digest() -> None:
    untagged = LocalImage(digest(7), (f"{NAME}@{digest(70)}",), 0.5)
    assert removed(release(4), release(3), [local(3), untagged]) == [f"{NAME}@{digest(70)}"]


def test_all_names_of_a_removed_image_are_taken_away() -> None:
    desired = Desired(Definition({"services": {}}, {"services": {}}, ()), {"backend": release(4)}, (), "toucan", keep_releases=1)
    old = local(2, f"{NAME}:latest-monthly")
    observed = Observed(public={"services": {}}, secret={"services": {}}, network=True, deployed={"backend": release(3)}, local=(old,))
    (step,) = [step for step in plan_stack(desired, observed) if step.id.startswith("image.remove")]
    assert step.before == {"id": old.id, "names": [f"{NAME}:v2.0.0", f"{NAME}:latest-monthly", f"{NAME}@{digest(2)}"]}


def test_images_of_others_are_none_of_ours() -> None:
    others = [local(1, name="quay.io/toucantoco/backend-tools"), local(2, name="elsewhere.test/toucantoco/backend"), local(3, name="toucantoco/backend")]
    assert removed(release(5), release(4), [local(4), *others], 1) == [f"{NAME}:v4.0.0"]


def test_a_change_of_registry_counts_what_came_from_the_former_one() -> None:
    mirror = "mirror.test/toucantoco/backend"
    here = [local(3), local(2), local(1)]
    assert removed(release(4, mirror), release(3), here) == [f"{NAME}:v2.0.0", f"{NAME}:v1.0.0"]


def test_loaded_images_go_likewise() -> None:
    image = Image(NAME, "v1.0.0", id=digest(1))
    loaded = LocalImage(digest(1), (image.asked, str(image)), 1)
    assert removed(release(4), release(3), [local(3), loaded]) == [f"{NAME}:v1.0.0"]
    assert removed(image, release(3), [local(3), loaded, local(2)]) == [f"{NAME}:v2.0.0"]


@given(
    st.integers(1, 8),
    st.integers(1, 8),
    st.lists(st.integers(1, 8), unique=True),
    st.integers(1, 9),
    st.sets(st.integers(1, 8)),
)
def test_after_a_change_the_next_run_finds_nothing_to_remove(wanted: int, former: int, numbers: list[int], keep: int, used: set[int]) -> None:
    here = [local(number) for number in numbers]
    in_use = [local(number).id for number in used]
    gone = removed(release(wanted), release(former), here, keep, in_use)
    assert f"{NAME}:v{wanted}.0.0" not in gone
    assert not {f"{NAME}:v{number}.0.0" for number in used} & set(gone)
    kept = {number for number in {*numbers, wanted} if f"{NAME}:v{number}.0.0" not in gone}
    if wanted != former:
        assert len(kept - used) <= keep
        if former in numbers and keep > 1:
            assert former in kept
    assert removed(release(wanted), release(wanted), [local(number) for number in kept], keep, in_use) == []
