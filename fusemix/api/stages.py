"""The stages as functions: settings in, objects out.

    fusemix.cache_features("glyphs")
    run = fusemix.train("glyphs", out="runs/mine", optim={"lr": 1e-3})
    report = fusemix.eval_retrieval("glyphs", model=run.folder)
    pictures = fusemix.generate(audio="rain.wav", model=run.folder, pipeline="decoder", out="drawn")
    table = fusemix.study("batch", out="studies/mine").to_pandas()

Place in the flow: a settings object, files or keywords -> a command -> LatentSet, Run, Report, SearchIndex, files.
Errors that a user can fix are FusemixErrors; what the caller's process had is left as it was found.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusemix import config
from fusemix.api.report import Report, read_report
from fusemix.api.run import Run
from fusemix.api.settings import settings_of, tree_of
from fusemix.api.study import Study
from fusemix.cli.for_studies import settings_for
from fusemix.cli.loading import files_among, makes
from fusemix.cli.parts import PARTS
from fusemix.cli.table import COMMANDS
from fusemix.commands.next_step import IS_TYPED
from fusemix.disk.files import read_json
from fusemix.errors import ConfigError, FusemixError, LatentStoreError, RunError, sentence_of
from fusemix.latents.description import SET
from fusemix.latents.manifest import MANIFEST
from fusemix.latents.sets import LatentSet
from fusemix.machine.as_found import as_found

if TYPE_CHECKING:
    from fusemix.api.search import SearchIndex


def cache_features(*settings: Any, **keywords: Any) -> list[LatentSet]:
    """Run frozen encoders once over a data set, and keep their latents.

    Args:
        *settings: a `fusemix.config.CacheConfig`, paths of yaml files, names of recipes, or mappings; later ones win.
        **keywords: settings by their names; they win over all. Nested ones are mappings, or names with a dot:
            `**{"dataset.options": {"seed": 1}}`.

    Returns:
        The latent sets, one a split, with the latents of these encoders; none where nothing is finished (`dry_run`, or
        one `part` of several).

    Raises:
        FusemixError: something that a user can fix.
    """
    made = settings_of(config.CacheConfig, settings, keywords, "cache_features")
    folders = run_command("cache_features", [made], {})
    return [found for folder in folders if (found := _finished(folder, made.encoders)) is not None]


def select(*settings: Any, **keywords: Any) -> LatentSet:
    """Choose some pairs of a latent set, and write them as a subset, which copies no latents.

    Args:
        *settings: a `fusemix.config.SelectConfig`, paths of yaml files, or mappings; later ones win.
        **keywords: as for `cache_features`, such as `latents="latents/mine/train", size=5000, method="kdpp"`.

    Returns:
        The subset.

    Raises:
        FusemixError: something that a user can fix.
    """
    made = settings_of(config.SelectConfig, settings, keywords, "select")
    return LatentSet(run_command("select", [made], {}), made.encoders or None)


def train(*settings: Any, **keywords: Any) -> Run:
    """Train adapters on cached latents.

    Args:
        *settings: a `fusemix.config.TrainConfig`, paths of yaml files, names of recipes, or mappings; later ones win.
        **keywords: as for `cache_features`, such as `**{"optim.max_epochs": 5}`.

    Returns:
        The run: its folder, best checkpoint, history and model. Of a `dry_run`, there is only the name of the folder.

    Raises:
        FusemixError: something that a user can fix.
    """
    return Run(Path(run_command("train", settings, keywords)).parent.parent)


def eval_retrieval(*settings: Any, **keywords: Any) -> Report:
    """Measure retrieval with a trained run on a latent set.

    Args:
        *settings: a `fusemix.config.EvalConfig`, paths of yaml files, names of recipes, or mappings; later ones win.
        **keywords: as for `cache_features`.

    Returns:
        The report, which shows itself in a notebook; its `metrics` are by direction and name.

    Raises:
        FusemixError: something that a user can fix.
    """
    return read_report(Path(run_command("eval_retrieval", settings, keywords)))


def index(*settings: Any, **keywords: Any) -> "SearchIndex":
    """Embed a folder or a latent set, so that it can be searched; or add to an index.

    Args:
        *settings: a `fusemix.config.IndexConfig`, paths of yaml files, or mappings; later ones win.
        **keywords: as for `cache_features`.

    Returns:
        The index, to be searched: `found.search("a dog", k=5)`.

    Raises:
        FusemixError: something that a user can fix; a `dry_run` makes no index that could be returned.
    """
    from fusemix.api.search import SearchIndex  # needs faiss

    made = settings_of(config.IndexConfig, settings, keywords, "index")
    if made.dry_run:
        raise ConfigError("index returns an index, and dry_run makes none: leave it out, or type fusemix index ….")
    return SearchIndex(run_command("index", [made], {}))


def generate(*settings: Any, **keywords: Any) -> list[Path]:
    """Draw pictures from sounds, texts and pictures, by a run into a generator's space.

    Args:
        *settings: a `fusemix.config.GenerateConfig`, paths of yaml files, or mappings; later ones win.
        **keywords: as for `cache_features`, such as `audio="rain.wav", pipeline="decoder"`.

    Returns:
        Files of the pictures, in order; sheet.png and generated.json lie beside them.

    Raises:
        FusemixError: something that a user can fix; pictures that were drawn before stay.
    """
    folder = Path(run_command("generate", settings, keywords))
    return [folder / one["file"] for one in read_json(folder / "generated.json")["pictures"]]


def study(*settings: Any, **keywords: Any) -> Study:
    """Run a grid of jobs that cache, select, train and evaluate; each command is a process of its own.

    Args:
        *settings: a `fusemix.config.StudyConfig`, paths of yaml files, names of recipes, or mappings; later ones win.
        **keywords: as for `cache_features`, such as `train={"optim": {"lr": 1e-3}}`.

    Returns:
        The study: its jobs and their figures. Of a `dry_run`, there is only the name of the folder.

    Raises:
        FusemixError: something that a user can fix; a `StudyError` where jobs have failed, and the others are done.
    """
    return Study(Path(run_command("study", settings, keywords)).parent)


def run_command(command: str, settings: Sequence[Any], keywords: Any) -> Any:
    """Run a command with settings as Python gives them, and return what it returns.

    Raises:
        FusemixError: what the command raises; first of all where its settings are wrong.
    """
    entry = COMMANDS[command]
    schema = getattr(config, entry.schema)
    by_recipe = makes(schema, tree_of(schema, settings, keywords, command), PARTS, command)
    made = by_recipe()
    told: dict[str, Any] = {"words": (), "read": files_among(schema, settings, made), "by_recipe": by_recipe}
    told["settings_for"] = settings_for
    with working():
        main = import_module(entry.module or f"fusemix.commands.{command}").main
        with as_found():
            return main(made, **{name: told[name] for name in entry.told})


@contextmanager
def working() -> Iterator[None]:
    """Work for a caller in Python: nothing is said of what to type, and what ends a command is an exception.

    Raises:
        FusemixError: in place of an error of the operating system's, or of an exit.
        KeyboardInterrupt: the caller has interrupted the work; Lightning makes an exit of that.
    """
    token = IS_TYPED.set(False)
    try:
        with warnings.catch_warnings():  # libraries set filters when they are imported
            warnings.filterwarnings("ignore", "IProgress not found")  # of tqdm: fusemix has a bar of its own
            yield
    except OSError as error:
        if error.errno is None:
            raise
        raise FusemixError(sentence_of(error)) from error
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        if error.code in (None, 0):  # another process of this command has said why it ends
            raise
        raise RunError(f"the command ended with the code {error.code}.") from error
    finally:
        IS_TYPED.reset(token)


def _finished(folder: Path, encoders: Any) -> LatentSet | None:
    """A set with the latents of some encoders, and of a modality that has none of these, with all that are there."""
    if not (folder / SET).is_file():
        return None
    there: dict[str, list[str]] = {}
    for manifest in sorted(folder.glob(f"*/*/{MANIFEST}")):
        there.setdefault(manifest.parent.parent.name, []).append(manifest.parent.name)
    wanted = {modality: [name for name in encoders if name in names] or names for modality, names in there.items()}
    try:
        return LatentSet(folder, {**_no_latents(folder), **wanted})
    except LatentStoreError:  # other parts still write there
        return None


def _no_latents(folder: Path) -> dict[str, list[str]]:
    modalities = [path.name.removeprefix("items-").removesuffix(".parquet") for path in folder.glob("items-*.parquet")]
    return {modality: [] for modality in modalities}
