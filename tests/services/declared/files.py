"""What tests of configuration files share: the keys behind their references, and what a refusal says."""

import pytest

from app.services.declared.reading import FileError

KEY, SPARE = "sk-main-0123456789abcdef", "sk-spare-0123456789abcdef"


def refused(run, text, **options):
    with pytest.raises(FileError) as error:
        run(text, **options)
    return error.value.problems
