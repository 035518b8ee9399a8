"""TRAIN: jobs, plans of jobs, where results are kept, and who runs them."""

from keras_mothernets.training.context import RunContext
from keras_mothernets.training.data import TrainingData, read_data
from keras_mothernets.training.executor import Executor, Local
from keras_mothernets.training.job import Hatch, Job, Scratch
from keras_mothernets.training.ledger import PRICES, Ledger
from keras_mothernets.training.ledger_row import LedgerRow
from keras_mothernets.training.phases import Phase, Phases
from keras_mothernets.training.plan import Plan
from keras_mothernets.training.predicted_seconds import SecondsModel, work_of
from keras_mothernets.training.processes import Processes
from keras_mothernets.training.progress import make_progress
from keras_mothernets.training.ray_executor import Ray
from keras_mothernets.training.record import History, JobRecord
from keras_mothernets.training.run_directory import RunDirectory
from keras_mothernets.training.schedule import Scheduler
from keras_mothernets.training.seeds import derive_seed, seed_random_layers
from keras_mothernets.training.settings import CompileSettings
from keras_mothernets.training.store import MemoryStore, Store
from keras_mothernets.training.tensorboard import TensorBoard
from keras_mothernets.training.train_job import train_job

__all__ = [
    "PRICES",
    "CompileSettings",
    "Executor",
    "Hatch",
    "History",
    "Job",
    "JobRecord",
    "Ledger",
    "LedgerRow",
    "Local",
    "MemoryStore",
    "Phase",
    "Phases",
    "Plan",
    "Processes",
    "Ray",
    "RunContext",
    "RunDirectory",
    "Scheduler",
    "Scratch",
    "SecondsModel",
    "Store",
    "TensorBoard",
    "TrainingData",
    "derive_seed",
    "make_progress",
    "read_data",
    "seed_random_layers",
    "train_job",
    "work_of",
]
