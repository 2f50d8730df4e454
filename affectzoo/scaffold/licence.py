"""What a new plugin says of its licence: its author's word, or that there is none yet; never one of our choice."""

from __future__ import annotations

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from affectzoo.errors import InputError

#: In a spec whose author has not decided; `LicenseRef-` is how SPDX writes what its list lacks.
UNDECIDED = "LicenseRef-undecided"


def check_licence(licence: str) -> str:
    """An SPDX expression in its usual spelling.

    Raises:
        InputError: it is none.
    """
    try:
        return canonicalize_license_expression(licence)
    except InvalidLicenseExpression as error:
        raise InputError(
            f"--licence {licence!r} is no SPDX expression, such as MIT or Apache-2.0; one of your own is LicenseRef-NAME"
        ) from error


def licence_lines(licence: str | None, package: str) -> dict[str, str]:
    """What the templates say: in `pyproject.toml`, in the spec, in the README."""
    if licence is not None:
        return {
            "project_licence": f'license = "{licence}"',
            "spec_licence": f'    licence="{licence}",',
            "readme_licence": f"{licence}. Its text, with name and year where it wants them, belongs into a file `LICENSE`.",
        }
    return {
        "project_licence": "# license: undecided. An SPDX expression, once there is one, and its text in a file LICENSE.",
        "spec_licence": f'    licence="{UNDECIDED}",  # until its author has chosen one',
        "readme_licence": "Undecided: until its author has chosen a licence, nobody else may use, change or share this code.\n"
        f"The choice goes into `pyproject.toml` and `{package}/__init__.py`, its text into a file `LICENSE`.",
    }
