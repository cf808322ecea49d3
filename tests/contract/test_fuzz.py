"""Whatever `docs/openapi.yaml` lets one send gets an answer that it tells of, and no failure of ours."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from tests.house.reading import ROOT

NOT_OFFERED = 501
"""Right where the upstream offers no such endpoint."""
FEW, MANY = 5, 250
SCHEMA = schemathesis.openapi.from_path(ROOT / "docs" / "openapi.yaml")
OPERATIONS = {
    operation.definition.raw["operationId"]: operation
    for operation in (result.ok() for result in SCHEMA.get_all_operations())
}
TOLD = [
    CHECKS.get_one(name)
    for name in ("status_code_conformance", "content_type_conformance", "response_schema_conformance")
]


def ask(house, name, *, examples):
    """Send an operation as many requests as were generated, right ones and wrong ones; judge each answer."""

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(OPERATIONS[name].as_strategy(generation_mode=mode) for mode in GenerationMode))
    def asked(case):
        answer = case.call(base_url=house.url, headers={"Authorization": f"Bearer {house.tokens['carol']}"}, timeout=30)
        assert answer.status_code < 500 or answer.status_code == NOT_OFFERED, answer.content
        case.validate_response(answer, checks=TOLD)

    asked()


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_generated_gets_an_answer_that_is_told(house, sim, name):
    ask(house, name, examples=FEW)


@pytest.mark.faults
@pytest.mark.parametrize("name", OPERATIONS)
def test_much_of_what_is_generated_gets_an_answer_that_is_told(house, sim, name):
    ask(house, name, examples=MANY)
