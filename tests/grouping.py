"""Groups of tests, for pytest-xdist: the users of a module's fixture share a process."""

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests that use a module's fixture in one process, which sets it up once."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]
        shared = any(
            fixture.scope == "module" and ".py" in fixture.baseid
            for definitions in fixtures.values()
            for fixture in definitions
        )
        if shared and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
