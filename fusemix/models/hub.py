"""Exported models on the hub: uploaded and fetched by name.

Place in the flow: exported folder -> organisation/model -> a folder in the hub's cache.
"""

import re
from pathlib import Path

from huggingface_hub import HfApi, get_token, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from fusemix.errors import RunError, first_line
from fusemix.fusion.checkpoints import HUBS
from fusemix.models.folder import CONFIG, INSIDE, WEIGHTS, is_export

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HUB_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, HfHubHTTPError.__bases__[0])
"""What the hub's library raises; a failed connection is only an error of the HTTP library that it uses."""
NEEDED = [CONFIG, WEIGHTS, HUBS, f"{INSIDE}/*"]
"""What loading needs; `*` of the hub goes through all folders below."""
OURS = ["onnx/*", f"{INSIDE}/*", HUBS, "modules.json", "config_sentence_transformers.json"]
"""What an export may hold or lack, so that a new one removes it from the hub."""


def fetched(name: str, revision: str | None) -> Path:
    """A folder of the hub's cache with an exported model; what is there already is not fetched again.

    Args:
        name: organisation/model.
        revision: commit, tag or branch; by default the newest of the main branch.

    Raises:
        RunError: it is not available, or is no exported model.
    """
    if not is_export(Path(_snapshot(name, revision, [CONFIG]))):  # before gigabytes of another model are fetched
        raise RunError(f"{name} on the hub is no model that fusemix exported: its {CONFIG} does not say so.")
    return Path(_snapshot(name, revision, NEEDED))


def _snapshot(name: str, revision: str | None, patterns: list[str]) -> str:
    try:
        return snapshot_download(name, revision=revision, allow_patterns=patterns, library_name="fusemix")
    except HUB_ERRORS as error:
        where = name + (f" at revision {revision}" if revision else "")
        raise RunError(
            f"there is no folder {name}, and on the hub {where} is not available: {first_line(error)} Check the name, "
            "the network and HF_HUB_OFFLINE; a private model needs `hf auth login`."
        ) from error


def require_token(name: str) -> None:
    """Refuse to push without a token, before anything is written.

    Raises:
        RunError: there is none.
    """
    if not get_token():
        raise RunError(f"push_to={name} needs a token of the hub that may write. Log in with `hf auth login`.")


def push(folder: Path, name: str, *, private: bool) -> str:
    """Upload an exported model, in one commit.

    Args:
        folder: of the export.
        name: organisation/model; made where it is not there.
        private: whether it is then private.

    Returns:
        Address of its page.

    Raises:
        RunError: the token is refused, or the hub cannot be reached.
    """
    api = HfApi(library_name="fusemix")
    try:
        page = api.create_repo(name, private=private, exist_ok=True)
        message = "Upload a model exported by fusemix"
        api.upload_folder(repo_id=name, folder_path=folder, commit_message=message, delete_patterns=OURS)
    except HUB_ERRORS as error:
        status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
        advice = "Check the network and HF_HUB_OFFLINE."
        if status in (401, 403):
            advice = "The token may not write there: log in with `hf auth login`, or push to a name of your own."
        raise RunError(
            f"{name} cannot be pushed: {first_line(error)} {advice} The export is complete in {folder}; once that is "
            f"fixed, `hf upload {name} {folder}` pushes it."
        ) from error
    return str(page)
