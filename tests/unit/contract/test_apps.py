# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.toucan.selfhosted.plugins.module_utils.contract.apps import Naming, app_databases, instance_database
from ansible_collections.toucan.selfhosted.plugins.module_utils.core.errors import Failure
from hypothesis import given
from hypothesis import strategies as st

NAMING = Naming("toucan")
IDS = st.from_regex(r"[a-z][a-z0-9]{0,7}(-[a-z0-9]{1,7}){0,2}", fullmatch=True)


class TestAppDatabases:
    def test_the_pattern_counts_where_any_is_named_so(self) -> None:
        assert app_databases(NAMING, ["sales", "new"], ["toucan", "toucan-sales", "old_new"]) == {"sales": "toucan-sales", "new": "toucan-new"}

    def test_another_prefix_is_found(self) -> None:
        assert app_databases(NAMING, ["sales", "new"], ["laputa", "laputa_app_sales"]) == {"sales": "laputa_app_sales", "new": "laputa_app_new"}

    def test_an_id_that_ends_another_tells_the_prefix_with_it(self) -> None:
        databases = ["x_sales", "x_eu-sales"]
        assert app_databases(NAMING, ["sales", "eu-sales"], databases) == {"sales": "x_sales", "eu-sales": "x_eu-sales"}

    def test_two_prefixes_that_fit_are_refused(self) -> None:
        with pytest.raises(Failure, match="Small app sales has no database toucan-sales, and x_eu-sales and x_sales might be its own; set `app_database`"):
            app_databases(NAMING, ["sales"], ["x_sales", "x_eu-sales"])

    def test_nothing_known_is_named_by_the_pattern(self) -> None:
        assert app_databases(NAMING, ["sales"], ["sales", "resales"]) == {"sales": "toucan-sales"}
        assert app_databases(NAMING, [], ["x_sales"]) == {}

    @given(st.sets(IDS, min_size=2, max_size=6), st.sampled_from(["a.b-", "laputa_app_", "Toucan é:"]), st.data())
    def test_whatever_the_prefix_all_are_found_or_refused_never_mixed_up(self, apps: set[str], prefix: str, data: st.DataObject) -> None:
        written = data.draw(st.sets(st.sampled_from(sorted(apps)), min_size=1))
        try:
            found = app_databases(NAMING, apps, [*(prefix + app for app in written)])
        except Failure:
            return
        assert {app: found[app] for app in written} == {app: prefix + app for app in written}


class TestInstanceDatabase:
    def test_the_one_with_migrations_is_found(self) -> None:
        assert instance_database(NAMING, {"laputa": ["users", "migrations"], "laputa_app_sales": ["config"]}) == "laputa"

    def test_the_option_counts(self) -> None:
        naming = Naming("toucan", instance_database="other")
        assert instance_database(naming, {"laputa": ["migrations"], "other": []}) == "other"
        with pytest.raises(Failure, match="The server has no database other; correct `instance_database`"):
            instance_database(naming, {"laputa": ["migrations"]})

    @pytest.mark.parametrize(
        ("collections", "words"),
        [
            ({"a": ["x"]}, "no database of this server has a collection migrations"),
            ({"a": ["migrations"], "b": ["migrations"]}, "a and b each have a collection migrations"),
        ],
    )
    def test_none_or_several_are_refused(self, collections: dict[str, list[str]], words: str) -> None:
        with pytest.raises(Failure, match=f"The instance's own database is not known: {words}; name it in `instance_database`"):
            instance_database(NAMING, collections)


class TestPatterns:
    def test_folders_and_databases_are_named(self) -> None:
        naming = Naming("acme", "{instance_name}_app_{app}", "apps/{app}")
        naming.refuse_unusable()
        assert (naming.database_of("sales"), naming.storage_of("sales")) == ("acme_app_sales", "apps/sales")

    @pytest.mark.parametrize("pattern", ["", "one-for-all", "{app}-{app}", "{app}-{stage}"])
    def test_a_pattern_that_tells_no_app_from_another_is_refused(self, pattern: str) -> None:
        with pytest.raises(Failure, match="`app_database` is `.*`, which does not hold {app} once"):
            Naming("toucan", pattern).refuse_unusable()
        with pytest.raises(Failure, match="`app_storage` is"):
            Naming("toucan", storage=pattern).refuse_unusable()

    @pytest.mark.parametrize("pattern", ["../{app}", "/srv/{app}", "a/./{app}", "{app}/"])
    def test_a_folder_outside_the_storage_is_refused(self, pattern: str) -> None:
        with pytest.raises(Failure, match="`app_storage` is `.*`, which is no folder below the storage folder"):
            Naming("toucan", storage=pattern).refuse_unusable()
