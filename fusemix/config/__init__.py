"""Settings: what can be set, its defaults, and what is checked before any work.

Place in the flow: dataclass defaults < yaml files, left to right < key=value < --key value -> a frozen dataclass.
Not here: what the settings mean to a part (its factory's signature), or wiring (wiring/).
The text under a field is what `--help` prints for it. Paths are strings: a Path would be written to
yaml as a Python object.
"""

from fusemix.config.caching import CacheConfig, EmbeddingsExportConfig, ImportConfig
from fusemix.config.compute import ComputeConfig
from fusemix.config.evaluation import (
    BaselineConfig,
    CompareConfig,
    EvalConfig,
    GenerationEvalConfig,
    ReportConfig,
    ZeroShotConfig,
)
from fusemix.config.exporting import ExportConfig
from fusemix.config.folders import CompletionConfig, DoctorConfig, InfoConfig, UpgradeConfig, VerifyConfig
from fusemix.config.generating import GenerateConfig
from fusemix.config.parts import PartConfig, to_plain
from fusemix.config.searching import (
    DuplicatesConfig,
    IndexConfig,
    IndexExportConfig,
    SearchConfig,
    ServeConfig,
)
from fusemix.config.selecting import SelectConfig
from fusemix.config.studying import AxisConfig, StudyConfig
from fusemix.config.training import (
    AutoConfig,
    ClosedFormConfig,
    OptimConfig,
    RegressionConfig,
    SetConfig,
    StructureConfig,
    TrainConfig,
)
from fusemix.config.writing import WritingConfig

__all__ = [
    "AutoConfig",
    "AxisConfig",
    "BaselineConfig",
    "CacheConfig",
    "ClosedFormConfig",
    "CompareConfig",
    "CompletionConfig",
    "ComputeConfig",
    "DoctorConfig",
    "DuplicatesConfig",
    "EmbeddingsExportConfig",
    "EvalConfig",
    "ExportConfig",
    "GenerateConfig",
    "GenerationEvalConfig",
    "ImportConfig",
    "IndexConfig",
    "IndexExportConfig",
    "InfoConfig",
    "OptimConfig",
    "PartConfig",
    "RegressionConfig",
    "ReportConfig",
    "SearchConfig",
    "SelectConfig",
    "ServeConfig",
    "SetConfig",
    "StructureConfig",
    "StudyConfig",
    "TrainConfig",
    "UpgradeConfig",
    "VerifyConfig",
    "WritingConfig",
    "ZeroShotConfig",
    "to_plain",
]
