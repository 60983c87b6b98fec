"""The table of commands: what each does, which settings it takes, and where it is.

Place in the flow: a word of the command line -> Command -> called.py.
"""

from typing import NamedTuple

SETTINGS = "[config.yaml …] [key=value …]"


class Command(NamedTuple):
    """One command.

    Attributes:
        about: what it does.
        schema: name of its settings in `fusemix.config`.
        usage: how it is called.
        module: that has its `main`; None where it is `fusemix.commands.<name>`.
        told: what its `main` is told beside its settings: `words` that were typed, files that were `read`, what makes
            the settings again over another recipe, `by_recipe`, or what reads those of other commands, `settings_for`.
    """

    about: str
    schema: str
    usage: str = SETTINGS
    module: str | None = None
    told: tuple[str, ...] = ()


COMMANDS = {
    "cache_features": Command("run frozen encoders once over a data set", "CacheConfig", told=("words",)),
    "select": Command(
        "choose some pairs of a latent set, such as the most diverse",
        "SelectConfig",
        "LATENTS --size N --method kdpp|density|facility|filter|uniform --out FOLDER",
    ),
    "train": Command("train adapters on cached latents", "TrainConfig", told=("read", "by_recipe")),
    "eval_retrieval": Command("measure retrieval with a trained model", "EvalConfig"),
    "eval_zero_shot": Command("classify items by prompts of their classes", "ZeroShotConfig"),
    "eval_generation": Command(
        "judge generated pictures beside real ones, and by what they were drawn from", "GenerationEvalConfig"
    ),
    "index": Command("embed a folder or a latent set, so that it can be searched; or add to an index", "IndexConfig"),
    "search": Command("search an index by text, picture or sound", "SearchConfig", '"a dog …" --index FOLDER'),
    "generate": Command(
        "draw pictures from sounds, texts and pictures",
        "GenerateConfig",
        "--audio FILE --model RUN --pipeline FOLDER --out FOLDER",
    ),
    "export_index": Command(
        "hand an index to another engine", "IndexExportConfig", "--index FOLDER --to parquet|qdrant --out …"
    ),
    "duplicates": Command("list near duplicates in an index", "DuplicatesConfig", "FOLDER"),
    "upgrade_index": Command("take over indexes of an earlier fusemix, as they are", "UpgradeConfig", "FOLDER …"),
    "serve": Command("search an index in the browser, and from programs", "ServeConfig", "--index FOLDER"),
    "study": Command(
        "run a grid of jobs over any settings, and draw what comes of it",
        "StudyConfig",
        told=("settings_for",),
    ),
    "compare": Command(
        "put runs side by side, with p-values", "CompareConfig", "[config.yaml …] REPORT REPORT … [out=FOLDER]"
    ),
    "report": Command(
        "print reports as one table for a paper", "ReportConfig", "[config.yaml …] [--format latex] REPORT …"
    ),
    "check": Command(
        "load what a caching run needs and estimate what it takes, without starting it", "CacheConfig", told=("words",)
    ),
    "verify": Command(
        "read latents, an index or a model back, and compare with its hashes", "VerifyConfig", "FOLDER …"
    ),
    "info": Command("say what a folder of fusemix's is, what made it, and what is in it", "InfoConfig", "FOLDER …"),
    "export": Command("write a trained model as a folder that travels", "ExportConfig"),
    "export_embeddings": Command("write a latent set in clip-retrieval's layout", "EmbeddingsExportConfig"),
    "import": Command(
        "take latents that you already have into a sealed store",
        "ImportConfig",
        module="fusemix.commands.import_latents",
    ),
    "doctor": Command("say which packages, devices and back ends are usable here", "DoctorConfig", ""),
    "completion": Command(
        "print what completes words in a shell", "CompletionConfig", "bash|zsh|fish", "fusemix.cli.completion"
    ),
}
