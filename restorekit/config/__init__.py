"""params.yaml as typed, frozen values: an unknown key or an impossible value fails before any file is touched."""

from restorekit.config.checking import check_params
from restorekit.config.dakd import DakdObjective, DakdRun
from restorekit.config.data import (
    AnyDataset,
    FrameConfig,
    FramePairs,
    HoleConfig,
    MaskData,
    MaskShards,
    PhotosConfig,
    Split,
    SynthesizeConfig,
    TrainShards,
)
from restorekit.config.detector import DetectorConfig
from restorekit.config.dmgn import DmgnObjective, DmgnRun
from restorekit.config.glsgn import GlsgnObjective, GlsgnRun
from restorekit.config.layers import load_params
from restorekit.config.madf import MadfObjective, MadfRun
from restorekit.config.params import Params
from restorekit.config.real import PhotoFolder, RealConfig, RealSet, RealTraining, RealValidation
from restorekit.config.run import Precision, Run, TrainConfig
from restorekit.config.runs import read_run
from restorekit.config.strict import DEFAULTS

__all__ = [
    "DEFAULTS",
    "AnyDataset",
    "DakdObjective",
    "DakdRun",
    "DetectorConfig",
    "DmgnObjective",
    "DmgnRun",
    "FrameConfig",
    "FramePairs",
    "GlsgnObjective",
    "GlsgnRun",
    "HoleConfig",
    "MadfObjective",
    "MadfRun",
    "MaskData",
    "MaskShards",
    "Params",
    "PhotoFolder",
    "PhotosConfig",
    "Precision",
    "RealConfig",
    "RealSet",
    "RealTraining",
    "RealValidation",
    "Run",
    "Split",
    "SynthesizeConfig",
    "TrainConfig",
    "TrainShards",
    "check_params",
    "load_params",
    "read_run",
]
