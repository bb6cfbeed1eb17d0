import pytest

from tests.unit.emulator.scene import Scene


@pytest.fixture
def scene():
    return Scene()
