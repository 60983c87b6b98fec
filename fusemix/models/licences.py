"""Under which licence an encoder's weights stand, as far as their folder, package or page says.

Place in the flow: recipe of an encoder -> words for the card.
"""

from importlib.metadata import PackageNotFoundError, metadata, packages_distributions
from pathlib import Path

from huggingface_hub import HfApi, metadata_load

from fusemix.encoders import CARRIERS
from fusemix.models.hub import HUB_ERRORS
from fusemix.parts.trust import imported

UNKNOWN = "not known; see its page"
README = "README.md"
TIMEOUT_S = 10.0


def licence_of_folder(folder: Path) -> str:
    """What the front matter of its README.md says."""
    try:
        about = metadata_load(folder / README) or {}
    except HUB_ERRORS:  # no README, or no yaml in it
        return UNKNOWN
    return _word(about.get("license_name") or about.get("license"))


def licence_of_package(carrier: str) -> str:
    """Of weights that an installed package carries: what their folder says, else what the package says of itself.

    Args:
        carrier: `module:attribute`, which is the folder.
    """
    module, _, attribute = carrier.partition(":")
    try:
        of_weights = licence_of_folder(Path(str(getattr(imported(carrier, is_own=carrier in CARRIERS), attribute))))
        about = dict(metadata(distribution_of(module)).json)
    except (ImportError, AttributeError, PackageNotFoundError):
        return UNKNOWN
    if of_weights != UNKNOWN:
        return of_weights
    return _word(about.get("license_expression") or about.get("license"))


def licence_of_hub_model(name: str, revision: str | None) -> str:
    """What the page of a model on the hub says; unknown where it cannot be reached."""
    try:
        card = HfApi(library_name="fusemix").model_info(name, revision=revision, timeout=TIMEOUT_S).card_data
    except HUB_ERRORS:
        return UNKNOWN
    return _word(card and (card.get("license_name") or card.get("license")))


def distribution_of(module: str) -> str:
    """What `pip install` calls the package that a module is of; of `module:attribute` as well."""
    top = module.partition(":")[0].partition(".")[0]
    return next(iter(packages_distributions().get(top, [])), top)


def _word(found: object) -> str:
    """A licence in a word; packages put whole licence texts where its name belongs."""
    return found.splitlines()[0][:60].strip() or UNKNOWN if isinstance(found, str) and found else UNKNOWN
