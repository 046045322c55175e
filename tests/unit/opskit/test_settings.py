import pytest

from opskit.errors import PlatformContractError
from opskit.settings import Settings

COMPLETE = {
    "OPS_SERVICE": "shop",
    "OPS_ENVIRONMENT": "test",
    "LEDGER_TABLE": "shop-test-ledger",
    "EVIDENCE_BUCKET": "shop-test-evidence-1",
    "TOPIC_ARN": "arn:aws:sns:eu-west-1:1:shop-test-operations",
}


def test_a_complete_environment_is_read() -> None:
    settings = Settings.from_env(COMPLETE)
    assert settings == Settings("shop", "test", "shop-test-ledger", "shop-test-evidence-1", COMPLETE["TOPIC_ARN"])


@pytest.mark.parametrize("name", COMPLETE)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(PlatformContractError, match=name):
        Settings.from_env({key: value for key, value in COMPLETE.items() if key != name})


@pytest.mark.parametrize("name", COMPLETE)
def test_an_empty_variable_counts_as_missing(name: str) -> None:
    with pytest.raises(PlatformContractError, match=name):
        Settings.from_env(COMPLETE | {name: " "})


def test_all_missing_variables_are_named_at_once() -> None:
    with pytest.raises(PlatformContractError) as caught:
        Settings.from_env({})
    assert all(name in str(caught.value) for name in COMPLETE)


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    assert Settings.from_env() == Settings.from_env(COMPLETE)
