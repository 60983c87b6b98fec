"""Settings: what can be set, its defaults, and what is checked before any work.

Place in the flow: dataclass defaults < yaml files, left to right < key=value < --key value -> a frozen dataclass.
Not here: what the settings mean to a part (its factory's signature), or wiring (wiring/).
The text under a field is what `--help` prints for it. Paths are strings: a Path would be written to
yaml as a Python object.
"""

from fusemix.config.caching import CacheConfig, ExportConfig, ImportConfig
from fusemix.config.evaluation import BaselineConfig, EvalConfig, ZeroShotConfig
from fusemix.config.exporting import ModelExportConfig
from fusemix.config.folders import CompareConfig, CompletionConfig, DoctorConfig, InfoConfig, ReportConfig, VerifyConfig
from fusemix.config.parts import PartConfig, to_plain
from fusemix.config.searching import IndexConfig, SearchConfig, ServeConfig
from fusemix.config.training import AutoConfig, ClosedFormConfig, OptimConfig, SetConfig, StructureConfig, TrainConfig

__all__ = [
    "AutoConfig",
    "BaselineConfig",
    "CacheConfig",
    "ClosedFormConfig",
    "CompareConfig",
    "CompletionConfig",
    "DoctorConfig",
    "EvalConfig",
    "ExportConfig",
    "ImportConfig",
    "IndexConfig",
    "InfoConfig",
    "ModelExportConfig",
    "OptimConfig",
    "PartConfig",
    "ReportConfig",
    "SearchConfig",
    "ServeConfig",
    "SetConfig",
    "StructureConfig",
    "TrainConfig",
    "VerifyConfig",
    "ZeroShotConfig",
    "to_plain",
]
