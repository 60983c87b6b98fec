"""What pyproject.toml cannot say: a wheel carries configs/, which lies beside the package, as fusemix/configs/.

An editable install needs no copy: `fusemix.config.recipes` looks beside the package, too.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CONFIGS = Path("configs")


class BuildWithRecipes(build_py):
    """Python files, and the recipes."""

    def run(self) -> None:
        """Copy the recipes beside what was built, in place of any that lie there from an earlier build."""
        super().run()
        if not self.editable_mode:
            for source, target in self._recipes().items():
                self.mkpath(str(Path(target).parent))
                self.copy_file(source, target)

    def get_output_mapping(self) -> dict[str, str]:
        """File that is built -> what it is made of."""
        recipes = {} if self.editable_mode else {target: source for source, target in self._recipes().items()}
        return {**super().get_output_mapping(), **recipes}

    def _recipes(self) -> dict[str, str]:
        built = Path(self.build_lib, "fusemix")
        return {str(path): str(built / path) for path in sorted(CONFIGS.rglob("*.yaml"))}


setup(cmdclass={"build_py": BuildWithRecipes})
